"""The inbox's pages in a real browser: nothing too wide, nothing that axe finds."""

from collections.abc import Iterator
from typing import Any

import pytest
from playwright.sync_api import Browser

from flowlink.identity import service as identity
from flowlink.identity.deps import cookie_name
from flowlink.kernel import clock, db, ids
from flowlink.notify import webhooks
from flowlink.notify.ids import ENDPOINT, EndpointId
from flowlink.tracking import networks, postbacks, reports
from flowlink.tracking.ids import REPORT, NetworkId
from flowlink.tracking.postbacks import PostbackIn
from tests.conftest import Live
from tests.factories import Person, make_operator, make_partner
from tests.flows.browsing import DESKTOP, PHONE, Tab, browser, tab

FRENCH_PHONE = {"locale": "fr-FR", "viewport": PHONE, "color_scheme": "dark"}
ENGLISH_DESKTOP = {"locale": "en-GB", "viewport": DESKTOP, "color_scheme": "light"}
INBOX = (
    "/admin/postbacks",
    "/admin/postbacks/quarantine",
    "/admin/postbacks/try?network=direct&query=subid%3Dx%26amount%3D5",
    "/admin/networks/direct",
    "/admin/networks/direct/edit",
    "/admin/networks/presets",
    "/admin/reports",
)


@pytest.fixture(scope="module")
def started() -> Iterator[Browser]:
    with browser() as opened:
        yield opened


@pytest.mark.parametrize("settings", [FRENCH_PHONE, ENGLISH_DESKTOP], ids=["fr", "en"])
def test_the_inbox_is_sound(live: Live, started: Browser, settings: dict[str, Any]) -> None:
    with db.write() as session:
        staff = make_operator(session)
    report = something_that_waits()

    with tab(started, live.url, **settings) as boss:
        enter(boss, staff)
        for path in (*INBOX, report):
            boss.open(path)


@pytest.mark.parametrize("settings", [FRENCH_PHONE, ENGLISH_DESKTOP], ids=["fr", "en"])
def test_the_endpoints_are_sound(live: Live, started: Browser, settings: dict[str, Any]) -> None:
    with db.write() as session:
        ada = make_partner(session)
    path = an_endpoint(ada)

    with tab(started, live.url, **settings) as made:
        enter(made, ada)
        made.open("/partner/webhooks")
        made.open(path)


def something_that_waits() -> str:
    """An unknown word, a click that nobody knows, and a report; where the report is."""
    now = clock.now()
    with db.write() as session:
        network = networks.named(session, "direct")
        for query in ("subid=x&amount=5&status=validated", "subid=nobody&amount=5"):
            request = PostbackIn("GET", networks.signed_query(network, query))
            postbacks.receive(session, request=request, now=now)
        report = reports.take(
            session,
            network_id=NetworkId(network.id),
            filename="march.csv",
            content=b"subid,amount\nx,5.00\ny,\n",
            actor="test",
            now=now,
        )
        return f"/admin/reports/{ids.public(REPORT, report.id)}"


def an_endpoint(owner: Person) -> str:
    """One with a test in its log; where it is."""
    with db.write() as session:
        made = webhooks.add(
            session,
            owner_id=owner.partner_id,
            url="https://hooks.invalid/in",
            chosen=["hold.placed"],
            offered=["hold.placed"],
            method="POST",
            now=clock.now(),
        )
        key = EndpointId(made.id)
        webhooks.send_test(session, owner_id=owner.partner_id, endpoint_id=key, now=clock.now())
    return f"/partner/webhooks/{ids.public(ENDPOINT, key)}"


def enter(made: Tab, person: Person) -> None:
    now = clock.now()
    with db.write() as session:
        token = identity.make_link(session, email=person.email, now=now, from_cli=True)
        opened = identity.consume_link(session, token=token, now=now)
    cookie = {"name": cookie_name(), "value": opened.session_token, "url": made.url}
    made.page.context.add_cookies([cookie])  # type: ignore[list-item]
