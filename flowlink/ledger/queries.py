"""Reads of the ledger: balances, the lines of accounts, entries. Nothing here locks or waits."""

from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import BigInteger, Row, Select, cast, func, select, text, tuple_, union_all
from sqlalchemy.orm import Session, aliased

from flowlink.kernel.errors import NotFound
from flowlink.kernel.money import Money
from flowlink.ledger.accounts import PARTNER_KINDS, Account, AccountKind
from flowlink.ledger.entries import Code, EntryKind
from flowlink.ledger.models import OWNED_FROM, AccountRow, BalanceRow, EntryRow, TransferRow

# Asked so often that it is worth writing out: building it would take longer than running it.
_BALANCE = text(
    """
    SELECT CAST(sum(b.balance) AS bigint)
      FROM ledger_account AS a JOIN ledger_balance AS b ON b.account = a.number
     WHERE a.owner = :owner AND a.kind = :kind AND a.currency = :currency
    """
)


@dataclass(frozen=True, slots=True)
class Line:
    """What one transfer did to one account: `amount` is negative for what left it."""

    position: int
    entry_id: UUID
    kind: EntryKind
    source: str
    at: datetime
    effective_at: datetime
    ref: dict[str, str]
    account: Account
    code: Code
    amount: Money
    balance_after: Money | None
    """None where the account is spread over shards: there is no single running balance."""


@dataclass(frozen=True, slots=True)
class Lines:
    """Some lines, newest first, and the cursor of those after them; None at the end."""

    items: tuple[Line, ...]
    next: int | None


@dataclass(frozen=True, slots=True)
class TransferView:
    """One line of an entry as posted, with both balances after it (of the shard, if sharded)."""

    debit: Account
    credit: Account
    amount: Money
    code: Code
    debit_after: Money
    credit_after: Money


@dataclass(frozen=True, slots=True)
class EntryView:
    """One entry as posted."""

    id: UUID
    source: str
    kind: EntryKind
    effective_at: datetime
    at: datetime
    ref: dict[str, str]
    transfers: tuple[TransferView, ...]


def balance(session: Session, account: Account) -> Money:
    """What is in the account; zero for one that was never used."""
    values = {"owner": account.owner, "kind": account.kind.value, "currency": account.currency}
    total = session.scalar(_BALANCE, values)
    return Money(total or 0, account.currency)


def balances(
    session: Session, owner: UUID | str, currency: str = "EUR"
) -> dict[AccountKind, Money]:
    """All that an owner has: each kind a partner can have, and any other that is open."""
    rows = session.execute(
        select(AccountRow.kind, cast(func.sum(BalanceRow.balance), BigInteger))
        .join_from(AccountRow, BalanceRow)
        .where(AccountRow.owner == str(owner), AccountRow.currency == currency)
        .group_by(AccountRow.kind)
    )
    found = {AccountKind(kind): Money(total, currency) for kind, total in rows}
    return dict.fromkeys(PARTNER_KINDS, Money.zero(currency)) | found


def lines(
    session: Session, accounts: Collection[Account], cursor: int | None = None, limit: int = 50
) -> Lines:
    """What happened to these accounts, newest first, from behind `cursor` on."""
    opened = _opened(session, accounts)
    if not opened:
        return Lines(items=(), next=None)
    sides = [_side(number, sign, cursor, limit + 1) for number in opened for sign in (-1, 1)]
    found = union_all(*(side.subquery().select() for side in sides)).subquery()
    rows = session.execute(
        select(found, EntryRow)
        .join(EntryRow, EntryRow.id == found.c.entry_id)
        .order_by(found.c.position.desc())
        .limit(limit + 1)
    ).all()
    items = tuple(_line(opened[row.account], row) for row in rows[:limit])
    return Lines(items=items, next=items[-1].position if len(rows) > limit else None)


def entry(session: Session, entry_id: UUID) -> EntryView:
    """One entry with all its transfers.

    :raises NotFound: there is none of this id.
    """
    found = session.get(EntryRow, entry_id)
    if found is None:
        raise NotFound
    return _view(session, found)


def find_by_source(session: Session, source: str) -> EntryView | None:
    """The entry of this source, if it was posted."""
    found = session.scalar(select(EntryRow).where(EntryRow.source == source))
    return None if found is None else _view(session, found)


def _account(row: AccountRow) -> Account:
    return Account(kind=AccountKind(row.kind), owner=row.owner, currency=row.currency)


def _opened(session: Session, accounts: Collection[Account]) -> dict[int, AccountRow]:
    names = [(each.owner, each.kind.value, each.currency) for each in accounts]
    key = tuple_(AccountRow.owner, AccountRow.kind, AccountRow.currency)
    rows = session.scalars(select(AccountRow).where(key.in_(names)))
    return {row.number: row for row in rows}


def _side(number: int, sign: int, cursor: int | None, limit: int) -> Select[Any]:
    """The newest lines of one account on one side: -1 the debits, 1 the credits.

    A transfer takes two positions, its debit's before its credit's: a page can end between.
    """
    name = "debit" if sign < 0 else "credit"
    columns = TransferRow.__table__.c
    side = (
        select(
            (2 * columns.number + max(sign, 0)).label("position"),
            columns[name].label("account"),
            (sign * columns.amount).label("amount"),
            columns[f"{name}_after"].label("balance_after"),
            columns.code,
            columns.entry_id,
        )
        .where(columns[name] == number)
        .order_by(columns.number.desc())
        .limit(limit)
    )
    if number >= OWNED_FROM:  # written out, so that the planner knows the partial index will do
        side = side.where(text(f"{name} >= {OWNED_FROM}"))
    if cursor is not None:
        side = side.where(columns.number < (cursor + (sign < 0)) // 2)
    return side


def _line(account: AccountRow, row: Row[Any]) -> Line:
    entry_row: EntryRow = row.EntryRow
    after = Money(row.balance_after, account.currency) if account.shards == 1 else None
    return Line(
        position=row.position,
        entry_id=entry_row.id,
        kind=EntryKind(entry_row.kind),
        source=entry_row.source,
        at=entry_row.at,
        effective_at=entry_row.effective_at,
        ref=entry_row.ref,
        account=_account(account),
        code=Code(row.code),
        amount=Money(row.amount, account.currency),
        balance_after=after,
    )


def _view(session: Session, row: EntryRow) -> EntryView:
    debit, credit = aliased(AccountRow), aliased(AccountRow)
    transfers = session.execute(
        select(TransferRow, debit, credit)
        .join(debit, debit.number == TransferRow.debit)
        .join(credit, credit.number == TransferRow.credit)
        .where(TransferRow.entry_id == row.id)
        .order_by(TransferRow.leg)
    )
    return EntryView(
        id=row.id,
        source=row.source,
        kind=EntryKind(row.kind),
        effective_at=row.effective_at,
        at=row.at,
        ref=row.ref,
        transfers=tuple(_transfer(*found) for found in transfers),
    )


def _transfer(row: TransferRow, debit: AccountRow, credit: AccountRow) -> TransferView:
    currency = debit.currency
    return TransferView(
        debit=_account(debit),
        credit=_account(credit),
        amount=Money(row.amount, currency),
        code=Code(row.code),
        debit_after=Money(row.debit_after, currency),
        credit_after=Money(row.credit_after, currency),
    )
