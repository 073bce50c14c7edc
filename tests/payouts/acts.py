"""What happens to withdrawals, as tests do it."""

from datetime import datetime

from sqlalchemy.orm import Session

from flowlink.identity.ids import actor_of
from flowlink.kernel import policy as policies
from flowlink.kernel.money import Money
from flowlink.payouts import service as payouts, withdrawals
from flowlink.payouts.ids import WithdrawalId
from flowlink.payouts.models import State, Withdrawal
from flowlink.risk import service as risk
from tests.factories import Person, make_operator
from tests.payouts.makers import DAY


def ask(
    session: Session,
    person: Person,
    amount: str | Money = "20.00",
    *,
    rail: str = "paypal",
    details: str = "ada@example.org",
    now: datetime = DAY,
    once: str = "",
) -> Withdrawal:
    return payouts.request_withdrawal(
        session,
        partner_id=person.partner_id,
        amount=amount if isinstance(amount, Money) else Money.parse(amount),
        rail=rail,
        details=details,
        policy=policies.at(session, now),
        now=now,
        once=once,
    )


def approve(session: Session, withdrawal: Withdrawal, by: Person | None = None) -> Withdrawal:
    operator = by or make_operator(session)
    return withdrawals.approve(
        session,
        withdrawal_id=WithdrawalId(withdrawal.id),
        actor=actor_of(operator.user_id),
        person=operator.user_id,
        now=DAY,
    )


def pay(session: Session, withdrawal: Withdrawal, reference: str = "PP-1") -> Withdrawal:
    return withdrawals.mark_paid(
        session,
        withdrawal_id=WithdrawalId(withdrawal.id),
        reference=reference,
        actor="secret",
        now=DAY,
    )


def reject(session: Session, withdrawal: Withdrawal, reason: str = "wrong name") -> Withdrawal:
    return withdrawals.reject(
        session, withdrawal_id=WithdrawalId(withdrawal.id), reason=reason, actor="secret", now=DAY
    )


def fail(session: Session, withdrawal: Withdrawal, reason: str = "no account") -> Withdrawal:
    return withdrawals.mark_failed(
        session, withdrawal_id=WithdrawalId(withdrawal.id), reason=reason, actor="secret", now=DAY
    )


def give_back(session: Session, withdrawal: Withdrawal, reason: str = "closed") -> Withdrawal:
    return withdrawals.mark_returned(
        session, withdrawal_id=WithdrawalId(withdrawal.id), reason=reason, actor="secret", now=DAY
    )


def hold(session: Session, person: Person) -> None:
    risk.place_hold(
        session,
        partner_id=person.partner_id,
        reason="52 clicks in 10 minutes",
        evidence={},
        actor="test",
        now=DAY,
        policy=policies.at(session, DAY),
    )


def in_state(session: Session, person: Person, state: State) -> Withdrawal:
    """A withdrawal of 20.00 that has come to this state."""
    withdrawal = ask(session, person)
    if state == State.REQUESTED:
        withdrawal.state, withdrawal.approved_by = State.REQUESTED, None
    elif state in {State.IN_RUN, State.SENT}:
        withdrawals.move(session, withdrawal, State.IN_RUN, actor="test", now=DAY)
        if state == State.SENT:
            withdrawals.move(session, withdrawal, State.SENT, actor="test", now=DAY)
    elif state == State.REJECTED:
        reject(session, withdrawal)
    elif state == State.FAILED:
        fail(session, withdrawal)
    elif state in {State.SETTLED, State.RETURNED}:
        pay(session, withdrawal)
        if state == State.RETURNED:
            give_back(session, withdrawal)
    session.flush()
    assert withdrawal.state == state
    return withdrawal
