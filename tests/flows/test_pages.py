"""Every page in a browser: it fits its window, its console is silent, and axe finds nothing."""

from collections.abc import Iterator
from typing import Any

import pytest
from playwright.sync_api import Browser

from flowlink.identity import service as identity
from flowlink.kernel import clock, db
from tests.conftest import Live
from tests.factories import Person, make_operator
from tests.flows.browsing import DESKTOP, PHONE, Tab, browser, tab
from tests.insights.makers import World, make_world, withdraw
from tests.patience import LONG_S

FRENCH_PHONE = {"locale": "fr-FR", "viewport": PHONE, "color_scheme": "light"}
ENGLISH_DESKTOP = {"locale": "en-GB", "viewport": DESKTOP, "color_scheme": "dark"}
PUBLIC = ["/", "/partners", "/partners/leaderboard", "/partners/faq", "/login", "/docs"]
PARTNER = [
    "/partner/portal",
    "/partners/earnings",
    "/partners/earnings/lines",
    "/partners/sales",
    "/account",
]
CONSOLE = [
    "/admin/monitoring",
    "/admin/ledger",
    "/admin/checks",
    "/admin/partners",
    "/admin/postbacks",
    "/admin/postbacks/try?network=direct&amount=5&subid=x",
    "/admin/trail",
    "/admin/networks",
    "/admin/networks/direct",
    "/admin/offers",
    "/admin/jobs",
    "/admin/jobs/reserve_release",
    "/admin/mails",
    "/admin/audit",
    "/admin/settings",
    "/ops/holds",
    "/ops/payouts/pending",
    "/admin/payouts",
]
# A list, and the link in it that opens one thing of it.
OPENED = {
    "/partner/portal": "main table a[href^='/partners/trail/']:not([href*=cnv_])",
    "/partners/sales": "main a[href^='/partners/trail/cnv_']",
    "/partners/earnings": "main a[href^='/partners/trail/pay_']",
    "/admin/ledger": "main a[href^='/admin/ledger/ent_']",
    "/admin/partners": "main a[href^='/admin/partners/par_']",
    "/admin/postbacks": "main a[href^='/admin/postbacks/pb_']",
    "/admin/mails": "main a[href^='/admin/mails/mail_']",
}


@pytest.fixture(scope="module")
def started() -> Iterator[Browser]:
    with browser() as opened:
        yield opened


@pytest.fixture
def world(live: Live) -> World:
    now = clock.now()
    with db.write() as session:
        made = make_world(session, now=now)
        withdraw(session, made.ada.partner_id, "20.00", now=now)
        to = "new@example.org"
        identity.mail_link(session, email=to, area="user", lang="fr", ip="::1", now=now)
    return made


@pytest.mark.parametrize("settings", [FRENCH_PHONE, ENGLISH_DESKTOP], ids=["fr", "en"])
def test_every_page_is_sound(
    live: Live, world: World, started: Browser, settings: dict[str, Any]
) -> None:
    with db.write() as session:
        boss = make_operator(session)
    for person, paths in ((None, PUBLIC), (world.ada, PARTNER), (boss, CONSOLE)):
        with tab(started, live.url, **settings) as opened:
            if person is not None:
                enter(opened, person)
            for path in paths:
                look(opened, path)


def enter(opened: Tab, person: Person) -> None:
    with db.write() as session:
        token = identity.make_link(session, email=person.email, now=clock.now(), from_cli=True)
    opened.open(f"/login/verify?token={token}")
    opened.page.locator("main form button").click()
    opened.page.wait_for_url(lambda url: "/login" not in url)
    opened.sound()


def look(opened: Tab, path: str) -> None:
    """The page, and one of the things that it lists."""
    opened.open(path)
    if path in OPENED:
        target = opened.page.locator(OPENED[path]).first.get_attribute(
            "href", timeout=1000 * LONG_S
        )
        assert target is not None, path
        opened.open(target)
