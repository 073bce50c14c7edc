"""What providers say became of items: applied once, in whatever order it comes.

A provider's word is compared with where the withdrawal stands. It moves it on, says what is known
already, or contradicts it; a contradiction moves nothing and waits for a person.
"""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from uuid import UUID

from sqlalchemy import select
from sqlalchemy.orm import Session

from flowlink.kernel import db
from flowlink.kernel.money import Money
from flowlink.partners.ids import PartnerId
from flowlink.payouts import fees, withdrawals
from flowlink.payouts.ids import WithdrawalId
from flowlink.payouts.models import State, Withdrawal
from flowlink.payouts.run_models import RunItem
from flowlink.risk import service as risk

TEXT_MAX = 300


class Became(StrEnum):
    """What a provider's word came to."""

    APPLIED = "applied"
    KNOWN = "known"
    NOTED = "noted"
    CONTRADICTION = "contradiction"


@dataclass(frozen=True, slots=True)
class Word:
    """What a provider says of one item. `state` is None while it is still open there.

    `late`: a statement may report a payment after the return of the same payment.
    `fee`: what the provider keeps for it, beside its amount.
    """

    end_to_end_id: str
    state: State | None
    says: str
    reference: str = ""
    reason: str = ""
    detail: str = ""
    provider_item_id: str | None = None
    late: bool = False
    fee: Money | None = None


# Its money went back.
_CLOSED = {State.FAILED, State.RETURNED}


def apply(
    session: Session, *, words: Sequence[Word], actor: str, now: datetime
) -> list[Became | None]:
    """Apply what a provider says, one transaction for all; None for an item that we do not know."""
    items = _items(session, {word.end_to_end_id for word in words})
    found = _locked(session, {item.withdrawal_id for item in items.values()})
    became: list[Became | None] = []
    for word in words:
        item = items.get(word.end_to_end_id)
        if item is None:
            became.append(None)
            continue
        became.append(_one(session, found[item.withdrawal_id], item, word, actor, now))
    return became


def _one(
    session: Session,
    withdrawal: Withdrawal,
    item: RunItem,
    word: Word,
    actor: str,
    now: datetime,
) -> Became:
    present = State(withdrawal.state)
    result = _compare(present, item, word)
    if result is Became.CONTRADICTION:
        item.contradiction = f"{word.says} {word.reference} {word.detail}"[:TEXT_MAX].strip()
        return result
    if result is Became.KNOWN and word.state is not None:
        _book_fee(session, withdrawal, item, word, now)
        return result
    item.answer, item.answered_at = word.says, now
    item.provider_item_id = word.provider_item_id or item.provider_item_id
    item.trouble = word.detail[:TEXT_MAX]
    if result is Became.APPLIED:
        _step(session, withdrawal, word, actor, now)
        _book_fee(session, withdrawal, item, word, now)
    return result


def _book_fee(
    session: Session, withdrawal: Withdrawal, item: RunItem, word: Word, now: datetime
) -> None:
    """Also of a payment that we knew of: the provider may tell its fee later."""
    if word.state == State.SETTLED:
        fees.book(session, withdrawal=withdrawal, item=item, fee=word.fee, now=now)


def _compare(present: State, item: RunItem, word: Word) -> Became:
    if item.left_at is not None or present in {State.REQUESTED, State.APPROVED, State.IN_RUN}:
        return Became.CONTRADICTION  # nothing has been sent: whoever pays it is not us
    if word.state is None:
        return Became.NOTED if present == State.SENT else Became.KNOWN
    if word.state == present:
        return Became.KNOWN
    if present == State.SENT or (present, word.state) == (State.SETTLED, State.RETURNED):
        return Became.APPLIED
    if word.state in _CLOSED and present in _CLOSED:
        return Became.KNOWN  # its money went back already
    if word.late and (present, word.state) == (State.RETURNED, State.SETTLED):
        return Became.KNOWN
    return Became.CONTRADICTION


def _step(session: Session, withdrawal: Withdrawal, word: Word, actor: str, now: datetime) -> None:
    key = WithdrawalId(withdrawal.id)
    if word.state == State.SETTLED:
        withdrawals.arrived(
            session, withdrawal=withdrawal, reference=word.reference, actor=actor, now=now
        )
    elif word.state == State.FAILED:
        withdrawals.mark_failed(
            session, withdrawal_id=key, reason=word.reason, actor=actor, now=now
        )
    else:
        withdrawals.mark_returned(
            session, withdrawal_id=key, reason=word.reason, actor=actor, now=now
        )


def _items(session: Session, names: Collection[str]) -> dict[str, RunItem]:
    rows = select(RunItem).where(RunItem.end_to_end_id.in_(names))
    fresh = session.scalars(rows.execution_options(populate_existing=True))
    return {item.end_to_end_id: item for item in fresh}


def _locked(session: Session, keys: Collection[UUID]) -> dict[UUID, Withdrawal]:
    """All the withdrawals, then all their partners' standings, each in key order."""
    rows = db.lock(session, Withdrawal, Withdrawal.id.in_(keys))
    risk.lock_holds(session, partner_ids={PartnerId(row.partner_id) for row in rows})
    return {row.id: row for row in rows}
