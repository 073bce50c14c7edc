"""Reviewing in a real browser: watched clicks and holds, decided after a preview."""

from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import pytest
from playwright.sync_api import Browser

from flowlink.kernel import clock, db, policy as policies
from flowlink.payouts import jobs
from flowlink.risk import scales, service as risk
from tests.conftest import Live
from tests.factories import Person, make_operator, make_partner
from tests.flows.browsing import browser, tab
from tests.flows.test_offer_pages import ENGLISH_DESKTOP, FRENCH_PHONE, come_in
from tests.payouts.click_makers import link_to, make_offer
from tests.risk.makers import NOON, machines

WORDS = {
    "fr-FR": {"preview": "Aperçu", "do": "Confirmer", "none": "est surveillé"},
    "en-GB": {"preview": "Preview", "do": "Do it", "none": "Nothing is watched"},
}
FACTS = {"rule": "velocity", "limit": 40, "clicks": 57, "ip_hashes": 9, "user_agents": 2}


@pytest.fixture(scope="module")
def started() -> Iterator[Browser]:
    with browser() as opened:
        yield opened


def world() -> tuple[Person, Person]:
    """Two partners with what an operator reviews, and the operator."""
    now = clock.now()
    with db.write() as session:
        ada, bob, boss = make_partner(session), make_partner(session), make_operator(session)
        machines(session, link_to(session, ada, make_offer(session, budget="100.00")))
        scales.set_for(
            session, partner_id=bob.partner_id, percent=500, reason="viral", actor="test", now=now
        )
    jobs.accrue_clicks(NOON + timedelta(hours=1))
    with db.write() as session:
        numbers = policies.at(session, now)
        for person, at in ((ada, now), (bob, now - timedelta(days=40))):
            risk.place_hold(
                session,
                partner_id=person.partner_id,
                reason="57 clicks",
                evidence=FACTS,
                actor="job:risk_sweep",
                now=at,
                policy=numbers,
            )
    return ada, boss


@pytest.mark.parametrize("settings", [FRENCH_PHONE, ENGLISH_DESKTOP], ids=["fr", "en"])
def test_what_waits_is_reviewed(live: Live, started: Browser, settings: dict[str, Any]) -> None:
    words = WORDS[settings["locale"]]
    ada, boss = world()
    with tab(started, live.url, **settings) as staff, tab(started, live.url, **settings) as partner:
        come_in(partner, ada)
        partner.open("/partner/portal")
        come_in(staff, boss)
        staff.open("/ops/holds")
        staff.open("/ops/limits")
        staff.open("/ops/watches")
        staff.page.locator("input[name=watch]").first.check()
        staff.page.locator("#verdict textarea").fill("a newsletter")
        staff.press(words["preview"])
        staff.press(words["do"])
        staff.shows(words["none"])
        staff.open("/ops/watches?state=decided")
