"""Groups, cases, disputes and the portal in a real browser, by those who use them."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

import pytest
from playwright.sync_api import Browser, expect
from sqlalchemy.orm import Session

from flowlink.identity import service as identity
from flowlink.kernel import clock, db, ids, policy as policies
from flowlink.kernel.money import Money
from flowlink.partners import groups, onboarding, referrals
from flowlink.partners.ids import GROUP
from flowlink.payouts import cases, deals, disputes, rewards
from flowlink.payouts.cases import Claim
from flowlink.payouts.deals import Agreement, Scope
from flowlink.payouts.ids import CASE
from flowlink.payouts.terms import Tier
from flowlink.tracking.ids import CONVERSION
from tests.conftest import Live
from tests.factories import Person, make_operator, make_partner
from tests.flows.browsing import DESKTOP, PHONE, Tab, browser, tab
from tests.insights.makers import make_world
from tests.payouts.makers import earn

FRENCH_PHONE = {"locale": "fr-FR", "viewport": PHONE, "color_scheme": "light"}
ENGLISH_DESKTOP = {"locale": "en-GB", "viewport": DESKTOP, "color_scheme": "light"}
WORDS = {
    "fr-FR": {"open": "Ouvrir le dossier", "add": "Ajouter le montant"},
    "en-GB": {"open": "Open the case", "add": "Add the amount"},
}
PARTNER = [
    "/partner/portal",
    "/partners/cases",
    "/partners/cases/new",
    "/partners/invite",
    "/partners/terms",
]
CONSOLE = [
    "/admin/groups",
    "/admin/offers/default/terms",
    "/admin/onboarding",
    "/admin/cases",
    "/admin/disputes",
]


@dataclass(frozen=True)
class Scene:
    """A partner with something of everything, and where it is shown."""

    ada: Person
    boss: Person
    partner_pages: list[str]
    console_pages: list[str]


@pytest.fixture(scope="module")
def started() -> Iterator[Browser]:
    with browser() as opened:
        yield opened


@pytest.fixture
def scene(live: Live) -> Scene:
    now = clock.now()
    with db.write() as session:
        world = make_world(session, now=now)
        ada, boss = world.ada, make_operator(session)
        group = groups.create(session, name="Créateurs", actor="test", now=now)
        groups.move(
            session,
            partner_id=ada.partner_id,
            group_id=group.id,
            reason="large audience",
            actor="test",
            now=now,
        )
        agree_both(session, group.id, ada, now)
        sale = live_a_while(session, ada, now)
        case = open_case(session, ada, now)
        publish(session, now)
    par = f"/admin/partners/{ids.public('par', ada.partner_id)}"
    trail = f"/partners/trail/{ids.public(CONVERSION, sale)}"
    opened = [f"/partners/cases/{case}", trail]
    console = [f"/admin/groups/{ids.public(GROUP, group.id)}", f"{par}/terms"]
    console.append(f"/admin/cases/{case}")
    return Scene(ada, boss, [*PARTNER, *opened], [*CONSOLE, *console])


def agree_both(session: Session, group_id: UUID, ada: Person, now: datetime) -> None:
    """Something with the group, and something else with the partner."""
    made = {"version": 0, "actor": "test", "now": now}
    tiers = (Tier(1_000_000_000, 6500), Tier(5_000_000_000, 7000))
    lasting = Agreement(tiers=tiers, marginal=True, months=12)
    better = Agreement(share_bps=6250, reserve_bps=2000, cap_month=Money.parse("900"))
    scope, mine = Scope(group_id=group_id), Scope(partner_id=ada.partner_id)
    deals.agree(session, scope=scope, agreement=lasting, reason="launch", **made)  # type: ignore[arg-type]
    deals.agree(session, scope=mine, agreement=better, reason="a promise", **made)  # type: ignore[arg-type]


def live_a_while(session: Session, ada: Person, now: datetime) -> UUID:
    """Sales of two weeks, one of them contested, and a partner who was brought."""
    bob = make_partner(session)
    sale = earn(session, ada, "80.00", at=now)
    for days in (1, 2, 4, 5, 8, 11):
        earn(session, ada, f"{days * 9}.00", at=now - timedelta(days=days))
    disputed = earn(session, ada, "30.00", at=now)
    disputes.open_dispute(
        session, conversion_id=disputed, reference="CB-2041", actor="test", now=now
    )
    referrals.keep(
        session,
        referrer_id=ada.partner_id,
        referred_id=bob.partner_id,
        policy=policies.at(session, now),
        now=now - timedelta(days=1),
    )
    earn(session, bob, "50.00", at=now)
    rewards.settle(session, now=now)
    return sale


def open_case(session: Session, ada: Person, now: datetime) -> str:
    claim = Claim("Order 4711 was paid on Friday.", Money.parse("12.50"), now.date())
    trail: dict[str, Any] = {"sales": [], "postbacks": []}
    made = cases.open_case(session, partner_id=ada.partner_id, claim=claim, trail=trail, now=now)
    return ids.public(CASE, made.id)


def publish(session: Session, now: datetime) -> None:
    onboarding.ask(
        session,
        asked_fr="Où partagez-vous ?",
        asked_en="Where do you share?",
        required=True,
        actor="test",
        now=now,
    )
    onboarding.publish(
        session,
        version="2027-01",
        body_fr="Un texte.",
        body_en="A text.",
        changes_fr="Le parrainage est décrit.",
        changes_en="Invitations are described.",
        actor="test",
        now=now,
    )


def come_in(seen: Tab, person: Person) -> None:
    with db.write() as session:
        token = identity.make_link(session, email=person.email, now=clock.now(), from_cli=True)
    seen.open(f"/login/verify?token={token}")
    seen.page.locator("main form button").click()
    seen.page.wait_for_url(lambda url: "/login" not in url)


@pytest.mark.parametrize("settings", [FRENCH_PHONE, ENGLISH_DESKTOP], ids=["fr", "en"])
def test_pages_are_sound_and_a_case_is_answered(
    live: Live, scene: Scene, started: Browser, settings: dict[str, Any]
) -> None:
    words = WORDS[settings["locale"]]
    with tab(started, live.url, **settings) as partner, tab(started, live.url, **settings) as staff:
        come_in(partner, scene.ada)
        come_in(staff, scene.boss)
        for path in scene.partner_pages:
            partner.open(path)
        for path in scene.console_pages:
            staff.open(path)

        partner.open("/partners/cases/new")
        partner.page.locator("#f-story").fill("Somebody bought and nothing came.")
        partner.page.locator("#f-amount").fill("3.20")
        partner.press(words["open"])
        partner.page.wait_for_url("**/partners/cases/case_*")
        case = partner.page.url.rpartition("/")[2]
        staff.open(f"/admin/cases/{case}")
        staff.page.locator("#accept-answer").fill("You are right.")
        staff.press(words["add"])
        partner.open(f"/partners/cases/{case}")
        expect(partner.page.locator("main")).to_contain_text("You are right.")
