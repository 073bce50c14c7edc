"""Makers of conversions and their revisions, as tracking writes them."""

from datetime import UTC, datetime, timedelta
from uuid import UUID, uuid4

from sqlalchemy import select
from sqlalchemy.orm import Session

from flowlink.kernel import clock, events
from flowlink.kernel.money import Money
from flowlink.ledger import check as ledger_check
from flowlink.payouts import check, commissions
from flowlink.tracking import service as tracking
from flowlink.tracking.models import Conversion, ConversionRevision, Link, Network, Offer, Status
from tests.factories import Person

DAY = datetime(2026, 11, 1, 12, tzinfo=UTC)
IBAN = "FR1420041010050500013M02606"


def make_link(session: Session, person: Person) -> Link:
    """A link of the installation's own offer."""
    now = clock.now()
    tracking.seed(session, base_url="http://testserver", now=now)
    return tracking.create_link(session, partner_id=person.partner_id, now=now)


def convert(
    session: Session,
    person: Person,
    amount: str,
    *,
    status: Status = Status.APPROVED,
    at: datetime = DAY,
    share_bps: int = 6000,
    currency: str = "EUR",
) -> UUID:
    """A conversion in its first revision, not posted yet."""
    link = make_link(session, person)
    offer = session.get_one(Offer, link.offer_id)
    network = session.scalars(select(Network).where(Network.id == offer.network_id)).one()
    conversion = Conversion(
        network_id=network.id,
        dedupe_key=f"test:{uuid4()}",
        link_id=link.id,
        partner_id=person.partner_id,
        offer_id=offer.id,
        offer_version=offer.version,
        share_bps=share_bps,
        status=status,
        amount_micro=Money.parse(amount).micro,
        currency=currency,
        revision=0,
        occurred_at=at,
        updated_at=at,
    )
    session.add(conversion)
    session.flush()
    become(session, conversion.id, status, amount, at=at)
    return conversion.id


def become(
    session: Session,
    conversion_id: UUID,
    status: Status,
    amount: str | int,
    *,
    at: datetime = DAY,
) -> None:
    """The next revision of a conversion, with its event."""
    micro = amount if isinstance(amount, int) else Money.parse(amount).micro
    conversion = session.get_one(Conversion, conversion_id)
    conversion.revision += 1
    conversion.status, conversion.amount_micro = status, micro
    conversion.updated_at = at
    session.flush()
    session.add(
        ConversionRevision(
            conversion_id=conversion_id,
            revision=conversion.revision,
            status=status,
            amount_micro=micro,
            at=at,
        )
    )
    session.flush()
    payload = {"conversion_id": str(conversion_id), "revision": conversion.revision}
    events.emit(session, "conversion.changed", payload)


def earn(
    session: Session,
    person: Person,
    amount: str,
    *,
    status: Status = Status.APPROVED,
    at: datetime = DAY,
) -> UUID:
    """A conversion whose money is posted."""
    conversion_id = convert(session, person, amount, status=status, at=at)
    commissions.post_revisions(session, now=at)
    return conversion_id


def change(
    session: Session,
    conversion_id: UUID,
    status: Status,
    amount: str | int,
    *,
    at: datetime = DAY + timedelta(days=1),
) -> None:
    """A change of a conversion, posted."""
    become(session, conversion_id, status, amount, at=at)
    commissions.post_revisions(session, now=at)


def assert_clean(session: Session) -> None:
    """Every proof about money holds."""
    session.flush()
    assert [*ledger_check.problems(session), *check.problems(session)] == []
