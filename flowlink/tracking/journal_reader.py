"""Reading a journal from a position on: whole records in order, and exactly what is damaged.

A reader may follow a journal that is being written, in this process or another: it sees what
counts and nothing else. Where frames do not add up it looks for the next whole one, so that damage
costs the records it hit and none behind them.
"""

import os
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path

from flowlink.tracking import journal_format as form, segment as files
from flowlink.tracking.journal_format import State
from flowlink.tracking.segment import START, Position, Segment

_PIECE_BYTES = 4 * form.FRAME_BYTES_MAX  # any record fits
_RECORDS_MAX = 5_000


class Replaced(Exception):
    """The position lies in a segment that this directory never had: it is another, or an old copy.

    What of it is stored already cannot be told; a person has to look.
    """


class Damage(StrEnum):
    """What is wrong with a stretch of a journal."""

    CORRUPT = "corrupt"  # bytes that are no record
    ZEROED = "zeroed"  # zeros where records were
    TRUNCATED = "truncated"  # the file ends too early
    TORN = "torn"  # not finished when the power went: then it was never acknowledged
    HEADER = "header"  # the first block only: the records are read regardless
    MISSING = "missing"  # there is no file of this number


@dataclass(frozen=True, slots=True)
class Loss:
    """Bytes `start` to `end` of a segment that cannot be read, and how many records they held.

    `records` is None where nobody can tell.
    """

    damage: Damage
    number: int
    start: int
    end: int
    records: int | None


@dataclass(slots=True)
class Batch:
    """Records in order, what was lost before them, and where to go on after both.

    There is `more` when others were behind them already.
    """

    position: Position
    records: list[bytes] = field(default_factory=list)
    losses: list[Loss] = field(default_factory=list)
    more: bool = False


@dataclass(frozen=True, slots=True)
class Extent:
    """How far a segment can be read by now. `records` is how many it has until there, if its
    mark vouches for them; it is `growing` if somebody may still be writing before that end.
    """

    end: int
    records: int | None
    growing: bool


class Reader:
    """Follows one journal. Close it, or its file stays open."""

    def __init__(self, directory: Path, *, position: Position = START) -> None:
        self._directory = directory
        self._edge = files.edge_of(directory)
        self._segment: Segment | None = None
        self._file = -1
        self._size = 0
        self.position = position

    def close(self) -> None:
        """Close the file at hand."""
        if self._segment is not None:
            os.close(self._file)
        self._segment = None

    def read(self, *, records_max: int = _RECORDS_MAX) -> Batch:
        """The next records; none at the end of what counts by now.

        :raises Replaced: the directory is not the one that the position was made in.
        """
        batch = Batch(self.position)
        segment = self._segment or self._begin(batch)
        while segment is not None:
            # First whether it is over, then how far it goes: the other way round, what was
            # written between the two looks would be passed by.
            following = self._following(segment)
            extent = extent_of(segment, size=self._size, over=following is not None)
            while not batch.records and self._advance(segment, extent, batch, records_max):
                pass
            if batch.records or following is None:
                break
            segment = self._enter(following, batch)
        self.position = batch.position
        return batch

    def _begin(self, batch: Batch) -> Segment | None:
        """The segment in which the position lies, or the next if that one is gone."""
        segments = files.listed(self._directory, edge=self._edge)
        number = files.number_of(self.position.segment)
        ahead = [segment for segment in segments if segment.number >= number]
        if self.position == START:
            return self._enter(segments[0], batch) if segments else None
        if not ahead or (ahead[0].number == number and ahead[0].key != self.position.segment):
            raise Replaced(f"{self._directory} has no segment {number} with the right salt")
        if ahead[0].number == number:
            self._open(ahead[0])
            return ahead[0]
        return self._enter(ahead[0], batch)

    def _following(self, segment: Segment) -> Segment | None:
        """The next segment, if one behind this has been begun: then this one is over."""
        segments = files.listed(self._directory, edge=self._edge)
        later = [one for one in segments if one.number > segment.number]
        return later[0] if any(_begun(one) for one in later) else None

    def _enter(self, segment: Segment, batch: Batch) -> Segment:
        """Go on to a segment's first record."""
        before = files.number_of(batch.position.segment)
        if before and segment.number > before + 1:
            missing = range(before + 1, segment.number)
            batch.losses += [Loss(Damage.MISSING, number, 0, 0, None) for number in missing]
        header = self._open(segment)
        if header is None or (header.number, header.salt) != (segment.number, segment.salt):
            batch.losses.append(Loss(Damage.HEADER, segment.number, 0, form.BLOCK, 0))
        batch.position = segment.start
        return segment

    def _open(self, segment: Segment) -> form.Header | None:
        file = os.open(segment.path, os.O_RDONLY)
        self.close()
        self._segment, self._file = segment, file
        header = form.read_header(os.pread(file, form.BLOCK, 0))
        self._size = os.fstat(file).st_size if header is None else header.size
        return header

    def _advance(self, segment: Segment, extent: Extent, batch: Batch, records_max: int) -> bool:
        """Take records, or else pass by damage. False when neither is there, or not yet."""
        at = batch.position
        if at.offset >= extent.end:
            return False
        end = min(extent.end, os.fstat(self._file).st_size)
        piece = self._bytes(at.offset, min(end, at.offset + _PIECE_BYTES))
        batch.records, used = form.read_frames(
            piece, salt=segment.salt, sequence=at.sequence, records_max=records_max
        )
        if batch.records:
            taken = len(batch.records)
            batch.position = Position(at.segment, at.offset + used, at.sequence + taken)
            batch.more = batch.position.offset < extent.end and not extent.growing
            return True
        if extent.growing and not any(piece[: form.FRAME_BYTES]):
            return False
        return _pass_by(segment, extent, batch, self._bytes(at.offset, end))

    def _bytes(self, start: int, end: int) -> bytes:
        return os.pread(self._file, max(end - start, 0), start)


def cut(batch: Batch, count: int) -> tuple[Batch, Batch]:
    """A batch's first `count` records with what was lost before them, and the rest.

    The records of one batch lie one behind the other in one segment.
    """
    end, rest = batch.position, batch.records[count:]
    size = sum(form.FRAME_BYTES + len(record) for record in rest)
    middle = Position(end.segment, end.offset - size, end.sequence - len(rest))
    return Batch(middle, batch.records[:count], batch.losses), Batch(end, rest)


def extent_of(segment: Segment, *, size: int, over: bool) -> Extent:
    """How far a segment goes: as its mark says, or else to the end of its file of `size`."""
    mark = segment.mark()
    if mark is not None and mark.holds:
        return Extent(mark.offset, mark.records, growing=False)
    # A mark of another boot: whoever wrote this is gone. No mark at all: wait for a later segment.
    return Extent(size, None, growing=mark is None and not over)


def _pass_by(segment: Segment, extent: Extent, batch: Batch, rest: bytes) -> bool:
    """Go to the next whole record in the rest of a segment, or to the end. False: not yet."""
    at = batch.position
    frame = form.find_frame(rest, salt=segment.salt, sequence=at.sequence)
    if frame is not None:
        lost = frame.sequence - at.sequence
        end = at.offset + frame.start
        batch.losses.append(_loss(segment, at.offset, end, lost, rest[: frame.start]))
        batch.position = Position(at.segment, end, frame.sequence)
        return True
    if extent.growing:
        return False
    if extent.records is not None:
        lost = extent.records - at.sequence
        batch.losses.append(_loss(segment, at.offset, extent.end, lost, rest))
    elif at.offset + len(rest) < extent.end:
        batch.losses.append(_loss(segment, at.offset, extent.end, None, rest))
    elif written := rest.rstrip(b"\0"):
        end = at.offset + len(written)
        batch.losses.append(Loss(Damage.TORN, segment.number, at.offset, end, None))
    sequence = at.sequence if extent.records is None else extent.records
    batch.position = Position(at.segment, extent.end, sequence)
    return True


def _loss(segment: Segment, start: int, end: int, records: int | None, stretch: bytes) -> Loss:
    """What is lost from `start` to `end`, of which the file still has `stretch`."""
    damage = Damage.CORRUPT if stretch.strip(b"\0") else Damage.ZEROED
    if start + len(stretch) < end:
        damage = Damage.TRUNCATED
    return Loss(damage, segment.number, start, end, records)


def _begun(segment: Segment) -> bool:
    """Whether anything was ever written to it, or may have been."""
    mark = segment.mark()
    if mark is not None:
        return mark.state != State.PREPARED or not mark.holds
    with segment.path.open("rb") as file:
        file.seek(form.BLOCK)
        return any(file.read(form.FRAME_BYTES))
