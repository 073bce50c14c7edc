"""Makers of journals and of what happens to their files."""

import struct
import zlib
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import TemporaryDirectory

from flowlink.tracking import segment as files
from flowlink.tracking.journal_format import FRAME_BYTES, State
from flowlink.tracking.journal_reader import Loss, Reader
from flowlink.tracking.journal_writer import Bounds, Writer
from flowlink.tracking.segment import START, Position, Segment
from tests.cluster import MEMORY

TINY = Bounds(
    segment_bytes=4096 + 2048,
    batch_bytes_max=1024,
    waiting_bytes_max=64 * 1024,
    free_bytes_min=0,
    stall_s_max=30.0,
)


Batches = list[list[bytes]]


@dataclass(frozen=True)
class Written:
    """A record, and where its frame lies."""

    record: bytes
    segment: int
    start: int
    end: int


@dataclass
class Found:
    """Everything a reader gave back."""

    records: list[bytes] = field(default_factory=list)
    losses: list[Loss] = field(default_factory=list)
    position: Position = START


@contextmanager
def folder() -> Iterator[Path]:
    """A directory in memory, where a sync costs nothing."""
    with TemporaryDirectory(dir=MEMORY) as place:
        yield Path(place)


def written(writer: Writer, records: Sequence[bytes]) -> list[Written]:
    """Write one batch and say where it went."""
    size = sum(FRAME_BYTES + len(record) for record in records)
    writer.put(records, size=size)
    writer.count()
    end = writer.position.offset - size
    places = []
    for record in records:
        start, end = end, end + FRAME_BYTES + len(record)
        number = files.number_of(writer.position.segment)
        places.append(Written(record, number, start, end))
    return places


def numbered(given: Batches) -> Batches:
    """The same records, each told apart by a number of its own."""
    numbers = iter(range(1 << 32))
    return [[next(numbers).to_bytes(4) + one for one in batch] for batch in given]


def journal(root: Path, given: Batches) -> tuple[Path, list[Written]]:
    """A closed journal that holds these batches."""
    writer = Writer(root, bounds=TINY)
    places = [place for batch in numbered(given) for place in written(writer, batch)]
    writer.close()
    return writer.directory, places


def plain(count: int) -> Batches:
    return [[b"a record of no importance %d" % number] for number in range(count)]


def read_all(directory: Path, *, position: Position = START, records_max: int = 5000) -> Found:
    """Read to the end, going on with a new reader at every step as after a crash."""
    found = Found(position=position)
    while True:
        reader = Reader(directory, position=found.position)
        batch = reader.read(records_max=records_max)
        reader.close()
        found.records += batch.records
        found.losses += batch.losses
        if batch.position == found.position:
            return found
        found.position = batch.position


def segments(directory: Path) -> list[Segment]:
    return files.listed(directory, edge=files.edge_of(directory))


def begun(writer: Writer) -> list[Segment]:
    """Up to the one being written. The next is made ahead, a moment sooner or later."""
    here = files.number_of(writer.position.segment)
    return [segment for segment in segments(writer.directory) if segment.number <= here]


def patch(path: Path, offset: int, data: bytes) -> None:
    """Change bytes in the middle of a file."""
    with path.open("r+b") as file:
        file.seek(offset)
        file.write(data)


def reboot(directory: Path, *, state: State | None = None) -> None:
    """Let the marks be of an earlier boot; with a state, as they were when it was that."""
    for segment in segments(directory):
        mark = segment.mark_path.read_bytes()
        now = int.from_bytes(mark[16:20], "little") if state is None else state
        body = bytes(16) + struct.pack("<I", now) + mark[20:32]
        check = zlib.crc32(body, int.from_bytes(segment.salt))
        segment.mark_path.write_bytes(body + struct.pack("<I", check))


def power_cut(directory: Path) -> None:
    """Nothing of the marks reached the disk since the segments were made."""
    reboot(directory, state=State.PREPARED)
