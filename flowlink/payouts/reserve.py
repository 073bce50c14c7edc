"""The reserve's release: what was kept back becomes available on its day."""

from collections.abc import Collection, Sequence
from datetime import datetime
from uuid import UUID

from sqlalchemy import select
from sqlalchemy.orm import Session

from flowlink.kernel.money import Money
from flowlink.ledger import service as ledger
from flowlink.ledger.service import AccountKind, Code, Entry, EntryKind, Transfer
from flowlink.partners import ids as partner_ids
from flowlink.partners.ids import PartnerId
from flowlink.payouts import purses
from flowlink.payouts.models import ReserveLot
from flowlink.payouts.purses import Purse, Purses


def release(session: Session, *, now: datetime, limit: int = 1000) -> int:
    """Release the lots whose day has come, at most `limit`; returns how many.

    Twice, late or two at once releases nothing twice: a lot is released once, its entry bears its
    name, and its partner is locked while that happens.
    """
    due = select(ReserveLot.id, ReserveLot.partner_id).where(
        ReserveLot.release_on <= now.date(), ReserveLot.released_at.is_(None)
    )
    found = session.execute(due.order_by(ReserveLot.release_on).limit(limit)).all()
    opened = Purses(session, partner_ids={PartnerId(row.partner_id) for row in found})
    lots = _still_due(session, [row.id for row in found])
    entries = [_entry(lot, opened, now) for lot in lots if lot.remaining_micro]
    for outcome in ledger.post_many(session, entries, now):
        assert outcome.status is ledger.Status.CREATED, outcome
    for lot in lots:
        lot.released_micro, lot.remaining_micro, lot.released_at = lot.remaining_micro, 0, now
    return len(lots)


def _still_due(session: Session, lot_ids: Collection[UUID]) -> Sequence[ReserveLot]:
    """Read again under the partners' locks: somebody may have been faster."""
    rows = select(ReserveLot).where(ReserveLot.id.in_(lot_ids), ReserveLot.released_at.is_(None))
    fresh = rows.order_by(ReserveLot.id).execution_options(populate_existing=True)
    return session.scalars(fresh).all()


def _entry(lot: ReserveLot, opened: Purses, now: datetime) -> Entry:
    purse = opened.of(PartnerId(lot.partner_id), lot.currency)
    return Entry(
        source=f"release:{lot.partner_id}:{lot.currency}:{lot.release_on}:{lot.id}",
        kind=EntryKind.RELEASE,
        transfers=_transfers(purse, Money(lot.remaining_micro, lot.currency)),
        effective_at=now,
        ref={
            "partner": partner_ids.public(PartnerId(lot.partner_id)),
            "release_on": lot.release_on.isoformat(),
        },
    )


def _transfers(purse: Purse, amount: Money) -> tuple[Transfer, ...]:
    reserve = purse.account(AccountKind.RESERVE)
    return tuple(
        Transfer(reserve, purse.account(kind), part, code)
        for kind, part, code in purses.codes(purse.give(amount), Code.RELEASE)
    )
