"""What waits for a person: how many watched clicks, and what they are worth at most."""

from dataclasses import dataclass
from uuid import UUID

from sqlalchemy import ColumnElement, func, select
from sqlalchemy.orm import Session

from flowlink.kernel.money import Money
from flowlink.payouts.waiting_models import Waiting
from flowlink.risk.watch_models import Watch
from flowlink.tracking import clickid


@dataclass(frozen=True)
class Amount:
    """What waits under one watch: so many clicks, worth at most that much."""

    watch_id: UUID
    clicks: int
    most: Money


def amounts(session: Session, *where: ColumnElement[bool]) -> dict[UUID, Amount]:
    """By watch: what waits. `where` narrows, such as to one partner's."""
    rows = (
        select(
            Waiting.watch_id,
            func.sum(func.cardinality(Waiting.click_ids)),
            func.sum(func.cardinality(Waiting.click_ids) * Waiting.price_micro),
        )
        .where(Waiting.settled_at.is_(None), *where)
        .group_by(Waiting.watch_id)
    )
    return {
        watch_id: Amount(watch_id, int(clicks), Money(int(micro)))
        for watch_id, clicks, micro in session.execute(rows)
    }


def watch_of(session: Session, *, partner_id: UUID, number: int) -> Watch | None:
    """The watch that one click waits for, if it does."""
    hour = clickid.at(number).replace(minute=0, second=0, microsecond=0)
    rows = (
        select(Watch)
        .join(Waiting, Waiting.watch_id == Watch.id)
        .where(
            Waiting.partner_id == partner_id,
            Waiting.hour == hour,
            Waiting.settled_at.is_(None),
            Waiting.click_ids.contains([number]),
        )
    )
    return session.scalars(rows).first()
