"""The reserve's release: what was kept back becomes available on its day."""

from datetime import datetime

from sqlalchemy import select
from sqlalchemy.orm import Session

from flowlink.kernel import db
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
    name, and it is locked while that happens.
    """
    due = ReserveLot.release_on <= now.date(), ReserveLot.released_at.is_(None)
    rows = select(ReserveLot.id, ReserveLot.partner_id).where(*due)
    found = session.execute(rows.order_by(ReserveLot.release_on).limit(limit)).all()
    opened = Purses(session, partner_ids={PartnerId(row.partner_id) for row in found})
    lots = db.lock(session, ReserveLot, ReserveLot.id.in_([row.id for row in found]), *due)
    entries = [_entry(lot, opened, now) for lot in lots if lot.remaining_micro]
    for outcome in ledger.post_many(session, entries, now):
        assert outcome.status is ledger.Status.CREATED, outcome
    for lot in lots:
        lot.released_micro, lot.remaining_micro, lot.released_at = lot.remaining_micro, 0, now
    return len(lots)


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
