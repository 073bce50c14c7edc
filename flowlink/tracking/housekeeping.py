"""The click tables kept in shape: partitions ahead of time, visitors forgotten in time."""

from datetime import UTC, date, datetime, timedelta

from sqlalchemy import delete, text
from sqlalchemy.orm import Session

from flowlink.tracking.models import Salt, Seen
from flowlink.tracking.rollups import MinuteCount

DAYS_AHEAD = 7
DAYS_REMEMBERED = 2


def days_ahead(now: datetime) -> list[date]:
    """Today and the days for which partitions are kept ready."""
    today = now.astimezone(UTC).date()
    return [today + timedelta(days=offset) for offset in range(DAYS_AHEAD + 1)]


def ensure_partition(session: Session, *, day: date) -> bool:
    """Make the day's partition, if it is not there; whether it was made."""
    made = session.scalar(text("SELECT tracking_ensure_partition(:day)"), {"day": day})
    return bool(made)


def forget_visitors(session: Session, *, today: date) -> int:
    """Throw away the salts of past days, and with them the way from a hash back to a visitor.

    What they told apart goes too, and the minute counts that only the velocity rule reads.
    """
    oldest = today - timedelta(days=DAYS_REMEMBERED - 1)
    session.execute(delete(Salt).where(Salt.day < oldest))
    midnight = datetime(oldest.year, oldest.month, oldest.day, tzinfo=UTC)
    session.execute(delete(MinuteCount).where(MinuteCount.minute < midnight))
    return session.execute(delete(Seen).where(Seen.day < oldest)).rowcount  # type: ignore[attr-defined, no-any-return]
