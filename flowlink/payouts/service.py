"""A partner asks for their money: set aside, and approved at once where no person has to look."""

from datetime import datetime

from sqlalchemy import select
from sqlalchemy.orm import Session

from flowlink.kernel.errors import Forbidden, Invalid, Refused
from flowlink.kernel.money import BadAmount, Money
from flowlink.kernel.policy import Policy
from flowlink.ledger.service import AccountKind, Code, EntryKind, Transfer
from flowlink.partners import queries as partners
from flowlink.partners.ids import PartnerId
from flowlink.partners.models import Partner, PartnerStatus
from flowlink.payouts import methods, purses, withdrawals
from flowlink.payouts.models import POLICY, Method, State, Withdrawal

ONCE_MAX = 64


class BelowMinimum(Invalid):
    message = "The smallest withdrawal is %(minimum)s."
    field = "amount"


class AboveAvailable(Refused):
    message = "You have %(available)s available."
    field = "amount"


class OnHold(Refused):
    message = "Your earnings are being reviewed. We wrote to you about why: %(reason)s"


class FormSentBefore(Refused):
    message = "This form was sent before, for %(amount)s. Please open the page again."
    field = "amount"


class NotActive(Forbidden):
    message = "Your partner account is not open."


def request_withdrawal(
    session: Session,
    *,
    partner_id: PartnerId,
    amount: Money,
    rail: str,
    details: str,
    policy: Policy,
    now: datetime,
    once: str = "",
    holder: str = "",
) -> Withdrawal:
    """Set `amount` (whole cents) aside and open a withdrawal, in one transaction (spec 3).

    The same `once` again, as when a form is sent twice, returns the withdrawal it made before.

    :raises FormSentBefore: it was for another amount.
    :raises BadAmount: not whole cents. :raises BelowMinimum: less than `policy.payout_min`.
    :raises NotActive: the partner waits for approval, or is closed.
    :raises OnHold: read under the lock that placing a hold takes.
    :raises methods.BadMethod: not a method we pay by.
    :raises methods.BadDetails: not a valid IBAN or PayPal address.
    :raises AboveAvailable: more than is there, simultaneous requests included.
    """
    _check_amount(amount, policy)
    partner = partners.get(session, partner_id)
    if partner.status != PartnerStatus.ACTIVE:
        raise NotActive
    purse = purses.locked(session, partner_id=partner_id, currency=amount.currency)
    if (made_before := _made_before(session, partner_id, once, amount)) is not None:
        return made_before
    if purse.hold is not None:
        raise OnHold(reason=purse.hold.reason)
    method = methods.keep(
        session,
        partner_id=partner_id,
        rail=rail,
        details=details,
        policy=policy,
        now=now,
        holder=holder,
    )
    if amount > purse.available:
        raise AboveAvailable(available=purse.available.floor_cents())
    withdrawal = _opened(partner, method, amount, once, now)
    withdrawal.needs_person = _needs_person(amount, method, policy, now)
    _set_aside(session, withdrawal, purse, now)
    return withdrawal


def _opened(
    partner: Partner, method: Method, amount: Money, once: str, now: datetime
) -> Withdrawal:
    return Withdrawal(
        partner_id=partner.id,
        method_id=method.id,
        amount_minor=amount.cents,
        currency=amount.currency,
        state=State.REQUESTED,
        once=once[:ONCE_MAX] or None,
        requester_id=partner.user_id,
        created_at=now,
        updated_at=now,
    )


def _check_amount(amount: Money, policy: Policy) -> None:
    if amount != amount.round_cents():
        raise BadAmount
    if amount < policy.payout_min or amount.micro <= 0:
        raise BelowMinimum(minimum=policy.payout_min)


def _needs_person(amount: Money, method: Method, policy: Policy, now: datetime) -> bool:
    return amount >= policy.payout_approval_threshold or method.settled_at > now


def _set_aside(
    session: Session, withdrawal: Withdrawal, purse: purses.Purse, now: datetime
) -> None:
    session.add(withdrawal)
    session.flush()  # the ledger's source is the withdrawal's id
    requester = withdrawals.requester_of(withdrawal)
    withdrawals.note(session, withdrawal, before=None, actor=requester, now=now)
    transfer = Transfer(
        purse.account(AccountKind.AVAILABLE),
        purse.account(AccountKind.WITHDRAWING),
        withdrawal.amount,
        Code.WITHDRAWAL,
    )
    withdrawals.post(
        session,
        withdrawal,
        step="requested",
        kind=EntryKind.WITHDRAWAL,
        transfers=(transfer,),
        now=now,
    )
    if not withdrawal.needs_person:
        withdrawal.approved_by = POLICY
        withdrawals.move(session, withdrawal, State.APPROVED, actor=POLICY, now=now)


def _made_before(
    session: Session, partner_id: PartnerId, once: str, amount: Money
) -> Withdrawal | None:
    if not once:
        return None
    mine = Withdrawal.partner_id == partner_id, Withdrawal.once == once[:ONCE_MAX]
    found = session.scalars(select(Withdrawal).where(*mine)).one_or_none()
    if found is not None and found.amount != amount:
        raise FormSentBefore(amount=found.amount)
    return found
