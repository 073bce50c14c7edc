"""Shipping: each record once, whatever the store does, and nothing removed that is not kept."""

import threading
from pathlib import Path

import pytest
from hypothesis import given, settings, strategies as st

from flowlink.tracking import segment as files
from flowlink.tracking.journal_reader import Damage, Replaced
from flowlink.tracking.journal_writer import Writer
from flowlink.tracking.segment import START, Taken
from flowlink.tracking.shipper import Away, Backlog, Pace, Shipper, backlog, ship
from tests.tracking.journals import TINY, begun, folder, patch, power_cut, segments, written
from tests.tracking.shelf import Shelf

FAST = Pace(beat_s=0.001, records_max=50, look_s=0.01, retry_s=0.001, retry_s_max=0.01)


def filled(root: Path, count: int) -> tuple[Writer, list[bytes]]:
    """A journal being written, with numbered records in it."""
    writer = Writer(root, bounds=TINY)
    records = [b"record %d" % number for number in range(count)]
    for record in records:
        written(writer, [record])
    return writer, records


def shipped(directory: Path, shelf: Shelf, records: int) -> Shipper:
    """Run a shipper in its thread until the shelf has so many, set aside or not."""
    stop = threading.Event()
    shipper = Shipper(directory, store=shelf, pace=FAST)
    thread = threading.Thread(target=shipper.run, args=(stop,))
    thread.start()
    while len(shelf.records) + len(shelf.aside) < records and thread.is_alive():
        stop.wait(0.001)
    stop.set()
    thread.join()
    return shipper


troubles = st.lists(st.sampled_from(["", "away", "answer lost"]), max_size=30)


@settings(max_examples=40)
@given(troubles, st.integers(0, 400))
def test_every_record_arrives_once_and_in_order_whatever_the_store_does(
    met: list[str], count: int
) -> None:
    with folder() as root:
        writer, records = filled(root, count)
        shelf = Shelf(iter(met))

        shipped(writer.directory, shelf, count)
        writer.close()

        assert shelf.records == records
        assert shelf.losses == []


def test_shipped_segments_go_and_the_others_stay(tmp_path: Path) -> None:
    writer, records = filled(tmp_path, 400)
    shelf = Shelf()

    shipper = shipped(writer.directory, shelf, len(records))
    writer.close()

    assert [segment.start.segment for segment in segments(writer.directory)] == [shelf.at.segment]
    assert shipper.progress.shipped == len(records)
    assert backlog(writer.directory, position=shelf.at) == Backlog(0, 0, None)


def test_a_store_that_is_away_keeps_nothing_from_the_disk(tmp_path: Path) -> None:
    writer, records = filled(tmp_path, 400)
    before = begun(writer)
    shipper = Shipper(writer.directory, store=Shelf(iter(["away"] * 3)), pace=FAST)

    for _ in range(3):
        with pytest.raises(Away):
            shipper.step()

    waiting = backlog(writer.directory, position=START)
    assert begun(writer) == before
    assert (waiting.records, waiting.oldest) == (len(records), records[0])
    writer.close()


def test_the_backlog_is_counted_from_the_position_on_also_after_a_power_cut(
    tmp_path: Path,
) -> None:
    writer, records = filled(tmp_path, 300)
    shelf = Shelf()
    shipper = Shipper(writer.directory, store=shelf, pace=FAST)
    for _ in range(3):
        shipper.step()
    left = records[len(shelf.records) :]
    size = sum(16 + len(record) for record in left)

    assert backlog(writer.directory, position=shelf.at) == Backlog(size, len(left), left[0])
    writer.close()
    power_cut(writer.directory)
    assert backlog(writer.directory, position=shelf.at).records == len(left)


def test_one_impossible_record_is_set_aside_and_holds_nobody_up(tmp_path: Path) -> None:
    writer, records = filled(tmp_path, 120)
    impossible = {records[0], records[63], records[119]}
    shelf = Shelf(impossible=frozenset(impossible))

    shipper = shipped(writer.directory, shelf, len(records))
    writer.close()

    assert shelf.records == [record for record in records if record not in impossible]
    assert set(shelf.aside) == impossible
    assert (shipper.progress.shipped, shipper.progress.set_aside) == (117, 3)


def test_damage_is_reported_once_with_the_records_behind_it(tmp_path: Path) -> None:
    writer, records = filled(tmp_path, 40)
    path = segments(writer.directory)[0].path
    patch(path, path.read_bytes().index(records[20]), b"R")
    shelf = Shelf(iter(["", "", "answer lost"]))

    shipper = shipped(writer.directory, shelf, len(records) - 1)
    writer.close()

    assert shelf.records == records[:20] + records[21:]
    assert [(loss.damage, loss.records) for loss in shelf.losses] == [(Damage.CORRUPT, 1)]
    assert shipper.progress.lost in (0, 1)  # the answer that told of it may be the lost one


def test_of_two_shippers_of_one_journal_one_waits(tmp_path: Path) -> None:
    writer, records = filled(tmp_path, 100)
    shelf = Shelf()
    with files.held(writer.directory / "shipping"):
        stop = threading.Event()
        second = Shipper(writer.directory, store=shelf, pace=FAST)
        thread = threading.Thread(target=second.run, args=(stop,))
        thread.start()
        thread.join(0.05)
        assert shelf.records == []
        with pytest.raises(Taken):
            files.hold(writer.directory / "shipping")
    thread.join(0.05)
    while len(shelf.records) < len(records):
        stop.wait(0.001)
    stop.set()
    thread.join()
    writer.close()

    assert shelf.records == records


def test_a_position_moved_by_somebody_else_is_asked_for_again(tmp_path: Path) -> None:
    writer, records = filled(tmp_path, 100)
    shelf = Shelf()
    first = Shipper(writer.directory, store=shelf, pace=FAST)
    second = Shipper(writer.directory, store=shelf, pace=FAST)

    while len(shelf.records) < len(records):
        first.step()
        second.step()
    writer.close()

    assert shelf.records == records


def test_all_journals_are_shipped_those_of_the_dead_and_of_the_unborn_too(tmp_path: Path) -> None:
    first, records = filled(tmp_path, 20)
    dead, _ = filled(tmp_path, 20)
    dead.close()
    stop, stores = threading.Event(), list[Shelf]()

    def new_store() -> Shelf:
        stores.append(Shelf())
        return stores[-1]

    shipping = threading.Thread(
        target=ship, args=(tmp_path,), kwargs={"new_store": new_store, "stop": stop, "pace": FAST}
    )
    shipping.start()
    third, _ = filled(tmp_path, 20)
    late, _ = filled(tmp_path, 20)
    while sum(len(store.records) for store in stores) < 80:
        stop.wait(0.001)
    stop.set()
    shipping.join()
    for writer in (first, third, late):
        writer.close()

    assert third.directory == dead.directory
    assert sorted(len(store.records) for store in stores) == [20, 20, 40]
    assert stores[0].records[:20] == records


def test_an_old_copy_of_a_journal_halts_and_says_so(tmp_path: Path) -> None:
    writer, _ = filled(tmp_path, 10)
    shelf = Shelf()
    Shipper(writer.directory, store=shelf, pace=FAST).step()
    writer.close()
    files.remove(segments(writer.directory)[0])
    again, _ = filled(tmp_path, 10)

    with pytest.raises(Replaced):
        Shipper(again.directory, store=shelf, pace=FAST).step()

    again.close()
    assert len(shelf.records) == 10
