"""Makers of offers that pay for clicks, and of the clicks."""

from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from itertools import count
from typing import Any
from uuid import uuid4

from sqlalchemy.orm import Session

from flowlink.kernel import clock
from flowlink.kernel.money import Money
from flowlink.payouts import accruals
from flowlink.tracking import budgets, clicks, networks, offers, service as tracking
from flowlink.tracking.clicks import Visit
from flowlink.tracking.ids import OfferId
from flowlink.tracking.models import Link, Mode, Offer, Reason
from flowlink.tracking.offers import OfferIn
from tests.factories import Person

HOUR = datetime(2026, 11, 10, 14, tzinfo=UTC)
NEXT = timedelta(hours=1)
_addresses = count(1)


def make_offer(session: Session, *, cpc: str = "0.10", budget: str = "", **terms: Any) -> Offer:
    """An offer that has paid for clicks since before `HOUR`."""
    tracking.seed(session, base_url="http://testserver", now=clock.now())
    given = OfferIn(
        name=f"clicks-{uuid4().hex[:8]}",
        mode=Mode.CPC,
        destination="https://shop.example/",
        cpc=offers.price(cpc),
        budget=Money.parse(budget) if budget else None,
        **{name: _money(value) for name, value in terms.items()},
    )
    network = networks.named(session, "direct")
    at = HOUR - timedelta(days=20)
    return offers.create(session, given=given, network=network, actor="test", now=at)


def link_to(session: Session, person: Person, offer: Offer) -> Link:
    offer_id = OfferId(offer.id)
    return tracking.create_link(
        session, partner_id=person.partner_id, offer_id=offer_id, now=HOUR - timedelta(days=1)
    )


def retell(session: Session, offer: Offer, *, at: datetime, **terms: Any) -> None:
    """Change the offer's terms at that moment."""
    offers.change(
        session,
        offer_id=OfferId(offer.id),
        terms=replace(offers.terms_of(offer), **terms),
        version=offer.version,
        actor="test",
        now=at,
    )


def click(
    session: Session,
    *links: Link,
    number: int = 1,
    at: datetime = HOUR,
    reason: Reason = Reason.VALID,
) -> Sequence[int]:
    """Clicks of so many visitors on each link, a second apart; their numbers."""
    visits = [
        Visit(link.code, at + timedelta(seconds=nth), address(), "Mozilla/5.0", "", reason)
        for nth in range(number)
        for link in links
    ]
    stored = clicks.store(session, visits=visits)
    return [one.number for one in stored if one is not None]


def address() -> str:
    """An address that nobody has clicked from."""
    number = next(_addresses)
    return f"2001:db8::{number >> 16:x}:{number & 0xFFFF:x}"


def accrue(session: Session, now: datetime = HOUR + NEXT) -> tuple[int, int]:
    """All that is due, as the job does it: how many clicks were paid, how many were not."""
    paid = zero = 0
    while (done := accruals.accrue(session, now=now)) is not None:
        paid, zero = paid + done.paid, zero + done.zero
    return paid, zero


def left(session: Session, offer: Offer) -> str:
    return str(budgets.left(session, [offer.id])[offer.id])


def _money(value: Any) -> Any:
    return Money.parse(value) if isinstance(value, str) else value
