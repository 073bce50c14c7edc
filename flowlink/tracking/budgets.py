"""Budgets of offers: the accounts that clicks are paid from. An empty one pays nothing."""

from collections.abc import Collection
from datetime import datetime
from uuid import UUID, uuid4

from sqlalchemy import select
from sqlalchemy.orm import Session

from flowlink.kernel import audit, db, ids
from flowlink.kernel.errors import Invalid
from flowlink.kernel.money import Money
from flowlink.ledger import service as ledger
from flowlink.ledger.models import AccountRow, BalanceRow
from flowlink.ledger.service import Account, AccountKind, Code, Entry, EntryKind, Transfer
from flowlink.tracking.ids import OFFER
from flowlink.tracking.models import Offer, Stop

_LONGEST_ONCE = 64


class BadFunding(Invalid):
    message = "The amount has to be above zero."
    field = "amount"


def fund(
    session: Session,
    *,
    offer: Offer,
    amount: Money,
    actor: str,
    now: datetime,
    ip: str = "",
    once: str = "",
) -> None:
    """Pay into the offer's budget. The same `once` again pays nothing a second time.

    :raises BadFunding: not above zero.
    :raises ledger.SourceReused: the same `once` with another amount.
    """
    expense = ledger.account(AccountKind.COMMISSION_EXPENSE, currency=offer.currency)
    transfer = _transfer(expense, account(offer), amount, Code.BUDGET)
    _post(session, offer, transfer, actor=actor, now=now, ip=ip, once=once)


def take_back(
    session: Session,
    *,
    offer: Offer,
    amount: Money,
    actor: str,
    now: datetime,
    ip: str = "",
    once: str = "",
) -> None:
    """Take out what clicks have not used.

    :raises BadFunding: not above zero. :raises ledger.InsufficientFunds: more than is there.
    :raises ledger.SourceReused: the same `once` with another amount.
    """
    lock(session)
    expense = ledger.account(AccountKind.COMMISSION_EXPENSE, currency=offer.currency)
    transfer = _transfer(account(offer), expense, amount, Code.BUDGET_BACK)
    _post(session, offer, transfer, actor=actor, now=now, ip=ip, once=once)


def lock(session: Session) -> None:
    """Until the transaction ends nobody else spends from budgets; taken before any other lock."""
    db.advisory_lock(session, "tracking.budgets")


def account(offer: Offer) -> Account:
    return ledger.account(AccountKind.CLICK_BUDGET, offer.id, offer.currency)


def left(session: Session, offer_ids: Collection[UUID]) -> dict[UUID, Money]:
    """What is in these offers' budgets; nothing in those that were never funded."""
    owners = [str(offer_id) for offer_id in offer_ids]
    rows = (
        select(AccountRow.owner, AccountRow.currency, BalanceRow.balance)
        .join(BalanceRow, BalanceRow.account == AccountRow.number)
        .where(AccountRow.kind == AccountKind.CLICK_BUDGET.value, AccountRow.owner.in_(owners))
    )
    found = {UUID(row[0]): Money(row[2], row[1]) for row in session.execute(rows)}
    return {offer_id: found.get(offer_id, Money.zero()) for offer_id in offer_ids}


def stop_of(offer: Offer, *, left: Money, now: datetime) -> Stop | None:
    """Why clicks on this offer are not paid now, if so; sales are never paid by the click."""
    if offer.cpc_micro is None:
        return None
    if not offer.active:
        return Stop.PAUSED
    if offer.starts_at is not None and now < offer.starts_at:
        return Stop.NOT_STARTED
    if offer.ends_at is not None and now >= offer.ends_at:
        return Stop.ENDED
    return Stop.BUDGET if left.micro < offer.cpc_micro else None


def _transfer(debit: Account, credit: Account, amount: Money, code: Code) -> Transfer:
    if amount.micro <= 0:
        raise BadFunding
    return Transfer(debit, credit, amount, code)


def _post(
    session: Session,
    offer: Offer,
    transfer: Transfer,
    *,
    actor: str,
    now: datetime,
    ip: str,
    once: str,
) -> None:
    subject = ids.public(OFFER, offer.id)
    entry = Entry(
        source=f"budget:{offer.id}:{once[:_LONGEST_ONCE] or uuid4()}",
        kind=EntryKind.BUDGET,
        transfers=(transfer,),
        effective_at=now,
        ref={"offer": subject, "actor": actor},
    )
    if ledger.post(session, entry, now).replay:
        return
    action = "offer.funded" if transfer.code is Code.BUDGET else "offer.budget_taken_back"
    audit.record(session, actor, action, subject, now, ip, amount=str(transfer.amount))
