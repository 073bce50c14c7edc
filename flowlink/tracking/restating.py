"""What a person says of a sale, beside its network: taken back wholly, or in part."""

from datetime import datetime
from uuid import UUID

from sqlalchemy.orm import Session

from flowlink.kernel import audit, db, events, ids
from flowlink.kernel.errors import Refused
from flowlink.kernel.money import BadAmount, Money
from flowlink.partners import own_affairs
from flowlink.partners.ids import PartnerId
from flowlink.tracking import lifecycle
from flowlink.tracking.ids import CONVERSION
from flowlink.tracking.lifecycle import State, Step
from flowlink.tracking.models import Conversion, ConversionRevision, Result, Status
from flowlink.tracking.queries import UnknownConversion


class NothingChanges(Refused):
    message = "This sale is like that already, or cannot change any more."


def restate(
    session: Session,
    *,
    conversion_id: UUID,
    status: Status,
    amount: Money | None = None,
    actor: str,
    now: datetime,
    reason: str = "",
    ip: str = "",
) -> Conversion:
    """Bring the sale to its next revision, by the same table as a postback does (the package's).

    Without `amount` it stays. A partial refund is `approved` with what is left.

    What its network said before changes nothing when it is repeated; what it says anew counts.
    :raises UnknownConversion: :raises NothingChanges: the table knows no such step.
    :raises BadAmount: below zero. :raises OwnAffair: `actor` is the sale's partner.
    """
    if amount is not None and amount.micro < 0:
        raise BadAmount
    found = db.lock(session, Conversion, Conversion.id == conversion_id)
    if not found:
        raise UnknownConversion
    (sale,) = found
    own_affairs.refuse(session, partner_id=PartnerId(sale.partner_id), actor=actor)
    micro = None if amount is None else amount.micro
    before = State(Status(sale.status), sale.amount_micro)
    step = lifecycle.decide(before, status=status, amount_micro=micro)
    if step.result != Result.OK:
        raise NothingChanges
    _become(session, sale, step, now)
    _tell(session, sale)
    subject = ids.public(CONVERSION, sale.id)
    facts = {"status": str(step.status), "amount": str(sale.amount), "reason": reason}
    audit.record(session, actor, "restated sale", subject, now, ip, **facts)
    return sale


def _become(session: Session, sale: Conversion, step: Step, now: datetime) -> None:
    if sale.said_micro is None and step.amount_micro != sale.amount_micro:
        sale.said_micro = sale.amount_micro
    sale.revision += 1
    sale.status, sale.amount_micro, sale.updated_at = step.status, step.amount_micro, now
    sale.approved_at = sale.rejected_at = None  # said before the person spoke
    session.add(
        ConversionRevision(
            conversion_id=sale.id,
            revision=sale.revision,
            status=step.status,
            amount_micro=step.amount_micro,
            at=now,
        )
    )
    session.flush()  # a constraint that says no says it here


def _tell(session: Session, sale: Conversion) -> None:
    told = {"conversion_id": str(sale.id), "revision": sale.revision}
    events.emit(session, "conversion.changed", told)
