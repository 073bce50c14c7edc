"""What people have decided about watched clicks becomes money, or nothing, once.

Cleared clicks are paid under the caps of their own day; what the budget cannot pay yet waits on,
it is not lost. Confirmed ones are worth nothing, and their partner sees why.
"""

from collections.abc import Mapping, Sequence
from datetime import datetime
from uuid import UUID

from sqlalchemy import select
from sqlalchemy.orm import Session

from flowlink.kernel import db
from flowlink.partners.ids import PartnerId
from flowlink.payouts import accruals, agreed, click_queries as queries
from flowlink.payouts.accruals import Draft
from flowlink.payouts.models import Accrual, Zero
from flowlink.payouts.screening import Room
from flowlink.payouts.waiting_models import Waiting
from flowlink.risk.watch_models import Watch, WatchState
from flowlink.tracking import budgets
from flowlink.tracking.models import OfferVersion


def settle(session: Session, *, now: datetime, watch_id: UUID | None = None) -> int:
    """Post what people have decided about, of one watch or of all; how many clicks.

    Two at once, or again, settle nothing twice: one waits for the other and finds nothing.
    """
    budgets.lock(session)
    due = _due(session, watch_id)
    rows = db.lock(session, Waiting, Waiting.id.in_(due), Waiting.settled_at.is_(None))
    fraud = _verdicts(session, rows)
    return sum(_settle(session, row, now, fraud=fraud[row.watch_id]) for row in rows)


def _due(session: Session, watch_id: UUID | None) -> Sequence[UUID]:
    rows = (
        select(Waiting.id)
        .join(Watch, Watch.id == Waiting.watch_id)
        .where(Waiting.settled_at.is_(None), Watch.state != WatchState.OPEN)
        .order_by(Waiting.id)
    )
    if watch_id is not None:
        rows = rows.where(Watch.id == watch_id)
    return session.scalars(rows).all()


def _verdicts(session: Session, rows: Sequence[Waiting]) -> Mapping[UUID, bool]:
    found = select(Watch.id, Watch.state).where(Watch.id.in_({row.watch_id for row in rows}))
    return {key: state == WatchState.CONFIRMED for key, state in session.execute(found)}


def _settle(session: Session, row: Waiting, now: datetime, *, fraud: bool) -> int:
    """One row at a time: each sees what the one before has spent."""
    offer_id, day = row.offer_id, row.hour.date()
    version = session.get_one(OfferVersion, (offer_id, row.version))
    last = queries.last_sequences(session, hour=row.hour, offer_ids=[offer_id])
    sequence = last.get((row.partner_id, offer_id), 0) + 1
    terms = agreed.pinned(session, [row.terms_id])[row.terms_id]
    draft = accruals.draft_of(version, terms, PartnerId(row.partner_id), sequence)
    draft.terms_id = row.terms_id
    if fraud:
        draft.zeros[Zero.FRAUD] = list(row.click_ids)
    else:
        _pay(row, draft, accruals.rooms_of(session, day, [offer_id])[offer_id])
    done = [*draft.paid, *(number for numbers in draft.zeros.values() for number in numbers)]
    if not done:
        return 0
    left = sorted(set(row.click_ids) - set(done))
    accruals.book(session, row.hour, [draft], now)
    if left:
        session.add(_rest(row, left))
    made = select(Accrual.id).where(
        Accrual.partner_id == row.partner_id,
        Accrual.offer_id == offer_id,
        Accrual.hour == row.hour,
        Accrual.sequence == sequence,
    )
    accrual_id = session.scalars(made).one()
    row.click_ids, row.settled_at, row.accrual_id = done, now, accrual_id
    session.flush()
    return len(done)


def _pay(row: Waiting, draft: Draft, room: Room) -> None:
    """Each click as far as the caps of its day let it; for what the budget lacks, nothing yet."""
    for number in row.click_ids:
        limits = room.limits(draft.terms, row.partner_id)
        zero = next((reason for reason, left in limits if left < draft.price), None)
        if zero is None:
            room.spend(draft.price, row.partner_id)
            draft.paid.append(number)
        elif zero is not Zero.BUDGET:
            draft.zeros[zero].append(number)


def _rest(row: Waiting, numbers: list[int]) -> Waiting:
    return Waiting(
        watch_id=row.watch_id,
        partner_id=row.partner_id,
        offer_id=row.offer_id,
        version=row.version,
        terms_id=row.terms_id,
        hour=row.hour,
        currency=row.currency,
        price_micro=row.price_micro,
        click_ids=numbers,
        since=row.since,
    )
