"""The only reader of the time. Entry points ask it once and pass `now=` on."""

import time
from datetime import UTC, datetime, timedelta

from flowlink.kernel import settings


def now() -> datetime:
    """The present moment, aware UTC, moved by `FLOWLINK_CLOCK_OFFSET_S` in development (spec 8)."""
    return datetime.now(UTC) + timedelta(seconds=settings.current().flowlink_clock_offset_s)


def unix_ms() -> int:
    """The same in milliseconds since 1970, where making a `datetime` takes too long."""
    return time.time_ns() // 1_000_000 + settings.current().flowlink_clock_offset_s * 1000
