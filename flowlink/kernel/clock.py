"""The only reader of the time. Entry points ask it once and pass `now=` on."""

import time
from datetime import UTC, datetime, timedelta

from flowlink.kernel import settings


def now() -> datetime:
    """The present moment, aware UTC, moved by `FLOWLINK_CLOCK_OFFSET_S` in development (spec 8)."""
    return datetime.now(UTC) + timedelta(seconds=settings.current().flowlink_clock_offset_s)


def in_utc(moment: datetime) -> datetime:
    """The same moment in UTC; one that names no zone is meant so.

    :raises ValueError: a moment whose year in UTC is none from 1 to 9999.
    """
    if moment.tzinfo is None:
        return moment.replace(tzinfo=UTC)
    try:
        return moment.astimezone(UTC)
    except OverflowError:
        raise ValueError("no moment of the years 1 to 9999 in UTC") from None


def unix_ms() -> int:
    """The same in milliseconds since 1970, where making a `datetime` takes too long."""
    return time.time_ns() // 1_000_000 + settings.current().flowlink_clock_offset_s * 1000
