"""The whole way in a real browser: French, dark, on a phone; English, light, on a desktop."""

from collections.abc import Iterator, Mapping
from typing import Any

import pytest
from playwright.sync_api import Browser

from flowlink.app import checks
from flowlink.identity import service as identity
from flowlink.kernel import clock, db
from tests.conftest import Live
from tests.factories import make_operator
from tests.flows.browsing import DESKTOP, PHONE, Tab, browser, tab
from tests.flows.people import Person, mailed_link, operator
from tests.flows.test_one_euro import click, postback

FRENCH_PHONE = {"locale": "fr-FR", "viewport": PHONE, "color_scheme": "dark"}
ENGLISH_DESKTOP = {"locale": "en-GB", "viewport": DESKTOP, "color_scheme": "light"}
WORDS = {
    "fr-FR": {
        "ask": "M\u2019envoyer le lien",
        "link": "Créer le lien",
        "withdraw": "Demander ce montant",
        "available": "210,00\xa0€",
        "approve": "Approuver",
        "paid": "Marquer comme payé",
        "done": "Arrivé",
    },
    "en-GB": {
        "ask": "Send me the link",
        "link": "Create the link",
        "withdraw": "Ask for this amount",
        "available": "€210.00",
        "approve": "Approve",
        "paid": "Mark as paid",
        "done": "Arrived",
    },
}


@pytest.fixture(scope="module")
def started() -> Iterator[Browser]:
    with browser() as opened:
        yield opened


@pytest.mark.parametrize("settings", [FRENCH_PHONE, ENGLISH_DESKTOP], ids=["fr", "en"])
def test_one_euro_goes_all_the_way_by_hand(
    live: Live, started: Browser, settings: dict[str, Any]
) -> None:
    words, staff = WORDS[settings["locale"]], operator(live.url)
    with tab(started, live.url, **settings) as ada, tab(started, live.url, **settings) as boss:
        join(ada, words, staff)
        make_link(ada, words)
        sale = {"subid": click(live, "ada-finds"), "amount": "500.00", "txn_id": "order-1"}
        postback(live, staff, status="approved", **sale)

        withdraw(ada, words)
        pay(boss, words)

        see_it_arrive(ada, words)
    with db.read() as session:
        assert checks.problems(session) == []


def join(ada: Tab, words: Mapping[str, str], staff: Person) -> None:
    """From the landing page through the mail to the portal."""
    ada.open("/partners")
    ada.page.fill("input[name=email]", "ada@example.org")
    ada.press(words["ask"])
    ada.open(mailed_link(staff, "ada@example.org"))
    ada.page.locator("main form button").click()
    ada.page.wait_for_url("**/partners/join")
    ada.sound()
    ada.page.locator("main form button").last.click()
    ada.page.wait_for_url("**/partner/portal")
    ada.sound()


def make_link(ada: Tab, words: Mapping[str, str]) -> None:
    ada.page.fill("input[name=slug]", "ada-finds")
    ada.press(words["link"])
    ada.shows("/l/ada-finds")


def withdraw(ada: Tab, words: Mapping[str, str]) -> None:
    ada.page.wait_for_timeout(1000)  # spec 3: in the balance within a second
    ada.open("/partners/earnings")
    ada.shows(words["available"])
    ada.page.fill("input[name=amount]", "200")
    ada.page.select_option("select[name=method]", "bank")
    ada.page.fill("input[name=details]", "FR14 2004 1010 0505 0001 3M02 606")
    ada.press(words["withdraw"])


def pay(boss: Tab, words: Mapping[str, str]) -> None:
    """The operator signs in, approves what waits, and writes down the payment's reference."""
    enter_as_operator(boss)
    boss.open("/ops/payouts/pending")
    boss.press(words["approve"])
    boss.press(words["paid"])
    boss.page.fill("dialog[open] input[name=reference]", "SEPA-1")
    boss.page.locator("dialog[open] form button").last.click()
    boss.page.wait_for_load_state("networkidle")
    boss.sound()


def see_it_arrive(ada: Tab, words: Mapping[str, str]) -> None:
    ada.open("/partners/earnings")
    ada.page.locator("a[href^='/partners/trail/pay_']").first.click()
    ada.shows(words["done"])
    ada.shows("SEPA-1")
    ada.sound()


def enter_as_operator(made: Tab) -> None:
    with db.write() as session:
        staff = make_operator(session)
        token = identity.make_link(session, email=staff.email, now=clock.now(), from_cli=True)
    made.open(f"/login/verify?token={token}")
    made.page.locator("main form button").click()
    made.page.wait_for_url("**/admin/monitoring")
    made.sound()
