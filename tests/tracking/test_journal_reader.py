"""Reading: everything that is whole comes back once and in order, and what is lost is named."""

import struct
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from flowlink.tracking import journal_format as form, segment as files
from flowlink.tracking.journal_reader import Damage, Loss, Reader, Replaced
from flowlink.tracking.journal_writer import Writer
from flowlink.tracking.segment import START
from tests.tracking.journals import (
    TINY,
    journal,
    patch,
    plain,
    power_cut,
    read_all,
    reboot,
    segments,
    written,
)


def test_a_flipped_bit_costs_one_record(tmp_path: Path) -> None:
    directory, places = journal(tmp_path, plain(20))
    struck = places[7]
    path = segments(directory)[0].path
    patch(path, struck.end - 1, b"\xff")

    found = read_all(directory)

    assert found.records == [place.record for place in places if place != struck]
    assert found.losses == [Loss(Damage.CORRUPT, 1, struck.start, struck.end, 1)]


def test_a_record_with_a_spoilt_length_costs_itself_alone(tmp_path: Path) -> None:
    directory, places = journal(tmp_path, plain(20))
    patch(segments(directory)[0].path, places[7].start + 8, struct.pack("<I", 900_000))

    found = read_all(directory)

    assert len(found.records) == 19
    assert found.losses == [Loss(Damage.CORRUPT, 1, places[7].start, places[7].end, 1)]


def test_a_hole_of_zeros_is_seen_and_passed_by(tmp_path: Path) -> None:
    directory, places = journal(tmp_path, plain(20))
    first, last = places[5], places[8]
    patch(segments(directory)[0].path, first.start, bytes(last.end - first.start))

    found = read_all(directory)

    assert found.records == [place.record for place in (*places[:5], *places[9:])]
    assert found.losses == [Loss(Damage.ZEROED, 1, first.start, last.end, 4)]


def test_a_file_cut_short_says_how_many_records_went(tmp_path: Path) -> None:
    directory, places = journal(tmp_path, plain(20))
    path = segments(directory)[0].path
    path.write_bytes(path.read_bytes()[: places[12].start + 3])

    found = read_all(directory)

    assert found.records == [place.record for place in places[:12]]
    assert found.losses == [Loss(Damage.TRUNCATED, 1, places[12].start, places[-1].end, 8)]


def test_a_torn_end_after_a_power_cut_is_told_from_zeros(tmp_path: Path) -> None:
    directory, places = journal(tmp_path, plain(20))
    patch(segments(directory)[0].path, places[19].end - 4, bytes(4))
    power_cut(directory)

    found = read_all(directory)

    assert found.records == [place.record for place in places[:19]]
    assert [(loss.damage, loss.start, loss.records) for loss in found.losses] == [
        (Damage.TORN, places[19].start, None)
    ]


def test_a_spoilt_header_costs_no_record(tmp_path: Path) -> None:
    directory, places = journal(tmp_path, plain(20))
    patch(segments(directory)[0].path, 0, bytes(100))
    power_cut(directory)

    found = read_all(directory)

    assert found.records == [place.record for place in places]
    assert found.losses == [Loss(Damage.HEADER, 1, 0, form.BLOCK, 0)]


def test_another_journals_file_under_our_name_is_lost_and_nothing_is_invented(
    tmp_path: Path,
) -> None:
    directory, places = journal(tmp_path / "ours", plain(20))
    other, _ = journal(tmp_path / "theirs", plain(25))
    segments(directory)[0].path.write_bytes(segments(other)[0].path.read_bytes())

    found = read_all(directory)

    assert found.records == []
    assert [(loss.damage, loss.records) for loss in found.losses] == [
        (Damage.HEADER, 0),
        (Damage.CORRUPT, len(places)),
    ]


def test_a_frame_inside_a_record_is_not_taken_for_one(tmp_path: Path) -> None:
    """What a visitor sends may be a copy of a journal; the salt is not his to know."""
    forged = form.pack_frames([b"forged"], salt=b"\x01\x02\x03\x04", sequence=1)
    directory, places = journal(tmp_path, [[b"before"], [forged * 5], [b"after"]])
    patch(segments(directory)[0].path, places[1].start, b"\xff" * 16)

    found = read_all(directory)

    assert found.records == [places[0].record, places[2].record]
    assert sum(loss.records or 0 for loss in found.losses) == 1


def test_a_segment_that_is_gone_is_missed(tmp_path: Path) -> None:
    directory, places = journal(tmp_path, plain(200))
    there = segments(directory)
    assert len(there) > 3
    files.remove(there[1])

    found = read_all(directory)

    assert found.records == [place.record for place in places if place.segment != 2]
    assert found.losses == [Loss(Damage.MISSING, 2, 0, 0, None)]


def test_other_files_are_left_alone_and_shown(tmp_path: Path) -> None:
    directory, places = journal(tmp_path, plain(3))
    (directory / "notes.txt").write_text("somebody was here")
    (directory / f"{'0' * 16}-0000000001-01010101.journal").write_bytes(b"another edge's")

    found = read_all(directory)

    assert found.records == [place.record for place in places]
    assert [path.name for path in files.strangers(directory, edge=files.edge_of(directory))] == [
        f"{'0' * 16}-0000000001-01010101.journal",
        "notes.txt",
    ]


@pytest.mark.parametrize("spoil", [Path.unlink, lambda mark: mark.write_bytes(b"nonsense")])
def test_without_its_mark_a_segment_speaks_for_itself(
    tmp_path: Path, spoil: Callable[[Path], object]
) -> None:
    directory, places = journal(tmp_path, plain(200))
    for segment in segments(directory):
        spoil(segment.mark_path)

    found = read_all(directory)

    assert found.records == [place.record for place in places]
    assert found.losses == []


def test_without_a_mark_what_is_half_written_is_waited_for(tmp_path: Path) -> None:
    writer = Writer(tmp_path, bounds=TINY)
    [first] = written(writer, [b"first"])
    segment = segments(writer.directory)[0]
    segment.mark_path.unlink()
    frame = form.pack_frames([b"second"], salt=segment.salt, sequence=1)
    reader = Reader(writer.directory)

    patch(segment.path, first.end, frame[:-1])
    before = [reader.read(), reader.read()]
    patch(segment.path, first.end, frame)
    after = reader.read()
    reader.close()
    writer.close()

    assert [batch.records for batch in before] == [[b"first"], []]
    assert [batch.losses for batch in before] == [[], []]
    assert (after.records, after.losses) == ([b"second"], [])


def test_a_record_copied_over_a_later_one_is_not_read_twice(tmp_path: Path) -> None:
    directory, places = journal(tmp_path, [[b"%d" % number] for number in range(10)])
    path = segments(directory)[0].path
    early, late = places[2], places[7]
    patch(path, late.start, path.read_bytes()[early.start : early.end])

    found = read_all(directory)

    assert found.records == [place.record for place in places if place != late]
    assert found.losses == [Loss(Damage.CORRUPT, 1, late.start, late.end, 1)]


def test_what_is_put_and_not_counted_is_not_there(tmp_path: Path) -> None:
    writer = Writer(tmp_path, bounds=TINY)
    written(writer, [b"counted"])
    writer.put([b"put"], size=form.FRAME_BYTES + 3)

    before = read_all(writer.directory)
    writer.count()
    after = read_all(writer.directory, position=before.position)
    writer.close()

    assert before.records == [b"counted"]
    assert after.records == [b"put"]


def test_a_journal_given_up_ends_where_it_counted_last_also_after_a_reboot(tmp_path: Path) -> None:
    writer = Writer(tmp_path, bounds=TINY)
    written(writer, [b"counted"])
    writer.put([b"put"], size=form.FRAME_BYTES + 3)
    writer.give_up()
    reboot(writer.directory)

    found = read_all(writer.directory)

    assert found.records == [b"counted"]
    assert found.losses == []


def test_one_reader_follows_into_the_next_process(tmp_path: Path) -> None:
    first = Writer(tmp_path, bounds=TINY)
    reader = Reader(first.directory)
    written(first, [b"one"])
    assert reader.read().records == [b"one"]
    assert reader.read().records == []
    first.close()
    second = Writer(tmp_path, bounds=TINY)
    written(second, [b"two"])

    batch = reader.read()
    reader.close()
    second.close()

    assert second.directory == first.directory
    assert batch.records == [b"two"]
    assert files.number_of(batch.position.segment) == 2


def test_an_older_copy_of_the_directory_is_refused(tmp_path: Path) -> None:
    directory, _ = journal(tmp_path, plain(200))
    position = read_all(directory).position
    for segment in segments(directory):
        files.remove(segment)
    journal(tmp_path, plain(200))

    for wrong in (position, replace(position, segment=position.segment + (100 << 32))):
        reader = Reader(directory, position=wrong)
        with pytest.raises(Replaced):
            reader.read()


def test_a_position_before_the_oldest_segment_reports_the_gap(tmp_path: Path) -> None:
    directory, places = journal(tmp_path, plain(200))
    position = read_all(directory, records_max=3)
    early = Reader(directory).read(records_max=2).position
    for segment in segments(directory)[:2]:
        files.remove(segment)

    found = read_all(directory, position=early)

    assert found.position == position.position
    assert found.records == [place.record for place in places if place.segment > 2]
    assert [loss.number for loss in found.losses] == [2]


def test_an_empty_directory_has_nothing_to_read(tmp_path: Path) -> None:
    directory, _ = journal(tmp_path, [])
    for segment in segments(directory):
        files.remove(segment)

    assert read_all(directory).position == START


def test_a_batch_says_whether_others_were_behind_it(tmp_path: Path) -> None:
    directory, _ = journal(tmp_path, plain(3))
    reader = Reader(directory)

    told = [reader.read(records_max=2).more for _ in range(3)]
    reader.close()

    assert told == [True, False, False]


def test_records_too_large_to_be_read_at_once_leave_others_behind_them(tmp_path: Path) -> None:
    writer = Writer(tmp_path, bounds=replace(TINY, segment_bytes=16 * 1024 * 1024))
    for _ in range(6):
        written(writer, [bytes(form.RECORD_BYTES_MAX)])
    reader = Reader(writer.directory)

    first, second = reader.read(), reader.read()
    reader.close()
    writer.close()

    assert (len(first.records), first.more) == (4, True)
    assert (len(second.records), second.more) == (2, False)
