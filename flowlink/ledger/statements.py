"""What moved into and out of a group of accounts over a span of time, by day and code."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime
from uuid import UUID

from sqlalchemy import text
from sqlalchemy.orm import Session

from flowlink.kernel.money import Money
from flowlink.ledger.accounts import AccountKind
from flowlink.ledger.entries import Code
from flowlink.ledger.models import OWNED_FROM

# What stays within the group cancels out and is no movement. Only owners' accounts are asked for,
# whose transfers have an index of their own.
_BY_DAY = text(
    f"""
    WITH mine AS MATERIALIZED (
      SELECT number FROM ledger_account
       WHERE owner = :owner AND currency = :currency AND kind = ANY(:kinds)
    ), sides AS (
      SELECT t.number, t.entry_id, t.code, t.amount FROM mine
        JOIN ledger_transfer AS t ON t.credit = mine.number AND t.credit >= {OWNED_FROM}
      UNION ALL
      SELECT t.number, t.entry_id, t.code, -t.amount FROM mine
        JOIN ledger_transfer AS t ON t.debit = mine.number AND t.debit >= {OWNED_FROM}
    ), moves AS (
      SELECT entry_id, code, sum(amount) AS amount FROM sides
       GROUP BY number, entry_id, code HAVING sum(amount) <> 0
    )
    SELECT CASE WHEN e.at >= :since THEN (e.at AT TIME ZONE 'UTC')::date END AS day,
           CASE WHEN e.at >= :since THEN m.code END AS code, sum(m.amount)::bigint
      FROM moves AS m JOIN ledger_entry AS e ON e.id = m.entry_id
     WHERE e.at < :until
     GROUP BY 1, 2 ORDER BY 1 NULLS FIRST, 2
    """  # noqa: S608
)


@dataclass(frozen=True, slots=True)
class Movement:
    """What all transfers of one code did on one UTC day; negative for what left."""

    day: date
    code: Code
    amount: Money


@dataclass(frozen=True, slots=True)
class Movements:
    """A span's movements in order, and the balance before the first and after the last."""

    opening: Money
    items: Sequence[Movement]
    closing: Money


def movements(
    session: Session,
    *,
    owner: UUID,
    kinds: Sequence[AccountKind],
    since: datetime,
    until: datetime,
    currency: str = "EUR",
) -> Movements:
    """What an owner's accounts of these kinds, taken together, got and gave from `since` on.

    `until` is the first moment that is left out. Closing is opening plus all movements.
    """
    rows = session.execute(
        _BY_DAY,
        {
            "owner": str(owner),
            "currency": currency,
            "kinds": [kind.value for kind in kinds],
            "since": since,
            "until": until,
        },
    ).all()
    before = sum(micro for day, _, micro in rows if day is None)
    items = [
        Movement(day, Code(code), Money(micro, currency))
        for day, code, micro in rows
        if day is not None and micro
    ]
    total = before + sum(item.amount.micro for item in items)
    return Movements(Money(before, currency), items, Money(total, currency))
