"""Any records, any damage: all that is whole comes back, once and in order."""

import struct
from collections.abc import Callable, Sequence
from itertools import pairwise
from pathlib import Path

from hypothesis import given, settings, strategies as st

from flowlink.tracking.journal_reader import Loss
from tests.tracking.journals import (
    TINY,
    Batches,
    Written,
    folder,
    journal,
    patch,
    power_cut,
    read_all,
    reboot,
    segments,
)

# Records that look like parts of a journal are the hard ones.
records = st.one_of(
    st.binary(max_size=300),
    st.builds(bytes, st.integers(0, 300)),
    st.just(b"FLWJRNL1" + struct.pack("<III", 1, 2, 3) * 5),
)
Happened = Callable[[Path], None]
batches = st.lists(st.lists(records, min_size=1, max_size=3), min_size=1, max_size=30)


def nothing(directory: Path) -> None:
    """The machine has been running ever since."""


since = st.sampled_from([nothing, reboot, power_cut])


@settings(max_examples=60)
@given(batches, st.integers(1, 7), since)
def test_what_was_written_comes_back_in_order(
    given: Batches, records_max: int, happened: Happened
) -> None:
    with folder() as root:
        directory, places = journal(root, given)
        happened(directory)

        found = read_all(directory, records_max=records_max)

        assert found.records == [place.record for place in places]
        assert found.losses == []


Hit = tuple[int, int, int]  # which segment, where, and how many bytes
hits = st.lists(
    st.tuples(st.integers(0, 4), st.integers(0, TINY.segment_bytes), st.integers(1, 700)),
    min_size=1,
    max_size=4,
)
damages = st.sampled_from(["flip", "zero", "noise", "truncate"])


def damage(path: Path, kind: str, start: int, length: int) -> tuple[int, int]:
    """Spoil a stretch of a file; returns which bytes are not what they were."""
    before = path.read_bytes()
    start = min(start, len(before))
    end = min(start + length, len(before))
    if kind == "truncate":
        path.write_bytes(before[:start])
        return start, len(before)
    if kind == "flip":
        end = min(start + 1, end)
        patch(path, start, bytes(byte ^ 0x10 for byte in before[start:end]))
    else:
        noise = bytes(end - start) if kind == "zero" else b"\xa5" * (end - start)
        patch(path, start, noise)
    return start, end


@settings(max_examples=250)
@given(batches, hits, damages, since, st.integers(1, 7))
def test_damage_costs_the_records_it_hit_and_none_behind_them(
    given: Batches, struck: list[Hit], kind: str, happened: Happened, records_max: int
) -> None:
    with folder() as root:
        directory, places = journal(root, given)
        there = segments(directory)
        spoilt = [
            (there[which % len(there)].number, *damage(there[which % len(there)].path, kind, at, n))
            for which, at, n in struck
        ]
        happened(directory)

        found = read_all(directory, records_max=records_max)

        whole = [place for place in places if not touched(place, spoilt)]
        assert {place.record for place in whole} <= set(found.records)
        assert is_part_of(found.records, [place.record for place in places])
        lost = [place for place in places if place.record not in set(found.records)]
        assert not [
            a for a, b in pairwise(found.losses) if a.number == b.number and a.end > b.start
        ]
        if happened is not power_cut:
            assert sum(loss.records or 0 for loss in found.losses) == len(lost)
            assert all(any(covers(loss, place) for loss in found.losses) for place in lost)
        kept = [place for place in places if place.record in set(found.records)]
        assert not [place for place in kept for loss in found.losses if overlaps(loss, place)]


def touched(place: Written, spoilt: Sequence[tuple[int, int, int]]) -> bool:
    return any(
        number == place.segment and start < place.end and end > place.start
        for number, start, end in spoilt
    )


def covers(loss: Loss, place: Written) -> bool:
    return loss.number == place.segment and loss.start <= place.start and place.end <= loss.end


def overlaps(loss: Loss, place: Written) -> bool:
    return loss.number == place.segment and loss.start < place.end and place.start < loss.end


def is_part_of(part: Sequence[bytes], whole: Sequence[bytes]) -> bool:
    """Whether `part` is `whole` with some left out."""
    rest = iter(whole)
    return all(one in rest for one in part)
