"""The click tables kept in shape: partitions ahead of time, visitors forgotten in time."""

from datetime import UTC, date, datetime, timedelta

from sqlalchemy import delete, text
from sqlalchemy.orm import Session

from flowlink.tracking.models import Salt
from flowlink.tracking.rollups import LinkHourCount, MinuteCount, OriginCount, OriginDay

DAYS_AHEAD = 7
DAYS_REMEMBERED = 2
SLOTS = 4  # of click_batch.visitor_keys
LINK_HOUR_DAYS = 4  # pages show two days
ORIGIN_DAYS = 100  # pages show ninety


def days_ahead(now: datetime) -> list[date]:
    """Today and the days for which partitions are kept ready."""
    today = now.astimezone(UTC).date()
    return [today + timedelta(days=offset) for offset in range(DAYS_AHEAD + 1)]


def ensure_partition(session: Session, *, day: date) -> bool:
    """Make the day's partition, if it is not there; whether it was made."""
    made = session.scalar(text("SELECT tracking_ensure_partition(:day)"), {"day": day})
    return bool(made)


def forget_visitors(session: Session, *, today: date) -> None:
    """Throw away the salts of past days, and with them the way from a hash back to a visitor.

    What told them apart goes too: all but yesterday's slot and today's.
    """
    oldest = today - timedelta(days=DAYS_REMEMBERED - 1)
    session.execute(delete(Salt).where(Salt.day < oldest))
    for ahead in range(1, SLOTS - DAYS_REMEMBERED + 1):
        day = today + timedelta(days=ahead)
        session.execute(text("SELECT tracking_forget_seen(:day)"), {"day": day})


def forget_counts(session: Session, *, today: date) -> int:
    """Drop counts that nobody reads any more, each kind after its time; how many rows."""
    counts = (
        delete(MinuteCount).where(MinuteCount.minute < _midnight(today, DAYS_REMEMBERED)),
        delete(LinkHourCount).where(LinkHourCount.hour < _midnight(today, LINK_HOUR_DAYS)),
        delete(OriginCount).where(OriginCount.day < _midnight(today, ORIGIN_DAYS).date()),
        delete(OriginDay).where(OriginDay.day < _midnight(today, ORIGIN_DAYS).date()),
    )
    return sum(session.execute(each).rowcount for each in counts)  # type: ignore[attr-defined]


def _midnight(today: date, days: int) -> datetime:
    """When the oldest of so many days began, today being one of them."""
    oldest = today - timedelta(days=days - 1)
    return datetime(oldest.year, oldest.month, oldest.day, tzinfo=UTC)
