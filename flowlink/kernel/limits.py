"""Rate limits that hold over all processes: a counter a key and window, in the database."""

from datetime import UTC, datetime, timedelta

from sqlalchemy import delete
from sqlalchemy.dialects.postgresql import insert

from flowlink.kernel import db
from flowlink.kernel.errors import LimitReached
from flowlink.kernel.models import RateLimit


def hit(key: str, limit: int, window_s: int, now: datetime) -> None:
    """Count one attempt of `key` in the present window, in a transaction of its own.

    :raises LimitReached: more than `limit` attempts in this window of `window_s` seconds.
    """
    start_s = int(now.timestamp()) // window_s * window_s
    row = insert(RateLimit).values(
        key=key, window_start=datetime.fromtimestamp(start_s, UTC), count=1
    )
    counted = row.on_conflict_do_update(
        index_elements=["key", "window_start"], set_={"count": RateLimit.count + 1}
    ).returning(RateLimit.count)
    with db.write() as session:
        count = session.scalars(counted).one()
    if count > limit:
        refusal = LimitReached()
        refusal.retry_after_s = start_s + window_s - int(now.timestamp())
        raise refusal


def forget_old(now: datetime) -> int:
    """Drop the counters of windows that ended over a day ago; returns how many."""
    with db.write() as session:
        old = delete(RateLimit).where(RateLimit.window_start < now - timedelta(days=1))
        return len(session.execute(old.returning(RateLimit.key)).all())
