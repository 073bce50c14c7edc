"""Withdrawals of partners who owe us: approved before the debt, they wait for a person.

A sale that is taken back after a withdrawal was asked for leaves a debt. Until a person has seen
it and says that the money may go all the same, no run takes the withdrawal; or they reject it, and
its money repays the debt first.
"""

from collections.abc import Sequence
from datetime import datetime

from sqlalchemy.orm import Session

from flowlink.kernel import audit, db
from flowlink.kernel.errors import Refused
from flowlink.ledger.accounts import AccountKind
from flowlink.partners import own_affairs
from flowlink.partners.ids import PartnerId
from flowlink.payouts import ids, purses, queries
from flowlink.payouts.ids import WithdrawalId
from flowlink.payouts.models import State, Withdrawal


class NothingStopped(Refused):
    message = "No debt stops this withdrawal."


def allow(
    session: Session, *, withdrawal_id: WithdrawalId, actor: str, now: datetime, ip: str = ""
) -> Withdrawal:
    """Let an approved withdrawal be paid though its partner owes us what they owe now.

    If they come to owe more, it waits again.

    :raises NothingStopped: it is not approved, or nothing is owed that nobody has seen.
    :raises own_affairs.OwnAffair: :raises queries.UnknownWithdrawal:
    """
    found = db.lock(session, Withdrawal, Withdrawal.id == withdrawal_id)
    if not found:
        raise queries.UnknownWithdrawal
    (withdrawal,) = found
    partner_id = PartnerId(withdrawal.partner_id)
    own_affairs.refuse(session, partner_id=partner_id, actor=actor)
    purse = purses.locked(session, partner_id=partner_id, currency=withdrawal.currency)
    if withdrawal.state != State.APPROVED or purse.debt.micro <= withdrawal.debt_seen_micro:
        raise NothingStopped
    withdrawal.debt_seen_micro = purse.debt.micro
    subject = ids.public(WithdrawalId(withdrawal.id))
    facts = {"amount": str(withdrawal.amount), "debt": str(purse.debt)}
    audit.record(session, actor, "allowed withdrawal despite debt", subject, now, ip, **facts)
    return withdrawal


def free(session: Session, inside: Sequence[Withdrawal]) -> list[Withdrawal]:
    """Those that no debt stops. The caller holds the partners' locks, so nothing comes to it."""
    found = queries.partner_balances(session, {PartnerId(each.partner_id) for each in inside})
    return [
        each
        for each in inside
        if -found.get((PartnerId(each.partner_id), each.currency, AccountKind.DEBT), 0)
        <= each.debt_seen_micro
    ]
