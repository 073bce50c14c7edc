"""The ledger's journal for the operator: entries in order, and where each came from and led to."""

from collections.abc import Sequence
from dataclasses import dataclass
from uuid import UUID

from sqlalchemy import ColumnElement, false, func, or_, select
from sqlalchemy.orm import Session

from flowlink.insights import sources
from flowlink.insights.sources import Origin
from flowlink.kernel import ids
from flowlink.kernel.errors import NotFound
from flowlink.kernel.money import Money
from flowlink.ledger import queries as ledger
from flowlink.ledger.entries import EntryKind
from flowlink.ledger.models import AccountRow, BalanceRow, EntryRow, TransferRow
from flowlink.ledger.queries import EntryView
from flowlink.partners.ids import PREFIX as PARTNER

ENTRY = "ent"
KINDS = tuple(kind.value for kind in EntryKind)
_SOURCES = {"cnv": "conversion", "pay": "withdrawal", "hold": "hold"}


@dataclass(frozen=True)
class JournalLine:
    """An entry as the journal shows it: `moved` is the sum of its transfers."""

    entry: EntryRow
    transfers: int
    moved: Money


@dataclass(frozen=True)
class EntryPage:
    """One entry whole, and the way of its money in both directions."""

    entry: EntryView
    origin: Origin


@dataclass(frozen=True)
class Total:
    """All money in the accounts of one kind and currency."""

    kind: str
    balance: Money
    accounts: int


def entries(
    session: Session,
    *,
    kind: str = "",
    query: str = "",
    before: UUID | None = None,
    limit: int = 50,
) -> Sequence[JournalLine]:
    """The newest first; `query` is a public id (of a partner, conversion …) or a source."""
    rows = select(EntryRow)
    if query.strip():
        rows = rows.where(_search(query.strip()))
    if kind:
        rows = rows.where(EntryRow.kind == kind)
    if before is not None:
        rows = rows.where(EntryRow.id < before)
    found = session.scalars(rows.order_by(EntryRow.id.desc()).limit(limit)).all()
    moved = _moved(session, [entry.id for entry in found])
    return [JournalLine(entry, *moved[entry.id]) for entry in found]


def entry(session: Session, entry_id: UUID) -> EntryPage:
    """:raises NotFound: no such entry."""
    found = ledger.entry(session, entry_id)
    return EntryPage(entry=found, origin=sources.origin(session, found.source))


def totals(session: Session) -> Sequence[Total]:
    """What is where, over all owners."""
    rows = (
        select(
            AccountRow.kind,
            AccountRow.currency,
            func.sum(BalanceRow.balance),
            func.count(AccountRow.number.distinct()),
        )
        .join(BalanceRow, BalanceRow.account == AccountRow.number)
        .group_by(AccountRow.kind, AccountRow.currency)
        .order_by(AccountRow.currency, AccountRow.kind)
    )
    return [
        Total(kind=kind, balance=Money(int(micro), currency), accounts=count)
        for kind, currency, micro, count in session.execute(rows)
    ]


def _moved(session: Session, entry_ids: Sequence[UUID]) -> dict[UUID, tuple[int, Money]]:
    """How many transfers each entry has, and what they move together."""
    rows = (
        select(
            TransferRow.entry_id,
            func.count(),
            func.sum(TransferRow.amount),
            func.min(AccountRow.currency),
        )
        .join(AccountRow, AccountRow.number == TransferRow.debit)
        .where(TransferRow.entry_id.in_(entry_ids))
        .group_by(TransferRow.entry_id)
    )
    return {
        entry_id: (count, Money(int(micro), currency))
        for entry_id, count, micro, currency in session.execute(rows)
    }


def _search(query: str) -> ColumnElement[bool]:
    """What an operator pasted: one of our public ids, or how a source begins."""
    prefix = query.partition("_")[0]
    if prefix not in {*_SOURCES, ENTRY, PARTNER}:
        return EntryRow.source.startswith(query, autoescape=True)
    try:
        key = ids.parse(prefix, query)
    except NotFound:
        return false()
    if prefix == ENTRY:
        return EntryRow.id == key
    if prefix in _SOURCES:
        return EntryRow.source.startswith(f"{_SOURCES[prefix]}:{key}:")
    mine = select(TransferRow.entry_id).join(
        AccountRow,
        or_(AccountRow.number == TransferRow.debit, AccountRow.number == TransferRow.credit),
    )
    return EntryRow.id.in_(mine.where(AccountRow.owner == str(key)))
