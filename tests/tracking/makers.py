"""Makers of partners, links, visits and postbacks, committed where the edge can see them."""

import asyncio
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from itertools import count
from urllib.parse import parse_qs, urlencode, urlsplit

from sqlalchemy import text
from sqlalchemy.orm import Session

from flowlink.identity import service as identity
from flowlink.identity.ids import UserId
from flowlink.kernel import clock, db
from flowlink.partners import service as partners
from flowlink.partners.ids import PartnerId
from flowlink.tracking import clicks, networks, service, shipping, wiring
from flowlink.tracking.clicks import Visit
from flowlink.tracking.models import Link, Reason
from tests.patience import LONG_S

BROWSER = (
    "Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) "
    "Chrome/131.0.0.0 Safari/537.36"
)
_numbers = count(1)

Send = Callable[..., tuple[str, str | None]]


@dataclass(frozen=True)
class Shop:
    """A partner with a link, and the key of the network behind it."""

    partner_id: PartnerId
    link: Link
    key: str


def make_partner(session: Session, *, now: datetime) -> PartnerId:
    email = f"partner{next(_numbers)}@example.org"
    user = identity.ensure_user(session, email=email, now=now)
    return PartnerId(partners.ensure_active(session, user_id=UserId(user.id), now=now).id)


def make_shop(session: Session, *, slug: str | None = None, now: datetime | None = None) -> Shop:
    """The installation's own network and offer, a partner and a link."""
    at = now or clock.now()
    service.seed(session, base_url="http://testserver", now=at)
    partner_id = make_partner(session, now=at)
    link = service.create_link(session, partner_id=partner_id, slug=slug, now=at)
    return Shop(partner_id, link, networks.key_of(networks.named(session, "direct")))


def committed_shop(slug: str | None = None) -> Shop:
    with db.write() as session:
        return make_shop(session, slug=slug)


def postback(shop: Shop, **fields: str) -> str:
    """The query of a postback of the network `direct`."""
    return urlencode({"network": "direct", "key": shop.key} | fields)


def click_id(location: str) -> str:
    """The click id in the address that a click was sent to."""
    (found,) = parse_qs(urlsplit(location).query)["subid"]
    return found


def rows(session: Session, query: str, **params: object) -> list[tuple[object, ...]]:
    return [tuple(row) for row in session.execute(text(query), params)]


def ask(query: str, **params: object) -> list[tuple[object, ...]]:
    """The same, in a transaction of its own, once all clicks that were answered are there."""
    flush()
    with db.read() as session:
        return rows(session, query, **params)


def eventually(holds: Callable[[], bool]) -> None:
    """Wait until something holds that others were told of a moment ago."""
    deadline = time.monotonic() + LONG_S
    while not holds():
        assert time.monotonic() < deadline
        time.sleep(0.01)


async def until(holds: Callable[[], bool]) -> None:
    """The same for those who share a loop with whoever changes it."""
    async with asyncio.timeout(LONG_S):
        while not holds():  # noqa: ASYNC110  (whoever changes it has no event for us)
            await asyncio.sleep(0.005)


def flush() -> None:
    """Wait until what the journals hold is stored."""
    assert shipping.flush(wiring.journals(), new_store=wiring.new_store(), patience_s=20) == 0


def make_click(session: Session, shop: Shop, at: datetime) -> str:
    """The click id of a new click on the shop's link."""
    visit = Visit(shop.link.code, at, "203.0.113.9", BROWSER, "", Reason.VALID)
    (stored,) = clicks.store(session, visits=[visit])
    assert stored is not None
    return clicks.token_of(stored)


def conversions(session: Session) -> list[tuple[object, ...]]:
    """Status, cents and revision of every conversion."""
    query = "SELECT status, amount_micro / 10000, revision FROM tracking_conversion ORDER BY id"
    return rows(session, query)


def revisions(session: Session) -> list[tuple[object, ...]]:
    query = (
        "SELECT revision, status, amount_micro / 10000 FROM tracking_conversion_revision"
        " ORDER BY conversion_id, revision"
    )
    return rows(session, query)


def events(session: Session) -> int:
    """How often others were told that a conversion changed."""
    query = "SELECT count(*) FROM kernel_event WHERE name = 'conversion.changed'"
    (counted,) = rows(session, query)[0]
    assert isinstance(counted, int)
    return counted
