"""Old days of clicks put away: their file is known here, their rows are dropped, counts stay."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta

from sqlalchemy import text
from sqlalchemy.orm import Session

from flowlink.tracking.rollups import Archive


@dataclass(frozen=True, slots=True)
class PutAway:
    """A day's file, written and safe."""

    day: date
    clicks: int
    file: str
    sha256: str


def due(session: Session, *, keep_days: int, now: datetime) -> Sequence[date]:
    """Days of their own that are older than `keep_days`, oldest first; 0 keeps all for ever."""
    if not keep_days:
        return []
    query = """
    SELECT to_date(right(c.relname, 8), 'YYYYMMDD') AS day
    FROM pg_inherits i JOIN pg_class c ON c.oid = i.inhrelid
    WHERE i.inhparent = 'tracking_click'::regclass AND c.relname ~ '^tracking_click_[0-9]{8}$'
      AND to_date(right(c.relname, 8), 'YYYYMMDD') < :oldest
      AND to_date(right(c.relname, 8), 'YYYYMMDD') NOT IN (SELECT day FROM tracking_archive)
    ORDER BY day
    """
    oldest = now.astimezone(UTC).date() - timedelta(days=keep_days)
    return session.scalars(text(query), {"oldest": oldest}).all()


def put_away(session: Session, *, done: PutAway, now: datetime) -> None:
    """Note the day's file and drop its rows, both or neither.

    PostgreSQL refuses when the rows are not as many as the file has: a late click came.
    """
    session.add(
        Archive(
            day=done.day,
            clicks=done.clicks,
            file=done.file,
            sha256=done.sha256,
            archived_at=now,
        )
    )
    session.flush()
    session.execute(text("SELECT tracking_drop_day(:day)"), {"day": done.day})
