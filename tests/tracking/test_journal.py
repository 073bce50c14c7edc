"""Writing: an awaited record is on disk, thousands at once, and a broken disk is admitted."""

import asyncio
import os
import threading
from collections.abc import Awaitable, Callable, Iterator
from dataclasses import replace
from itertools import count
from pathlib import Path

import pytest

from flowlink.tracking import segment as files
from flowlink.tracking.journal import Journal, JournalBusy, JournalFailed
from flowlink.tracking.journal_format import BLOCK, FRAME_BYTES, State
from flowlink.tracking.journal_writer import Bounds, Writer
from flowlink.tracking.segment import NoRoom, Taken
from tests.patience import LONG_S
from tests.tracking import disks
from tests.tracking.disks import Disk
from tests.tracking.journals import TINY, read_all, reboot, segments, written

SMALL = Bounds(
    segment_bytes=256 * 1024, batch_bytes_max=16 * 1024, free_bytes_min=0, stall_s_max=30
)


def with_journal(
    root: Path, scenario: Callable[[Journal], Awaitable[None]], *, bounds: Bounds = SMALL
) -> Path:
    """Run a scenario over a fresh journal, and close it."""

    async def run() -> Path:
        journal = await Journal.open(root, bounds=bounds)
        try:
            await scenario(journal)
        finally:
            await journal.close()
        return journal.directory

    return asyncio.run(run())


def test_thousands_of_senders_on_one_loop_are_kept_once_and_in_order(tmp_path: Path) -> None:
    async def scenario(journal: Journal) -> None:
        async def sender(first: int) -> None:
            for number in range(first, first + 10):
                await journal.append(number.to_bytes(8))

        await asyncio.gather(*(sender(10 * index) for index in range(3_000)))

    directory = with_journal(tmp_path, scenario)

    found = [int.from_bytes(record) for record in read_all(directory).records]
    assert sorted(found) == list(range(30_000))
    for index in (0, 1, 1_500, 2_999):
        own = [number for number in found if number // 10 == index]
        assert own == sorted(own)
    assert len(segments(directory)) > 2


def test_an_awaited_record_is_there_for_readers_at_once(tmp_path: Path) -> None:
    async def scenario(journal: Journal) -> None:
        for number in range(50):
            await journal.append(b"%d" % number)
            assert len(read_all(journal.directory).records) == number + 1

    with_journal(tmp_path, scenario)


def test_what_arrives_while_a_batch_goes_down_shares_the_next_one(tmp_path: Path) -> None:
    async def scenario(journal: Journal) -> None:
        first = journal.append(b"alone")
        await asyncio.sleep(0)  # it leaves
        answers = [journal.append(b"together") for _ in range(100)]

        assert len({id(answer) for answer in answers}) == 1
        assert answers[0] is not first
        await asyncio.gather(first, answers[0])

    with_journal(tmp_path, scenario)


def test_a_sender_who_leaves_takes_nobody_along(tmp_path: Path) -> None:
    async def scenario(journal: Journal) -> None:
        async def sender(record: bytes) -> None:
            await journal.append(record)

        leaving, staying = asyncio.create_task(sender(b"1")), asyncio.create_task(sender(b"2"))
        await asyncio.sleep(0)
        leaving.cancel()

        await staying
        with pytest.raises(asyncio.CancelledError):
            await leaving

    directory = with_journal(tmp_path, scenario)

    assert read_all(directory).records == [b"1", b"2"]


def test_memory_is_bounded_and_free_again_afterwards(tmp_path: Path) -> None:
    bounds = replace(SMALL, waiting_bytes_max=10 * (FRAME_BYTES + 100))

    async def scenario(journal: Journal) -> None:
        answers = [journal.append(bytes(100)) for _ in range(10)]
        with pytest.raises(JournalBusy):
            journal.append(bytes(100))
        await asyncio.gather(*answers)
        assert journal.waiting_bytes == 0
        await journal.append(b"later")

    directory = with_journal(tmp_path, scenario, bounds=bounds)

    assert read_all(directory).records == [*[bytes(100)] * 10, b"later"]


def test_closing_brings_down_what_waits_and_refuses_the_rest(tmp_path: Path) -> None:
    async def run() -> Path:
        journal = await Journal.open(tmp_path, bounds=SMALL)
        answers = [journal.append(bytes(5_000)) for _ in range(20)]
        closing = asyncio.create_task(journal.close())
        await asyncio.sleep(0)
        with pytest.raises(JournalFailed):
            journal.append(b"too late")
        await asyncio.gather(*answers, closing)
        return journal.directory

    assert len(read_all(asyncio.run(run())).records) == 20


def test_a_journal_whose_loop_is_gone_lets_its_directory_go(tmp_path: Path) -> None:
    async def run() -> Journal:
        journal = await Journal.open(tmp_path, bounds=SMALL)
        await journal.append(b"kept")
        return journal

    journal = asyncio.run(run())
    journal.abandon()
    for thread in threading.enumerate():
        if thread.name == "journal":
            thread.join()

    again = Writer(tmp_path, bounds=SMALL)
    again.close()
    assert again.directory == journal.directory
    assert read_all(again.directory).records == [b"kept"]


def test_each_start_writes_a_file_of_its_own(tmp_path: Path) -> None:
    async def scenario(journal: Journal) -> None:
        await journal.append(b"once")

    for _ in range(3):
        directory = with_journal(tmp_path, scenario)

    assert [segment.number for segment in segments(directory)] == [1, 2, 3]
    assert [segment.path.name[:16] for segment in segments(directory)] == [
        files.edge_of(directory)
    ] * 3
    assert read_all(directory).records == [b"once"] * 3


def test_two_processes_never_share_a_directory(tmp_path: Path) -> None:
    first, second = Writer(tmp_path, bounds=TINY), Writer(tmp_path, bounds=TINY)

    assert first.directory != second.directory
    assert first.edge != second.edge
    assert files.directories(tmp_path) == [first.directory, second.directory]
    with pytest.raises(Taken):
        files.hold(first.directory / "lock")
    first.close()
    third = Writer(tmp_path, bounds=TINY)
    assert (third.directory, third.edge) == (first.directory, first.edge)
    second.close()
    third.close()


def test_segments_are_zeros_made_ahead_under_names_that_sort(tmp_path: Path) -> None:
    writer = Writer(tmp_path, bounds=TINY)
    for _ in range(12):
        written(writer, [bytes(900)])
    writer.close()

    there = segments(writer.directory)
    assert [path.name for path in sorted(one.path for one in there)] == [
        one.path.name for one in there
    ]
    assert {one.path.stat().st_size for one in there} == {TINY.segment_bytes}
    assert {one.path.stat().st_blocks * 512 >= TINY.segment_bytes for one in there} == {True}
    assert [mark.state for one in there if (mark := one.mark())] == [State.CLOSED] * len(there)
    assert not there[-1].path.read_bytes()[BLOCK + 2 * (900 + FRAME_BYTES) :].strip(b"\0")


def test_what_a_killed_process_left_half_made_is_swept_away(tmp_path: Path) -> None:
    Writer(tmp_path, bounds=TINY).close()
    slot = tmp_path / "000"
    (slot / "x.new").write_bytes(b"half")
    (slot / "x.mark").write_bytes(b"an orphan")

    Writer(tmp_path, bounds=TINY).close()

    assert not [*slot.glob("x.*")]


def test_retiring_spares_the_positions_own_segment(tmp_path: Path) -> None:
    writer = Writer(tmp_path, bounds=TINY)
    for _ in range(12):
        written(writer, [bytes(900)])
    position = writer.position
    writer.close()
    newest = segments(writer.directory)[-1]
    middle = segments(writer.directory)[2].start

    assert files.retire(writer.directory, edge=writer.edge, position=middle) == 2
    assert segments(writer.directory)[0].start == middle
    files.retire(writer.directory, edge=writer.edge, position=position)
    assert segments(writer.directory) == [newest]
    assert sorted(path.name for path in writer.directory.iterdir()) == sorted(
        ["edge", "lock", newest.path.name, newest.mark_path.name]
    )


def spoil(descriptor: int) -> None:
    """Let every further write to this open file fail, as on a disk that is full or gone."""
    full = os.open("/dev/full", os.O_WRONLY)
    os.dup2(full, descriptor)
    os.close(full)


@pytest.mark.parametrize("file", ["_file", "_mark_file"])
def test_a_write_error_fails_all_who_wait_and_the_file_is_never_written_again(
    tmp_path: Path, file: str
) -> None:
    async def scenario(journal: Journal) -> None:
        await journal.append(b"kept")
        spoil(getattr(journal._writer, file))
        answers = [journal.append(b"%d" % number + bytes(9_000)) for number in range(10)]

        outcomes = await asyncio.gather(*answers, return_exceptions=True)

        assert {type(outcome) for outcome in outcomes} == {JournalFailed}
        assert journal.failed is not None
        assert journal.waiting_bytes == 0
        with pytest.raises(JournalFailed):
            journal.append(b"later")

    directory = with_journal(tmp_path, scenario)

    # Even what reached the file is not read: its sender has stored it another way by now.
    assert read_all(directory).records == [b"kept"]
    assert read_all(directory).losses == []


def test_after_a_failure_a_new_journal_can_be_opened_on_a_fresh_file(tmp_path: Path) -> None:
    async def broken(journal: Journal) -> None:
        await journal.append(b"before")
        spoil(journal._writer._file)
        with pytest.raises(JournalFailed):
            await journal.append(b"lost to us")

    async def healed(journal: Journal) -> None:
        await journal.append(b"after")

    first = with_journal(tmp_path, broken)
    second = with_journal(tmp_path, healed)

    assert first == second
    assert read_all(first).records == [b"before", b"after"]


def write_on(writer: Writer) -> None:
    while True:
        written(writer, [bytes(900)])


def test_the_journals_share_of_the_disk_ends_it_and_retiring_lets_it_go_on(tmp_path: Path) -> None:
    bounds = replace(TINY, backlog_bytes_max=3 * TINY.segment_bytes)
    writer = Writer(tmp_path, bounds=bounds)
    for _ in range(5):
        written(writer, [bytes(900)])
    files.retire(writer.directory, edge=writer.edge, position=writer.position)
    for _ in range(4):
        written(writer, [bytes(900)])

    with pytest.raises(NoRoom):
        write_on(writer)

    writer.give_up()
    assert len(segments(writer.directory)) == 3


@pytest.fixture
def tiny_disk(tmp_path: Path) -> Iterator[Path]:
    with disks.tiny(tmp_path / "disk") as disk:
        yield disk


@pytest.fixture
def own_disk(tmp_path: Path) -> Iterator[Disk]:
    with disks.ext4(tmp_path) as disk:
        yield disk


def test_a_full_disk_fails_the_journal_and_keeps_what_was_acknowledged(tiny_disk: Path) -> None:
    acknowledged: list[bytes] = []

    async def write_numbers(journal: Journal) -> None:
        for number in count():
            await journal.append(record := number.to_bytes(4) + bytes(1_000))
            acknowledged.append(record)

    async def scenario(journal: Journal) -> None:
        with pytest.raises(JournalFailed):
            await write_numbers(journal)

    directory = with_journal(tiny_disk, scenario)

    assert len(acknowledged) > 500
    assert read_all(directory).records == acknowledged


def test_no_room_at_the_start_says_so(tiny_disk: Path) -> None:
    with pytest.raises(NoRoom):
        Writer(tiny_disk, bounds=replace(SMALL, free_bytes_min=1024 * 1024))

    assert [path.name for path in (tiny_disk / "000").iterdir()] in (
        ["lock", "edge"],
        ["edge", "lock"],
    )
    Writer(tiny_disk, bounds=SMALL).close()


def test_a_disk_that_hangs_is_given_up_and_what_it_does_later_does_not_count(
    own_disk: Disk,
) -> None:
    async def scenario(journal: Journal) -> None:
        await journal.append(b"kept")
        await asyncio.to_thread(own_disk.freeze)
        answer = asyncio.ensure_future(journal.append(b"told to have failed"))
        await asyncio.wait([answer], timeout=LONG_S)
        await asyncio.to_thread(own_disk.thaw)
        with pytest.raises(JournalFailed):
            await answer
        await journal._ended

    directory = with_journal(own_disk.place, scenario, bounds=replace(SMALL, stall_s_max=2.0))

    assert read_all(directory).records == [b"kept"]


def test_what_was_acknowledged_is_on_the_disk_when_the_power_goes(own_disk: Disk) -> None:
    """As a disk has it that keeps what was flushed and nothing else."""
    acknowledged: list[bytes] = []

    def look() -> None:
        with own_disk.after_power_cut() as found:
            [directory] = files.directories(found)
            reboot(directory)
            assert read_all(directory).records == acknowledged

    async def scenario(journal: Journal) -> None:
        for batch in (1, 1, 10, 100, 400, 1):
            records = [b"%d" % number + bytes(1_000) for number in range(batch)]
            await asyncio.gather(*map(journal.append, records))
            acknowledged.extend(records)
            await asyncio.to_thread(look)

    directory = with_journal(own_disk.place, scenario)

    assert len(segments(directory)) == 3


def test_the_clock_plays_no_part(tmp_path: Path) -> None:
    """Segments are ordered by number: a file time or clock from the past changes nothing."""

    async def scenario(journal: Journal) -> None:
        await journal.append(b"x")

    for stamp in (3_000_000_000, 2_000_000_000, 1_000_000_000):
        directory = with_journal(tmp_path, scenario)
        for segment in segments(directory):
            os.utime(segment.path, (stamp, stamp))
            os.utime(segment.mark_path, (stamp, stamp))

    assert read_all(directory).records == [b"x"] * 3
