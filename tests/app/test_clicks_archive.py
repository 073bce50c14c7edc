"""Old days of clicks go into Parquet files that DuckDB reads; their counts stay."""

import json
import subprocess
import sys
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from hashlib import sha256
from pathlib import Path

import pytest
from sqlalchemy import text
from sqlalchemy.exc import DatabaseError

from flowlink.app import clicks_archive, clicks_export, registry
from flowlink.kernel import clock, db, jobs, settings
from flowlink.tracking import archive, clicks, recount
from flowlink.tracking.archive import PutAway
from flowlink.tracking.clicks import Visit
from flowlink.tracking.models import Reason
from tests.conftest import test_settings
from tests.tracking.makers import BROWSER, Shop, ask, committed_shop

DAYS_AGO = (500, 401, 400, 1)


@pytest.fixture
def files(tmp_path: Path) -> Iterator[Path]:
    before = settings.current()
    settings.use(test_settings(clicks_archive=str(tmp_path / "clicks")))
    registry.load()
    yield tmp_path / "clicks"
    settings.use(before)


@pytest.fixture
def shop(database: str) -> Shop:
    made = committed_shop()
    now = clock.now()
    visits = [
        Visit(made.link.code, now - timedelta(days=days), f"203.0.113.{n}", BROWSER, "", reason)
        for days in DAYS_AGO
        for n, reason in enumerate((Reason.VALID, Reason.VALID, Reason.BOT))
    ]
    with db.write() as session:
        clicks.store(session, visits=visits)
    return made


READER = """
import json, sys, duckdb
query = 'SELECT link, valid, reason, device, typeof("at") FROM read_parquet(?) ORDER BY "at"'
print(json.dumps(duckdb.execute(query, sys.argv[1:]).fetchall()))
"""


def read(file: Path) -> list[tuple[object, ...]]:
    """What DuckDB finds in it, in a process of its own as a reader's is."""
    ran = subprocess.run(
        [sys.executable, "-c", READER, str(file)], capture_output=True, text=True, check=True
    )
    return [tuple(row) for row in json.loads(ran.stdout)]


def test_old_days_are_put_away_and_their_counts_stay(shop: Shop, files: Path) -> None:
    now = clock.now()
    counts = ask("SELECT * FROM tracking_click_day ORDER BY day")

    said = jobs.JOBS["click_archive"].run(now)
    again = jobs.JOBS["click_archive"].run(now)

    oldest = now.astimezone(UTC).date() - timedelta(days=500)
    assert said == "2 days put away, 6 clicks"
    assert again == "0 days put away, 0 clicks"
    assert len(list(files.iterdir())) == 2
    file = files / f"clicks-{oldest}.parquet"
    code = shop.link.code
    assert sorted(map(str, read(file))) == sorted(
        map(
            str,
            [
                (code, True, None, "desktop", "TIMESTAMP WITH TIME ZONE"),
                (code, True, None, "desktop", "TIMESTAMP WITH TIME ZONE"),
                (code, False, "bot", "desktop", "TIMESTAMP WITH TIME ZONE"),
            ],
        )
    )
    assert ask("SELECT clicks, sha256 FROM tracking_archive ORDER BY day LIMIT 1") == [
        (3, sha256(file.read_bytes()).hexdigest())
    ]
    assert ask("SELECT count(*) FROM tracking_click") == [(6,)]
    assert ask("SELECT * FROM tracking_click_day ORDER BY day") == counts
    with db.write() as session:
        assert recount.rebuild(session, day=oldest, now=now) == []
    assert ask("SELECT * FROM tracking_click_day ORDER BY day") == counts


def test_a_click_that_comes_after_its_day_was_put_away_gets_a_file_of_its_own(
    shop: Shop, files: Path
) -> None:
    now = clock.now()
    jobs.JOBS["click_archive"].run(now)
    at = now - timedelta(days=500)
    with db.write() as session:
        clicks.store(
            session, visits=[Visit(shop.link.code, at, "203.0.113.9", BROWSER, "", Reason.VALID)]
        )
    counts = ask("SELECT * FROM tracking_click_day ORDER BY day")
    was_here = ask("SELECT count(*) FROM tracking_click")

    said = jobs.JOBS["click_archive"].run(now)
    again = jobs.JOBS["click_archive"].run(now)

    assert (was_here, said) == ([(7,)], "1 days put away, 1 clicks")
    assert again == "0 days put away, 0 clicks"
    day = at.astimezone(UTC).date()
    first, second = files / f"clicks-{day}.parquet", files / f"clicks-{day}.2.parquet"
    assert (len(read(first)), len(read(second))) == (3, 1)
    assert ask("SELECT count(*) FROM tracking_click") == [(6,)]
    assert ask("SELECT * FROM tracking_click_day ORDER BY day") == counts
    assert counts[0][2:] == (3, 1)
    told = "SELECT part, clicks, dropped FROM tracking_archive ORDER BY day, part LIMIT 2"
    assert ask(told) == [(1, 3, True), (2, 1, True)]


def test_a_late_click_is_not_dropped_for_the_file_that_its_day_has(shop: Shop, files: Path) -> None:
    now = clock.now()
    jobs.JOBS["click_archive"].run(now)
    at = now - timedelta(days=500)
    late = [
        Visit(shop.link.code, at, f"203.0.113.{n}", BROWSER, "", Reason.VALID) for n in (7, 8, 9)
    ]
    with db.write() as session:
        clicks.store(session, visits=late)

    with db.write() as session:  # as many as the file has
        dropped = session.scalar(
            text("SELECT tracking_drop_day(:day)"), {"day": at.astimezone(UTC).date()}
        )

    assert dropped is False
    assert ask("SELECT count(*) FROM tracking_click") == [(9,)]


def test_nothing_is_dropped_that_its_file_does_not_have(shop: Shop, files: Path) -> None:
    now = clock.now()
    day = now.astimezone(UTC).date() - timedelta(days=500)

    with pytest.raises(DatabaseError, match="has 3 clicks, its file 2"), db.write() as session:
        archive.put_away(session, done=PutAway(day, 1, 2, "a file", "its sum"), now=now)

    assert ask("SELECT count(*) FROM tracking_click") == [(12,)]
    assert ask("SELECT count(*) FROM tracking_archive") == [(0,)]


def test_without_its_file_a_day_is_not_dropped(shop: Shop, files: Path) -> None:
    day = clock.now().astimezone(UTC).date() - timedelta(days=500)

    with db.write() as session:
        dropped = session.scalar(text("SELECT tracking_drop_day(:day)"), {"day": day})

    assert dropped is False
    assert ask("SELECT count(*) FROM tracking_click") == [(12,)]


def test_nought_days_keeps_everything(shop: Shop, files: Path) -> None:
    settings.use(test_settings(clicks_keep_days=0, clicks_archive=str(files)))

    assert clicks_archive.run(clock.now()) == []
    assert ask("SELECT count(*) FROM tracking_click") == [(12,)]


def test_all_clicks_are_exported_as_parquet(shop: Shop, tmp_path: Path) -> None:
    out = tmp_path / "all.parquet"

    count = clicks_export.write(out, since=datetime(2024, 1, 1, tzinfo=UTC), until=None)

    assert count == 12
    assert len(read(out)) == 12
    assert [one.name for one in tmp_path.iterdir()] == ["all.parquet"]
