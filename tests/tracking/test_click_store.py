"""The journal's clicks in PostgreSQL: rows, counts and position together, through any crash."""

import multiprocessing
import secrets
import threading
import time
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest
from hypothesis import given, strategies as st
from sqlalchemy import select

from flowlink.kernel import clock, db
from flowlink.kernel.postgres import EmbeddedPostgres
from flowlink.tracking import click_record, clickid
from flowlink.tracking.click_record import Unreadable
from flowlink.tracking.click_store import ClickStore, position_of
from flowlink.tracking.clicks import Row
from flowlink.tracking.journal_models import JournalRefusal
from flowlink.tracking.journal_reader import Reader
from flowlink.tracking.journal_writer import Bounds, Writer
from flowlink.tracking.segment import START
from flowlink.tracking.shipper import Moved, Pace, Shipper, backlog
from tests.patience import LONG_S
from tests.tracking.edges import kill_family
from tests.tracking.journal_process import ship_for_ever
from tests.tracking.journals import patch, segments, written
from tests.tracking.makers import BROWSER, ask

BOUNDS = Bounds(segment_bytes=128 * 1024, batch_bytes_max=32 * 1024, free_bytes_min=0)
FAST = Pace(beat_s=0.002, records_max=300, retry_s=0.02, retry_s_max=0.1)
big = st.integers(-(1 << 63), (1 << 63) - 1)
words = st.text(st.characters(exclude_categories=["Cs"]), max_size=200)
made_rows = st.builds(
    Row,
    number=st.integers(0, (1 << 63) - 1),
    visitor=big,
    link=big,
    partner=st.integers(-(1 << 31), (1 << 31) - 1),
    reason=st.integers(0, 255),
    country=st.integers(0, (1 << 15) - 1),
    origin=st.integers(0, (1 << 63) - 1),
    agent=words,
    referrer=words,
)


class Clicks:
    """An edge that makes clicks, a batch at a time."""

    def __init__(self, root: Path) -> None:
        self.writer = Writer(root, bounds=BOUNDS)
        self._maker = clickid.Maker(7)
        self.numbers: list[int] = []

    def make(self, count: int, *, agent: str = BROWSER) -> None:
        now = clock.now()
        made = [
            Row(
                self._maker.next(now),
                secrets.randbits(60),
                1 + n % 5,
                1 + n % 3,
                0,
                0,
                0,
                agent,
                "blog.example",
            )
            for n in range(count)
        ]
        written(self.writer, [click_record.pack(row) for row in made])
        self.numbers += [row.number for row in made]


def check(clicks: Clicks) -> None:
    """Each click made is a row, once, and the counts and the position say the same."""
    stored = [row[0] for row in ask("SELECT id FROM tracking_click ORDER BY id")]
    assert stored == clicks.numbers
    for table in ("minute", "hour", "day", "link_day"):
        counted = ask(f"SELECT sum(valid + flagged) FROM tracking_click_{table}")  # noqa: S608
        assert counted == [(len(stored),)]
    with db.read() as session:
        position = position_of(session, edge=clicks.writer.edge)
    assert position == clicks.writer.position


@given(made_rows)
def test_a_click_comes_out_of_its_record_as_it_went_in(row: Row) -> None:
    assert click_record.unpack(click_record.pack(row)) == row


@given(st.binary(max_size=60))
def test_what_is_no_click_is_called_unreadable(record: bytes) -> None:
    with pytest.raises(Unreadable):
        click_record.unpack(b"\x09" + record)


def test_clicks_their_counts_and_the_position_are_kept_together(
    database: str, tmp_path: Path
) -> None:
    clicks = Clicks(tmp_path)
    clicks.make(250)
    clicks.make(250)
    shipper = Shipper(clicks.writer.directory, store=ClickStore(), pace=FAST)

    while shipper.step():
        pass

    check(clicks)
    clicks.writer.close()


def test_a_batch_that_is_kept_already_is_refused_whole(database: str, tmp_path: Path) -> None:
    clicks = Clicks(tmp_path)
    clicks.make(100)
    reader = Reader(clicks.writer.directory)
    batch = reader.read()
    reader.close()
    store, edge = ClickStore(), clicks.writer.edge
    store.take(batch, edge=edge, after=START)

    for after in (START, replace(batch.position, offset=batch.position.offset - 1)):
        with pytest.raises(Moved):
            store.take(batch, edge=edge, after=after)

    check(clicks)
    clicks.writer.close()


def test_what_the_tables_cannot_hold_is_kept_apart(database: str, tmp_path: Path) -> None:
    clicks = Clicks(tmp_path)
    clicks.make(50)
    clicks.make(1, agent="nul\0 is no text for PostgreSQL")
    impossible = clicks.numbers.pop()
    written(clicks.writer, [b"no click at all"])
    clicks.make(50)
    shipper = Shipper(clicks.writer.directory, store=ClickStore(), pace=FAST)

    while shipper.progress.shipped < 100:
        shipper.step()

    check(clicks)
    with db.read() as session:
        refused = session.scalars(select(JournalRefusal.record).order_by(JournalRefusal.id)).all()
    assert click_record.unpack(refused[0]).number == impossible
    assert refused[1:] == [b"no click at all"]
    clicks.writer.close()


def test_what_was_lost_stands_beside_what_was_kept(database: str, tmp_path: Path) -> None:
    clicks = Clicks(tmp_path)
    clicks.make(50)
    patch(segments(clicks.writer.directory)[0].path, 4096 + 20, b"\xff\xff\xff")
    shipper = Shipper(clicks.writer.directory, store=ClickStore(), pace=FAST)

    while shipper.progress.shipped < 49:
        shipper.step()

    clicks.numbers.pop(0)
    check(clicks)
    assert ask("SELECT damage, number, start_offset, records FROM tracking_journal_loss") == [
        ("corrupt", 1, 4096, 1)
    ]
    clicks.writer.close()


def test_the_backlogs_age_is_in_its_oldest_click(database: str, tmp_path: Path) -> None:
    clicks = Clicks(tmp_path)
    clicks.make(3)

    oldest = backlog(clicks.writer.directory, position=START).oldest

    assert oldest is not None
    assert timedelta(0) <= clock.now() - click_record.moment(oldest) < timedelta(minutes=1)
    clicks.writer.close()


def test_nothing_is_lost_or_doubled_when_the_database_is_killed(
    postgres_durable: EmbeddedPostgres, tmp_path: Path
) -> None:
    db.connect(postgres_durable.url())
    clicks = Clicks(tmp_path / "journal")
    stop, quiet = threading.Event(), threading.Event()

    def click() -> None:
        while not quiet.is_set():
            clicks.make(20)

    shipper = Shipper(clicks.writer.directory, store=ClickStore(), pace=FAST)
    threads = [threading.Thread(target=shipper.run, args=(stop,)), threading.Thread(target=click)]
    for thread in threads:
        thread.start()
    for _ in range(3):
        stop.wait(0.3 + secrets.randbelow(300) / 1000)
        kill_family(postgres_durable.pid)
        stop.wait(0.2)
        postgres_durable.start()
    quiet.set()
    threads[1].join()
    settled(clicks)
    stop.set()
    threads[0].join()

    check(clicks)
    assert shipper.progress.failing_since is None
    clicks.writer.close()


def test_nothing_is_lost_or_doubled_when_the_shipper_is_killed(
    database: str, tmp_path: Path
) -> None:
    clicks = Clicks(tmp_path)
    processes = multiprocessing.get_context("forkserver")
    for _ in range(10):
        shipper = processes.Process(target=ship_for_ever, args=(clicks.writer.directory, database))
        shipper.start()
        until = time.monotonic() + 0.3 + secrets.randbelow(200) / 1000
        while time.monotonic() < until:
            clicks.make(20)
        shipper.kill()
        shipper.join()
    last = processes.Process(target=ship_for_ever, args=(clicks.writer.directory, database))
    last.start()
    settled(clicks)
    last.kill()
    last.join()

    check(clicks)
    assert len(segments(clicks.writer.directory)) <= 2
    clicks.writer.close()


def settled(clicks: Clicks) -> None:
    """Wait until all is shipped."""
    until = time.monotonic() + LONG_S
    while time.monotonic() < until:
        with db.read() as session:
            if position_of(session, edge=clicks.writer.edge) == clicks.writer.position:
                return
        time.sleep(0.01)
    raise AssertionError("the shipper does not get to the end")
