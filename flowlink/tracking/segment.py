"""A journal's directory: who owns it, its segments' files, and how they are made and removed.

One directory holds the journal of one edge process: `edge` (its name, for ever), `lock` (held by
the process), and for each segment `EDGE-NUMBER-SALT.journal` with its mark. Numbers grow by one and
never come back, so names sort in the order of writing, and a missing one is noticed.
"""

import errno
import fcntl
import os
import re
import secrets
import shutil
import threading
from collections.abc import Generator, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from itertools import chain, count
from pathlib import Path

from flowlink.tracking import journal_format as form
from flowlink.tracking.journal_format import Header, Mark, State

_NAME = re.compile(r"([0-9a-f]{16})-([0-9]{10})-([0-9a-f]{8})\.journal")
_OWN = re.compile(r"edge|lock|node|shipping|.*\.mark|.*\.new")
_EDGE = re.compile(r"[0-9a-f]{16}")
_ZEROS = bytes(256 * 1024)
_PAUSE_S = 0.003
_MARK_READS = 5
_SALT_BITS = 8 * form.SALT_BYTES
_WRITE_FLAGS = os.RWF_DSYNC if hasattr(os, "RWF_DSYNC") else None


class Taken(Exception):
    """Another process holds this directory."""


class Abandoned(OSError):
    """The journal was closed while its next segment was being made."""


class NoRoom(OSError):
    """The disk, or the journal's share of it, has no room for another segment."""


@dataclass(frozen=True, order=True, slots=True)
class Position:
    """A place between two records. `sequence` is how many came before it in its segment.

    `segment` is a segment's number and salt in one: a journal restored from an old copy makes the
    same numbers again, but not the same salts.
    """

    segment: int
    offset: int
    sequence: int


START = Position(0, 0, 0)


@dataclass(frozen=True, slots=True)
class Haste:
    """How a segment is made ahead: at leisure, in a `hurry` because it is wanted, or no more."""

    hurry: threading.Event = field(default_factory=threading.Event)
    stop: threading.Event = field(default_factory=threading.Event)


@dataclass(frozen=True, slots=True)
class Segment:
    """One file of a journal, and the mark beside it."""

    directory: Path
    edge: str
    number: int
    salt: bytes

    @property
    def path(self) -> Path:
        return self.directory / f"{self.edge}-{self.number:010d}-{self.salt.hex()}.journal"

    @property
    def mark_path(self) -> Path:
        return self.path.with_suffix(".mark")

    @property
    def key(self) -> int:
        """What a position calls it."""
        return self.number << _SALT_BITS | int.from_bytes(self.salt)

    @property
    def start(self) -> Position:
        return Position(self.key, form.BLOCK, 0)

    def mark(self) -> Mark | None:
        """How far it is down, if its mark can be read."""
        for _ in range(_MARK_READS):  # its writer may be at it
            try:
                data = self.mark_path.read_bytes()
            except FileNotFoundError:
                return None
            mark = form.read_mark(data, salt=self.salt)
            if mark is not None:
                return mark
        return None


def number_of(key: int) -> int:
    """The number of a segment, from what a position calls it."""
    return key >> _SALT_BITS


def hold(path: Path) -> int:
    """Lock a file for as long as the returned descriptor is open.

    :raises Taken: somebody else holds it.
    """
    held = os.open(path, os.O_CREAT | os.O_RDWR, 0o600)
    try:
        fcntl.flock(held, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(held)
        raise Taken(str(path)) from None
    return held


@contextmanager
def held(path: Path) -> Generator[None]:
    """Hold a lock for a while.

    :raises Taken: somebody else holds it.
    """
    descriptor = hold(path)
    try:
        yield
    finally:
        os.close(descriptor)


def claim(root: Path) -> tuple[Path, int]:
    """The first directory below `root` that no process holds, and the lock on it.

    A process takes over where one before it ended, so that the directories stay few.
    """
    for slot in count():
        directory = root / f"{slot:03d}"
        directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        try:
            return directory, hold(directory / "lock")
        except Taken:
            continue
    raise AssertionError("there is always one more")


def directories(root: Path) -> list[Path]:
    """The journals below `root`, of living and of dead processes."""
    return sorted(path.parent for path in root.glob("*/edge"))


def identify(directory: Path) -> str:
    """The edge's name, drawn with the directory's first use. Its lock must be held."""
    path = directory / "edge"
    if not path.exists():
        scratch = path.with_suffix(".new")
        scratch.write_text(secrets.token_hex(8))
        sync(scratch)
        scratch.rename(path)
        sync(directory)
        sync(directory.parent)
    return edge_of(directory)


def edge_of(directory: Path) -> str:
    """The name of the edge whose journal this is."""
    name = (directory / "edge").read_text().strip()
    assert _EDGE.fullmatch(name), f"{directory / 'edge'} does not name an edge"
    return name


def listed(directory: Path, *, edge: str) -> list[Segment]:
    """The edge's segments in the order of writing, by their names."""
    found = [
        Segment(directory, match[1], int(match[2]), bytes.fromhex(match[3]))
        for match in map(_NAME.fullmatch, (path.name for path in directory.iterdir()))
        if match and match[1] == edge
    ]
    return sorted(found, key=lambda segment: segment.number)


def strangers(directory: Path, *, edge: str) -> list[Path]:
    """Files that are no part of this journal; they are left alone and should be looked at."""
    own = {segment.path.name for segment in listed(directory, edge=edge)}
    return sorted(
        path
        for path in directory.iterdir()
        if path.name not in own and not _OWN.fullmatch(path.name)
    )


def create(
    directory: Path, *, edge: str, number: int, size: int, free_bytes_min: int, haste: Haste
) -> Segment:
    """Make a segment of zeros, all on disk, that takes its name only when it is whole.

    Overwriting zeros changes no size, so that a sync waits for its own few pages and for nobody
    else's (research/redirect.md, trap 1).

    :raises NoRoom: less than `free_bytes_min` would be left on the disk.
    :raises Abandoned: nobody wants it any more.
    """
    if shutil.disk_usage(directory).free < size + free_bytes_min:
        raise NoRoom(errno.ENOSPC, "the journal leaves the rest of the disk to others")
    segment = Segment(directory, edge, number, form.draw_salt())
    scratch = segment.path.with_suffix(".new")
    header = form.pack_header(Header(edge, number, segment.salt, size))
    mark = form.pack_mark(State.PREPARED, offset=form.BLOCK, records=0, salt=segment.salt)
    try:
        _write_file(scratch, chain([header], _zeros(size - len(header), haste)))
        _write_file(segment.mark_path, [mark])
    except OSError:
        remove(segment)
        scratch.unlink(missing_ok=True)
        raise
    scratch.rename(segment.path)
    sync(directory)
    return segment


def sweep(directory: Path) -> None:
    """Remove what a process left half made. The directory's lock must be held."""
    for path in directory.glob("*.new"):
        path.unlink()
    for path in directory.glob("*.mark"):
        if not path.with_suffix(".journal").exists():
            path.unlink()


def remove(segment: Segment) -> None:
    """Delete a segment: its file first, so that a mark never outlives what it bounds in vain."""
    segment.path.unlink(missing_ok=True)
    segment.mark_path.unlink(missing_ok=True)


def retire(directory: Path, *, edge: str, position: Position) -> int:
    """Remove the segments that lie wholly before a position that is safely stored elsewhere.

    The position's own segment stays, so that there is always a last number to count on from.
    """
    past = [
        segment
        for segment in listed(directory, edge=edge)
        if segment.number < number_of(position.segment)
    ]
    for segment in past:
        remove(segment)
    return len(past)


def write_durably(descriptor: int, data: bytes, offset: int) -> None:
    """Write and sync; returns when the disk says that it has it."""
    while data:
        if _WRITE_FLAGS is not None:
            written = os.pwritev(descriptor, (data,), offset, _WRITE_FLAGS)
        else:
            written = os.pwrite(descriptor, data, offset)
            os.fsync(descriptor)
        data, offset = data[written:], offset + written


def _zeros(size: int, haste: Haste) -> Iterator[bytes]:
    """Small pieces with pauses, so that a click's sync never queues behind 64 MB of zeros."""
    for offset in range(0, size, len(_ZEROS)):
        yield _ZEROS[: size - offset]
        if not haste.hurry.is_set():
            haste.stop.wait(_PAUSE_S)
        if haste.stop.is_set():
            raise Abandoned(errno.ECANCELED, "the journal was closed")


def _write_file(path: Path, pieces: Iterable[bytes]) -> None:
    descriptor = os.open(path, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600)
    try:
        offset = 0
        for piece in pieces:
            write_durably(descriptor, piece, offset)
            offset += len(piece)
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def sync(path: Path) -> None:
    """Bring a file, or the names in a directory, to the disk."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
