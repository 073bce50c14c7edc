"""What an operator says became of a payment: settled, failed or come back.

Not while PayPal is being asked about it: what was not answered may have been paid, and money that
is given back meanwhile, or paid by another way, would be paid twice (decision 0011).
"""

from datetime import datetime

from sqlalchemy import select
from sqlalchemy.orm import Session

from flowlink.identity.ids import UserId
from flowlink.kernel import db
from flowlink.kernel.errors import Refused
from flowlink.payouts import stop_queries, withdrawals
from flowlink.payouts.ids import WithdrawalId
from flowlink.payouts.models import State, Withdrawal


class StillAsked(Refused):
    message = "PayPal is still being asked about this payment. Deciding now could pay it twice."


def pay(
    session: Session,
    *,
    withdrawal_id: WithdrawalId,
    reference: str,
    actor: str,
    person: UserId | None,
    now: datetime,
    ip: str = "",
) -> Withdrawal:
    """As `withdrawals.mark_paid`. :raises StillAsked:"""
    _check_answered(session, withdrawal_id)
    return withdrawals.mark_paid(
        session,
        withdrawal_id=withdrawal_id,
        reference=reference,
        actor=actor,
        person=person,
        now=now,
        ip=ip,
    )


def fail(
    session: Session,
    *,
    withdrawal_id: WithdrawalId,
    reason: str,
    actor: str,
    person: UserId | None,
    now: datetime,
    ip: str = "",
) -> Withdrawal:
    """As `withdrawals.mark_failed`. :raises StillAsked:"""
    _check_answered(session, withdrawal_id)
    return withdrawals.mark_failed(
        session,
        withdrawal_id=withdrawal_id,
        reason=reason,
        actor=actor,
        person=person,
        now=now,
        ip=ip,
    )


def give_back(
    session: Session,
    *,
    withdrawal_id: WithdrawalId,
    reason: str,
    actor: str,
    person: UserId | None,
    now: datetime,
    ip: str = "",
) -> Withdrawal:
    """As `withdrawals.mark_returned`. :raises StillAsked:"""
    _check_answered(session, withdrawal_id)
    return withdrawals.mark_returned(
        session,
        withdrawal_id=withdrawal_id,
        reason=reason,
        actor=actor,
        person=person,
        now=now,
        ip=ip,
    )


def _check_answered(session: Session, withdrawal_id: WithdrawalId) -> None:
    """Locks the withdrawal first: it is in no run that it was not in when we looked."""
    sent = Withdrawal.id == withdrawal_id, Withdrawal.state == State.SENT
    if not db.lock(session, Withdrawal, *sent):
        return
    asked = select(Withdrawal.id).where(*sent, stop_queries.being_asked())
    if session.scalars(asked).first() is not None:
        raise StillAsked
