"""Withdrawals on their way: approved, rejected, settled, failed, returned (the module's table)."""

from datetime import datetime

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from flowlink.identity.ids import UserId, actor_of
from flowlink.kernel import audit, db, events
from flowlink.kernel.errors import Forbidden, Invalid, Refused
from flowlink.ledger import service as ledger
from flowlink.ledger.service import AccountKind, Code, Entry, EntryKind, Transfer
from flowlink.partners import ids as partner_ids
from flowlink.partners.ids import PartnerId
from flowlink.payouts import ids, methods, notices, purses, queries
from flowlink.payouts.ids import WithdrawalId
from flowlink.payouts.models import STEPS, Method, Rail, State, Withdrawal, WithdrawalEvent
from flowlink.payouts.purses import Purse

TEXT_MAX = 500
_BANKS = {Rail.PAYPAL: AccountKind.PAYPAL, Rail.BANK: AccountKind.BANK}


class WrongState(Refused):
    message = "This step is not open for this withdrawal."


class NotApprovedYet(WrongState):
    message = "This withdrawal is not approved yet."


class AlreadyApproved(WrongState):
    message = "This withdrawal is approved already."


class OnItsWay(WrongState):
    message = "This withdrawal is on its way to the bank."


class AlreadyPaid(WrongState):
    message = "This withdrawal was paid already."


class MoneyWentBack(WrongState):
    message = "This withdrawal is closed: its money went back to the partner."


class OwnWithdrawal(Forbidden):
    message = "Whoever asked for a withdrawal cannot decide about it. Somebody else has to."


class PartnerOnHold(Refused):
    message = "This partner is on hold. Lift the hold first."


class ReasonMissing(Invalid):
    message = "Please give a reason."
    field = "reason"


class ReferenceMissing(Invalid):
    message = "Please give the payment's reference."
    field = "reference"


_NOT_OPEN: dict[State, type[WrongState]] = {
    State.REQUESTED: NotApprovedYet,
    State.APPROVED: AlreadyApproved,
    State.IN_RUN: OnItsWay,
    State.SENT: OnItsWay,
    State.SETTLED: AlreadyPaid,
    State.REJECTED: MoneyWentBack,
    State.FAILED: MoneyWentBack,
    State.RETURNED: MoneyWentBack,
}


def approve(
    session: Session,
    *,
    withdrawal_id: WithdrawalId,
    actor: str,
    person: UserId | None,
    now: datetime,
    ip: str = "",
) -> Withdrawal:
    """Let a withdrawal be paid. `person` is who stands behind `actor`, if one is known.

    :raises OwnWithdrawal: that person asked for it (a constraint of the table, too).
    :raises WrongState: :raises PartnerOnHold: :raises queries.UnknownWithdrawal:
    """
    withdrawal = _lock(session, withdrawal_id)
    _check_step(withdrawal, State.APPROVED)
    _check_not_own(withdrawal, person)
    withdrawal.debt_seen_micro = _purse_without_hold(session, withdrawal).debt.micro
    withdrawal.approved_by, withdrawal.approver_id = actor, person
    move(session, withdrawal, State.APPROVED, actor=actor, now=now)
    _audit(session, withdrawal, "approved withdrawal", actor, now, ip)
    return withdrawal


def reject(
    session: Session,
    *,
    withdrawal_id: WithdrawalId,
    reason: str,
    actor: str,
    now: datetime,
    ip: str = "",
) -> Withdrawal:
    """Refuse a withdrawal before it is sent, and give the money back.

    :raises ReasonMissing: :raises WrongState: :raises queries.UnknownWithdrawal:
    """
    withdrawal = _lock(session, withdrawal_id)
    _give_back(session, withdrawal, State.REJECTED, reason=reason, actor=actor, now=now, ip=ip)
    return withdrawal


def mark_failed(
    session: Session,
    *,
    withdrawal_id: WithdrawalId,
    reason: str,
    actor: str,
    person: UserId | None = None,
    now: datetime,
    ip: str = "",
) -> Withdrawal:
    """The payment did not leave: give the money back.

    :raises ReasonMissing: :raises WrongState: :raises queries.UnknownWithdrawal:
    """
    withdrawal = _lock(session, withdrawal_id)
    _check_not_own(withdrawal, person)
    _give_back(session, withdrawal, State.FAILED, reason=reason, actor=actor, now=now, ip=ip)
    return withdrawal


def mark_returned(
    session: Session,
    *,
    withdrawal_id: WithdrawalId,
    reason: str,
    actor: str,
    person: UserId | None = None,
    now: datetime,
    ip: str = "",
) -> Withdrawal:
    """The payment came back, even after it was settled: give the money back.

    :raises ReasonMissing: :raises WrongState: :raises queries.UnknownWithdrawal:
    """
    withdrawal = _lock(session, withdrawal_id)
    _check_not_own(withdrawal, person)
    _give_back(session, withdrawal, State.RETURNED, reason=reason, actor=actor, now=now, ip=ip)
    return withdrawal


def mark_paid(
    session: Session,
    *,
    withdrawal_id: WithdrawalId,
    reference: str,
    actor: str,
    person: UserId | None = None,
    now: datetime,
    ip: str = "",
) -> Withdrawal:
    """Settle a withdrawal that was paid by hand; `reference` finds the payment again.

    A second time is refused as no open step, and moves nothing.

    :raises ReferenceMissing: :raises WrongState: :raises PartnerOnHold:
    :raises queries.UnknownWithdrawal:
    """
    withdrawal = _lock(session, withdrawal_id)
    _check_not_own(withdrawal, person)
    _check_step(withdrawal, State.SETTLED)
    found_by = _given(reference, ReferenceMissing)
    _settle(session, withdrawal, _purse_without_hold(session, withdrawal), now)
    withdrawal.reference = found_by
    move(session, withdrawal, State.SETTLED, actor=actor, now=now, why=found_by)
    _audit(session, withdrawal, "paid withdrawal", actor, now, ip)
    notices.tell(session, withdrawal, now=now)
    return withdrawal


def arrived(
    session: Session, *, withdrawal: Withdrawal, reference: str, actor: str, now: datetime
) -> None:
    """Settle a locked withdrawal that a provider says was paid: a fact, whatever binds since.

    :raises WrongState: it was not sent.
    """
    _check_step(withdrawal, State.SETTLED)
    _settle(session, withdrawal, _purse(session, withdrawal), now)
    withdrawal.reference = reference[:TEXT_MAX]
    move(session, withdrawal, State.SETTLED, actor=actor, now=now, why=withdrawal.reference)
    notices.tell(session, withdrawal, now=now)


def reveal(
    session: Session, *, withdrawal_id: WithdrawalId, actor: str, now: datetime, ip: str = ""
) -> str:
    """Where to send the money, in clear, for whoever pays by hand. Looking is audited.

    :raises queries.UnknownWithdrawal:
    """
    withdrawal = _lock(session, withdrawal_id)
    _audit(session, withdrawal, "read payout details", actor, now, ip)
    return methods.details_of(_method(session, withdrawal))


def requester_of(withdrawal: Withdrawal) -> str:
    """How the log names whoever asked for it."""
    return actor_of(UserId(withdrawal.requester_id))


def move(
    session: Session,
    withdrawal: Withdrawal,
    state: State,
    *,
    actor: str,
    now: datetime,
    why: str = "",
) -> None:
    """Take an open step and write it down.

    :raises WrongState: the table of steps has none from here to there.
    """
    _check_step(withdrawal, state)
    before, withdrawal.state, withdrawal.updated_at = withdrawal.state, state, now
    note(session, withdrawal, before=before, actor=actor, now=now, why=why)


def note(
    session: Session,
    withdrawal: Withdrawal,
    *,
    before: State | None,
    actor: str,
    now: datetime,
    why: str = "",
) -> None:
    """Write down how a withdrawal came to its present state."""
    mine = WithdrawalEvent.withdrawal_id == withdrawal.id
    last = session.scalar(select(func.max(WithdrawalEvent.sequence)).where(mine)) or 0
    session.add(
        WithdrawalEvent(
            withdrawal_id=withdrawal.id,
            sequence=last + 1,
            from_state=before,
            to_state=withdrawal.state,
            actor=actor,
            note=why,
            at=now,
        )
    )
    session.flush()  # a step that the table does not know is refused here
    payload = {"withdrawal_id": str(withdrawal.id), "sequence": last + 1}
    events.emit(session, "withdrawal.changed", payload)


def post(
    session: Session,
    withdrawal: Withdrawal,
    *,
    step: str,
    kind: EntryKind,
    transfers: tuple[Transfer, ...],
    now: datetime,
) -> None:
    """Move this withdrawal's money, once for each step."""
    entry = Entry(
        source=f"withdrawal:{withdrawal.id}:{step}",
        kind=kind,
        transfers=transfers,
        effective_at=now,
        ref={
            "withdrawal": ids.public(withdrawal.id),
            "partner": partner_ids.public(PartnerId(withdrawal.partner_id)),
        },
    )
    ledger.post(session, entry, now)


def _lock(session: Session, withdrawal_id: WithdrawalId) -> Withdrawal:
    found = db.lock(session, Withdrawal, Withdrawal.id == withdrawal_id)
    if not found:
        raise queries.UnknownWithdrawal
    return found[0]


def _check_step(withdrawal: Withdrawal, state: State) -> None:
    present = State(withdrawal.state)
    if state not in STEPS.get(present, frozenset()):
        raise _NOT_OPEN[present]


def _check_not_own(withdrawal: Withdrawal, person: UserId | None) -> None:
    if person == withdrawal.requester_id:
        raise OwnWithdrawal


def _purse_without_hold(session: Session, withdrawal: Withdrawal) -> Purse:
    purse = _purse(session, withdrawal)
    if purse.hold is not None:
        raise PartnerOnHold
    return purse


def _purse(session: Session, withdrawal: Withdrawal) -> Purse:
    partner_id = PartnerId(withdrawal.partner_id)
    return purses.locked(session, partner_id=partner_id, currency=withdrawal.currency)


def _settle(session: Session, withdrawal: Withdrawal, purse: Purse, now: datetime) -> None:
    transfer = Transfer(
        purse.account(AccountKind.WITHDRAWING),
        _bank(session, withdrawal),
        withdrawal.amount,
        Code.PAYOUT,
    )
    post(
        session,
        withdrawal,
        step="settled",
        kind=EntryKind.PAYOUT,
        transfers=(transfer,),
        now=now,
    )


def _give_back(
    session: Session,
    withdrawal: Withdrawal,
    state: State,
    *,
    reason: str,
    actor: str,
    now: datetime,
    ip: str,
) -> None:
    """Money that did not arrive goes back to its partner, who can ask for it again."""
    _check_step(withdrawal, state)
    why = _given(reason, ReasonMissing)
    purse = _purse(session, withdrawal)
    if withdrawal.state == State.SETTLED:
        step, kind, usual = "bounced", EntryKind.PAYOUT, Code.PAYOUT_BACK
        debit = _bank(session, withdrawal)
    else:
        step, kind, usual = "returned", EntryKind.WITHDRAWAL, Code.WITHDRAWAL_BACK
        debit = purse.account(AccountKind.WITHDRAWING)
    transfers = tuple(
        Transfer(debit, purse.account(to), amount, code)
        for to, amount, code in purses.codes(purse.give_back(withdrawal.amount), usual)
    )
    post(session, withdrawal, step=step, kind=kind, transfers=transfers, now=now)
    withdrawal.reason = why
    move(session, withdrawal, state, actor=actor, now=now, why=why)
    _audit(session, withdrawal, f"{state} withdrawal", actor, now, ip)
    notices.tell(session, withdrawal, now=now)


def _bank(session: Session, withdrawal: Withdrawal) -> ledger.Account:
    rail = Rail(_method(session, withdrawal).rail)
    return ledger.account(_BANKS[rail], currency=withdrawal.currency)


def _method(session: Session, withdrawal: Withdrawal) -> Method:
    return session.get_one(Method, withdrawal.method_id)


def _given(text: str, missing: type[Invalid]) -> str:
    if not text.strip():
        raise missing
    return text.strip()[:TEXT_MAX]


def _audit(
    session: Session, withdrawal: Withdrawal, action: str, actor: str, now: datetime, ip: str
) -> None:
    facts = {"amount": str(withdrawal.amount), "reason": withdrawal.reason}
    if withdrawal.reference:
        facts["reference"] = withdrawal.reference
    audit.record(session, actor, action, ids.public(withdrawal.id), now, ip, **facts)
