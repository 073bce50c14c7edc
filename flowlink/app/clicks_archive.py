"""Old days of clicks: each written to a Parquet file of its own, then dropped from the database."""

import os
from datetime import UTC, date, datetime, timedelta
from hashlib import file_digest
from pathlib import Path

from flowlink.app import clicks_export
from flowlink.kernel import db, settings
from flowlink.tracking import archive
from flowlink.tracking.archive import PutAway


def directory() -> Path:
    """Where the files go."""
    chosen = settings.current().clicks_archive
    return Path(chosen) if chosen else settings.current().data_dir / "clicks"


def run(now: datetime) -> list[PutAway]:
    """Put away every day that is older than `CLICKS_KEEP_DAYS`; one transaction a day."""
    with db.read() as session:
        due = archive.due(session, keep_days=settings.current().clicks_keep_days, now=now)
    return [_day(day, now) for day in due]


def _day(day: date, now: datetime) -> PutAway:
    place = directory()
    place.mkdir(parents=True, exist_ok=True)
    out = place / f"clicks-{day}.parquet"
    start = datetime(day.year, day.month, day.day, tzinfo=UTC)
    count = clicks_export.write(out, since=start, until=start + timedelta(days=1))
    _to_disk(out)
    with out.open("rb") as file:
        digest = file_digest(file, "sha256").hexdigest()
    done = PutAway(day, count, str(out), digest)
    with db.write() as session:
        archive.put_away(session, done=done, now=now)
    return done


def _to_disk(path: Path) -> None:
    """Only what is on the disk, its name too, may be dropped from the database."""
    for one in (path, path.parent):
        handle = os.open(one, os.O_RDONLY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)
