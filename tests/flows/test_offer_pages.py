"""Offers in a real browser: an operator funds, changes and simulates one; its partner looks on."""

from collections.abc import Iterator
from typing import Any

import pytest
from playwright.sync_api import Browser, expect

from flowlink.identity import service as identity
from flowlink.kernel import clock, db
from flowlink.payouts import jobs
from flowlink.tracking.models import Offer
from tests.conftest import Live
from tests.factories import Person, make_operator, make_partner
from tests.flows.browsing import DESKTOP, PHONE, Tab, browser, tab
from tests.payouts.click_makers import HOUR, NEXT, click, left, link_to, make_offer

FRENCH_PHONE = {"locale": "fr-FR", "viewport": PHONE, "color_scheme": "dark"}
ENGLISH_DESKTOP = {"locale": "en-GB", "viewport": DESKTOP, "color_scheme": "light"}
WORDS = {
    "fr-FR": {"pay": "Verser", "pause": "Mettre en pause", "try": "Simuler"},
    "en-GB": {"pay": "Pay in", "pause": "Pause", "try": "Simulate"},
}


@pytest.fixture(scope="module")
def started() -> Iterator[Browser]:
    with browser() as opened:
        yield opened


def world() -> tuple[Offer, Person, Person]:
    """Three clicks on an offer with money for two, an operator, and the partner."""
    with db.write() as session:
        ada, boss = make_partner(session), make_operator(session)
        offer = make_offer(session, cpc="0.085", budget="0.20", cap_partner_daily="5.00")
        click(session, link_to(session, ada, offer), number=3)
    jobs.accrue_clicks(HOUR + NEXT)
    return offer, ada, boss


def come_in(seen: Tab, person: Person) -> None:
    with db.write() as session:
        token = identity.make_link(session, email=person.email, now=clock.now(), from_cli=True)
    seen.open(f"/login/verify?token={token}")
    seen.page.locator("main form button").click()
    seen.sound()


@pytest.mark.parametrize("settings", [FRENCH_PHONE, ENGLISH_DESKTOP], ids=["fr", "en"])
def test_an_offer_is_run_by_hand(live: Live, started: Browser, settings: dict[str, Any]) -> None:
    words = WORDS[settings["locale"]]
    offer, ada, boss = world()
    path = f"/admin/offers/{offer.name}"
    with tab(started, live.url, **settings) as staff, tab(started, live.url, **settings) as partner:
        come_in(staff, boss)
        for page in ("/admin/offers", path, f"{path}/simulator"):
            staff.open(page)
        staff.press(words["try"])
        staff.open(path)
        staff.page.locator("#f-amount").fill("7.00")
        staff.press(words["pay"])
        expect(staff.page.locator("#budget")).to_contain_text("7")
        staff.press(words["pause"])
        staff.page.locator("#switch").get_by_role("button", name=words["pause"]).click()
        staff.page.wait_for_load_state("networkidle")

        come_in(partner, ada)
        for page in ("/partner/portal", "/partners/earnings", "/partners/accruals"):
            partner.open(page)
        partner.page.locator("a[href^='/partners/trail/acc_']").first.click()
        partner.page.wait_for_url("**/partners/trail/acc_*")
        partner.sound()

    with db.read() as session:
        assert left(session, offer) == "7.03 EUR"
        assert session.get_one(Offer, offer.id).active is False
