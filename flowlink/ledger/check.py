"""Proof of the ledger: recounts everything from the transfers and names what is wrong."""

from collections.abc import Iterator, Sequence
from typing import Any

from sqlalchemy import Row, text
from sqlalchemy.orm import Session

from flowlink.kernel.money import Money
from flowlink.ledger.accounts import Account, AccountKind

_MOST = 100  # of one sort: enough to see what happened, and a report that can be read

_BALANCES = """
    WITH moved AS (
      SELECT account, shard, sum(amount)::bigint AS total FROM ledger_side GROUP BY 1, 2)
    SELECT a.kind, a.owner, a.currency, account, shard, b.balance, coalesce(m.total, 0) AS total
      FROM ledger_balance AS b FULL JOIN moved AS m USING (account, shard)
      LEFT JOIN ledger_account AS a ON a.number = account
     WHERE b.balance IS DISTINCT FROM coalesce(m.total, 0)
     ORDER BY account, shard LIMIT :most
"""

_CHAINS = """
    SELECT a.kind, a.owner, a.currency, s.* FROM (
      SELECT *, coalesce(lag(after) OVER (PARTITION BY account, shard ORDER BY number), 0) AS before
        FROM ledger_side) AS s
      LEFT JOIN ledger_account AS a ON a.number = s.account
     WHERE s.before + s.amount <> s.after
     ORDER BY s.number LIMIT :most
"""

_BOUNDS = """
    SELECT a.kind, a.owner, a.currency, b.account, b.shard, b.balance, k.floor, k.ceiling
      FROM ledger_balance AS b JOIN ledger_account AS a ON a.number = b.account
      JOIN ledger_account_kind AS k USING (kind)
     WHERE b.balance < k.floor OR b.balance > k.ceiling
     ORDER BY b.account, b.shard LIMIT :most
"""

_TOTALS = """
    SELECT coalesce(c.code, 'unknown') AS currency, sum(b.balance)::bigint AS total
      FROM ledger_balance AS b LEFT JOIN ledger_currency AS c ON c.number = b.account % 1000
     GROUP BY 1 HAVING sum(b.balance) <> 0
     ORDER BY 1 LIMIT :most
"""

_STRAYS = """
    SELECT entry_id, min(source) AS source, count(*) AS lines, max(leg) AS last
      FROM ledger_transfer GROUP BY entry_id HAVING count(*) <> max(leg) OR min(leg) <> 1
     ORDER BY entry_id LIMIT :most
"""


def problems(session: Session) -> list[str]:
    """All that is wrong, each with the account and the figures; empty when the ledger is true.

    Every balance is the sum of its transfers, every balance after a transfer follows from the
    one before, no balance is beyond its floor or ceiling, each currency sums to zero, and no
    entry lacks one of its transfers.
    """
    return [
        *_wrong_balances(session),
        *_broken_chains(session),
        *_beyond_bounds(session),
        *_unequal_totals(session),
        *_strays(session),
    ]


def _wrong_balances(session: Session) -> Iterator[str]:
    for row in _rows(session, _BALANCES):
        has = "is missing" if row.balance is None else f"is {_money(row, row.balance)}"
        yield f"{_name(row)}: the balance {has}, its transfers sum to {_money(row, row.total)}"


def _broken_chains(session: Session) -> Iterator[str]:
    for row in _rows(session, _CHAINS):
        yield (
            f"{_name(row)}: transfer {row.number} moves {_money(row, row.amount)} from"
            f" {_money(row, row.before)}, and says {_money(row, row.after)} is there after it"
        )


def _beyond_bounds(session: Session) -> Iterator[str]:
    for row in _rows(session, _BOUNDS):
        below = row.floor is not None and row.balance < row.floor
        side = f"below {_money(row, row.floor)}" if below else f"above {_money(row, row.ceiling)}"
        yield f"{_name(row)}: the balance is {_money(row, row.balance)}, {side}"


def _unequal_totals(session: Session) -> Iterator[str]:
    for row in _rows(session, _TOTALS):
        yield f"{row.currency}: all balances together are {_money(row, row.total)}, not zero"


def _strays(session: Session) -> Iterator[str]:
    for row in _rows(session, _STRAYS):
        if row.source is None:
            yield f"transfers of {row.entry_id}: there is no such entry"
        else:
            yield f"entry {row.source}: {row.lines} transfers are there of {row.last}"


def _rows(session: Session, query: str) -> Sequence[Row[Any]]:
    return session.execute(text(query), {"most": _MOST}).all()


def _name(row: Row[Any]) -> str:
    if row.kind is None:
        return f"unknown account {row.account}, shard {row.shard}"
    account = Account(kind=AccountKind(row.kind), owner=row.owner, currency=row.currency)
    return f"{account}, shard {row.shard}" if row.shard else str(account)


def _money(row: Row[Any], micro: int) -> str:
    """To the last millionth: what is wrong may be less than a cent."""
    money = Money(micro, row.currency or "")
    return f"{money.decimal():f} {money.currency}".rstrip()
