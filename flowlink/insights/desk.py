"""What waits for a person: every queue of the house and every thing in it, with its age."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from urllib.parse import quote
from uuid import UUID

from sqlalchemy import func, select, union_all
from sqlalchemy.orm import Session

from flowlink.insights.desk_queues import BY_NAME, KINDS, queues
from flowlink.kernel import ids

HOUR = timedelta(hours=1)


@dataclass(frozen=True)
class Wait:
    """A queue that is not empty. Late are things that nobody looked at in the time they had."""

    name: str
    href: str
    count: int
    late_count: int
    oldest_at: datetime
    due_at: datetime

    @property
    def late(self) -> bool:
        return self.late_count > 0

    def age(self, now: datetime) -> timedelta:
        return max(now - self.oldest_at, timedelta())


@dataclass(frozen=True)
class Thing:
    """One thing that waits: in which queue, since when, until when, and where it is decided."""

    queue: str
    label: str
    href: str
    count: int
    at: datetime
    due_at: datetime

    def age(self, now: datetime) -> timedelta:
        return max(now - self.at, timedelta())

    def is_late(self, now: datetime) -> bool:
        return now > self.due_at


def waits(session: Session, *, now: datetime) -> Sequence[Wait]:
    """Every queue that holds something, the most urgent first."""
    found = union_all(*queues(now)).subquery()
    counted = select(
        found.c.queue,
        func.sum(found.c.weight),
        func.coalesce(func.sum(found.c.weight).filter(found.c.due < now), 0),
        func.min(found.c.at),
        func.min(found.c.due),
    )
    rows = session.execute(counted.group_by(found.c.queue))
    by_name = {
        name: Wait(name, BY_NAME[name].href, int(count), int(late), oldest_at, due_at)
        for name, count, late, oldest_at, due_at in rows
    }
    shown = [by_name[kind.name] for kind in KINDS if kind.name in by_name]
    return sorted(shown, key=lambda wait: not wait.late)  # stable: else in the order of KINDS


def things(
    session: Session, *, now: datetime, queue: str = "", start: int = 0, limit: int = 50
) -> Sequence[Thing]:
    """Each single thing, of all queues or of one, that which is due first comes first."""
    found = union_all(*queues(now)).subquery()
    rows = select(found)
    if queue:
        rows = rows.where(found.c.queue == queue)
    order = (found.c.due, found.c.at, found.c.queue, found.c.label, found.c.target)
    return [
        Thing(
            queue=row.queue,
            label=row.label or "",
            href=_address(row.queue, row.target),
            count=row.weight,
            at=row.at,
            due_at=row.due,
        )
        for row in session.execute(rows.order_by(*order).offset(start).limit(limit))
    ]


def _address(queue: str, target: str) -> str:
    """A thing's own page, else the page of its queue."""
    kind = BY_NAME[queue]
    if not kind.thing:
        return kind.href
    return kind.thing + (ids.public(kind.prefix, UUID(target)) if kind.prefix else quote(target))
