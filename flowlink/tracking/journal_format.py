"""What a journal's files hold, byte by byte: a segment's header, its records' frames, its mark.

A segment is one block of header, then frames one after the other, then the zeros it was made of:

    header  magic 8 | edge 8 | number 4 | salt 4 | size 8 | CRC-32 4, at the start of 4096 bytes
    frame   salt 4 | CRC-32 4 | length 4 | sequence 4 | the record

The salt is drawn anew for each segment and never leaves the machine. It opens every frame, which is
how a reader finds its way again behind damage, and it seeds every checksum: neither what a visitor
wrote into a record nor what an older file left on the disk can pass for a frame.

The mark, in a small file beside the segment, says how far the segment is down:

    mark    boot 16 | state 4 | records 4 | offset 8 | CRC-32 4

It is written after each sync and not synced itself. All the processes of one boot see the same
mark, and a power cut takes it back together with what was not yet down; so it is believed within
its boot, or if it is a final one, and otherwise the frames must speak for themselves.
"""

import secrets
from collections.abc import Sequence
from dataclasses import dataclass
from enum import IntEnum
from functools import cache
from pathlib import Path
from struct import Struct
from zlib import crc32

BLOCK = 4096
RECORD_BYTES_MAX = 1024 * 1024
SALT_BYTES = 4
MARK_BYTES = 36

_MAGIC = b"FLWJRNL1"
_HEADER = Struct("<8s8sI4sQ")
_FRAME = Struct("<4sIII")
_FRAME_START = Struct("<4sI")
_FRAME_REST = Struct("<II")
_MARK = Struct("<16sIIQ")
_CHECK = Struct("<I")
_BOOT_ID = Path("/proc/sys/kernel/random/boot_id")

FRAME_BYTES = _FRAME.size
FRAME_BYTES_MAX = FRAME_BYTES + RECORD_BYTES_MAX


class State(IntEnum):
    """How a segment stands: made ahead, being written, full, or given up after an error."""

    PREPARED = 0
    OPEN = 1
    CLOSED = 2
    FAILED = 3


@dataclass(frozen=True, slots=True)
class Header:
    """Whose segment it is, and which."""

    edge: str
    number: int
    salt: bytes
    size: int


@dataclass(frozen=True, slots=True)
class Mark:
    """Everything before `offset` is on disk: `records` of them."""

    state: State
    offset: int
    records: int
    of_this_boot: bool

    @property
    def holds(self) -> bool:
        """Whether it can be believed: it may be older than the segment after a power cut."""
        return self.of_this_boot or self.state in {State.CLOSED, State.FAILED}


@dataclass(frozen=True, slots=True)
class Frame:
    """A whole record found in a piece of a segment."""

    start: int
    end: int
    sequence: int


def draw_salt() -> bytes:
    """A segment's salt: without zeros, so that no hole can look like the start of a frame."""
    return bytes(secrets.randbelow(255) + 1 for _ in range(SALT_BYTES))


def pack_header(header: Header) -> bytes:
    """The first block of a segment."""
    edge = bytes.fromhex(header.edge)
    body = _HEADER.pack(_MAGIC, edge, header.number, header.salt, header.size)
    return (body + _CHECK.pack(crc32(body))).ljust(BLOCK, b"\0")


def read_header(data: bytes) -> Header | None:
    """What the first block says; None when it is damaged, or no segment's."""
    body = data[: _HEADER.size]
    check = data[_HEADER.size : _HEADER.size + _CHECK.size]
    if check != _CHECK.pack(crc32(body)):
        return None
    magic, edge, number, salt, size = _HEADER.unpack(body)
    return Header(edge.hex(), number, salt, size) if magic == _MAGIC else None


def pack_mark(state: State, *, offset: int, records: int, salt: bytes) -> bytes:
    """What the mark's file holds."""
    body = _MARK.pack(boot(), state, records, offset)
    return body + _CHECK.pack(crc32(body, _seed(salt)))


def read_mark(data: bytes, *, salt: bytes) -> Mark | None:
    """What a mark says; None when it is damaged, or read while it was written."""
    body, check = data[: _MARK.size], data[_MARK.size :]
    if len(data) != MARK_BYTES or check != _CHECK.pack(crc32(body, _seed(salt))):
        return None
    of_boot, state, records, offset = _MARK.unpack(body)
    return Mark(State(state), offset, records, of_boot == boot())


def pack_frames(records: Sequence[bytes], *, salt: bytes, sequence: int) -> bytes:
    """The records' frames, the first of them being the segment's record number `sequence`."""
    parts: list[bytes] = []
    seed = _seed(salt)
    start, rest = _FRAME_START.pack, _FRAME_REST.pack
    for number, record in enumerate(records, sequence):
        body = rest(len(record), number) + record
        parts += (start(salt, crc32(body, seed)), body)
    return b"".join(parts)


def read_frames(
    data: bytes, *, salt: bytes, sequence: int, records_max: int
) -> tuple[list[bytes], int]:
    """The whole records at the start of `data`, in order, and where the last of them ends."""
    records: list[bytes] = []
    at, size, seed = 0, len(data), _seed(salt)
    while len(records) < records_max and at + FRAME_BYTES <= size:
        start, check, length, number = _FRAME.unpack_from(data, at)
        end = at + FRAME_BYTES + length
        if start != salt or number != sequence or end > size or length > RECORD_BYTES_MAX:
            break
        if crc32(data[at + _FRAME_START.size : end], seed) != check:
            break
        records.append(data[at + FRAME_BYTES : end])
        at, sequence = end, sequence + 1
    return records, at


def find_frame(data: bytes, *, salt: bytes, sequence: int) -> Frame | None:
    """The first whole record in `data`, wherever it begins, numbered `sequence` or higher."""
    seed, view = _seed(salt), memoryview(data)
    at = data.find(salt)
    while 0 <= at <= len(data) - FRAME_BYTES:
        _, check, length, number = _FRAME.unpack_from(data, at)
        end = at + FRAME_BYTES + length
        if (
            number >= sequence
            and length <= RECORD_BYTES_MAX
            and end <= len(data)
            and crc32(view[at + _FRAME_START.size : end], seed) == check
        ):
            return Frame(at, end, number)
        at = data.find(salt, at + 1)
    return None


@cache
def boot() -> bytes:
    """This boot of the machine, or of this process where the system does not name its boots."""
    if not _BOOT_ID.exists():
        return secrets.token_bytes(16)
    return bytes.fromhex(_BOOT_ID.read_text().strip().replace("-", ""))


def _seed(salt: bytes) -> int:
    return int.from_bytes(salt)
