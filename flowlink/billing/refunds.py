"""Giving money back, as an operator decides it. The provider does it, a webhook says so."""

from datetime import datetime
from uuid import UUID

from sqlalchemy.orm import Session

from flowlink.billing import ids, queries, settlement
from flowlink.billing.models import Dispute, Paid, Payment
from flowlink.kernel import audit, db
from flowlink.kernel.errors import Invalid, Refused
from flowlink.kernel.money import Money


class NotPaid(Refused):
    message = "Only a payment that was made can be given back."


class InDispute(Refused):
    message = "The customer's bank decides about this payment now."


class RefundTooLarge(Invalid):
    message = "%(amount)s can be given back at most."
    field = "amount"


class RefundReasonMissing(Invalid):
    message = "Please say why the money goes back."
    field = "reason"


def ask(
    session: Session,
    *,
    payment_id: UUID,
    amount: Money,
    reason: str,
    actor: str,
    now: datetime,
    ip: str = "",
) -> None:
    """Have an amount given back, on top of what went back before. All of it ends the grant.

    :raises queries.UnknownPayment: :raises NotPaid: :raises InDispute:
    :raises RefundTooLarge: also nothing or less. :raises RefundReasonMissing:
    """
    found = db.lock(session, Payment, Payment.id == payment_id)
    if not found:
        raise queries.UnknownPayment
    payment = found[0]
    if not reason.strip():
        raise RefundReasonMissing
    if payment.status != Paid.PAID:
        raise NotPaid
    if payment.dispute in {Dispute.OPEN, Dispute.LOST}:
        raise InDispute
    asked = max(payment.refunded_minor, payment.refund_asked_minor)
    left = Money.from_cents(payment.amount_minor - asked, payment.currency)
    if not 0 < amount.micro <= left.micro:
        raise RefundTooLarge(amount=left)
    settlement.ask_refund(
        session, payment, total_minor=asked + amount.cents, reason=reason.strip()[:200]
    )
    audit.record(
        session,
        actor,
        "gave money back",
        ids.payment(payment.id),
        now,
        ip,
        amount=str(amount),
        reason=reason.strip()[:200],
    )
