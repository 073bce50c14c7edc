"""Going on without a database: under the number of before, until somebody gives out another."""

import asyncio
import os
from collections.abc import AsyncGenerator, Collection, Mapping
from contextlib import asynccontextmanager
from datetime import date, timedelta
from pathlib import Path

import pytest

from flowlink.kernel import clock
from flowlink.tracking import clickid, nodes
from flowlink.tracking.journal import Journal
from flowlink.tracking.journal_writer import Bounds
from flowlink.tracking.link_source import DatabaseSource, SourceAway
from flowlink.tracking.recorder import NoRecorder
from flowlink.tracking.recording import Patience, Recording
from tests.tracking.makers import until

BEFORE = 77
AHEAD_MS = 3_600_000
QUICK = Patience(salts_s=0.01, reopen_s=0.01)


class NobodyThere(DatabaseSource):
    """A database that is away."""

    async def node(self) -> int:
        raise SourceAway("away")

    async def salts(self, days: Collection[date]) -> Mapping[date, bytes]:
        raise SourceAway("away")


async def left_behind(root: Path, *, written_ms: int) -> Path:
    """The journal of a process that has ended, last written at that moment of its clock."""
    journal = await Journal.open(root)
    nodes.keep(journal.directory, BEFORE)
    await journal.append(b"a record")
    await journal.close()
    for mark in journal.directory.glob("*.mark"):
        os.utime(mark, (written_ms / 1000, written_ms / 1000))
    return journal.directory


@asynccontextmanager
async def recording(root: Path, source: DatabaseSource | None = None) -> AsyncGenerator[Recording]:
    asked = source or DatabaseSource()
    one = Recording(root, source=asked, recorder=NoRecorder(), bounds=Bounds(), patience=QUICK)
    try:
        yield one
    finally:
        await one.close()
        await asked.close()


def node_of(number: int) -> int:
    return number >> 12 & 1023


def test_numbers_go_on_behind_the_last_click_though_the_clock_went_back(tmp_path: Path) -> None:
    now = clock.now()

    async def story() -> int:
        written_ms = int(now.timestamp() * 1000) + AHEAD_MS
        await left_behind(tmp_path, written_ms=written_ms)
        async with recording(tmp_path, NobodyThere()) as one:
            await one.open(remembered={})
            return one.number(clock.unix_ms())

    number = asyncio.run(story())

    assert node_of(number) == BEFORE
    assert clickid.at(number) > now + timedelta(milliseconds=AHEAD_MS - 1000)


@pytest.mark.usefixtures("database")
def test_a_remembered_number_is_given_up_for_a_fresh_one(tmp_path: Path) -> None:
    async def story() -> None:
        directory = await left_behind(tmp_path, written_ms=clock.unix_ms())
        async with recording(tmp_path) as one:
            await one.open(remembered={})
            await until(lambda: node_of(one.number(clock.unix_ms())) != BEFORE)
            fresh = node_of(one.number(clock.unix_ms()))
            await until(lambda: nodes.recall(directory) == fresh)

    asyncio.run(story())


@pytest.mark.usefixtures("database")
def test_nobody_goes_on_under_the_number_of_a_process_that_lives(tmp_path: Path) -> None:
    async def story() -> None:
        async with recording(tmp_path) as one:
            await one.open()
            first = one.journal
            assert first is not None
            assert nodes.recall(first.directory) is not None
            first._break("the disk does not answer")
            await until(lambda: one.journal not in {first, None})
            second = one.journal
            assert second is not None

            await until(lambda: nodes.recall(second.directory) is not None)
            assert nodes.recall(first.directory) is None

    asyncio.run(story())
