"""What edges and consumers say to each other over NATS, byte by byte, and under which subjects.

An edge's parcels all go down one of a fixed number of lanes, each in order:

    parcel  version 1 | kind 1 | run 8 | position before 24 | position behind 24
            | losses 4 | records 4 | reason 2 | each loss 33 | each length 4 | reason | the records
            | CRC-32 4
    note    gap 1 | run 8 | position 24

A run is the time between two askings of an edge where to go on.
"""

import struct
from collections.abc import Iterator
from dataclasses import dataclass
from struct import Struct
from zlib import crc32

from flowlink.kernel.nats_streams import Stream
from flowlink.tracking.journal_reader import Batch, Damage, Loss, cut
from flowlink.tracking.segment import Position

LANES = 8
CLICKS = Stream("FLOWLINK_CLICKS", "flowlink.clicks.*.*", bytes_max=256 * 1024 * 1024, once=True)
POSITIONS = "flowlink.position.*"
RUN_BYTES = 8

_VERSION = 1
_BATCH, _ASIDE = 0, 1
_HEAD = Struct("<BB8sqqqqqqIIH")
_LOSS = Struct("<Bqqqq")
_CHECK = Struct("<I")
_NOTE = Struct("<?8sqqq")
_POSITION = Struct("<qqq")
_LENGTH_BYTES = 4
_DAMAGES = tuple(Damage)
_UNKNOWN = -1
_REASON_MAX = 500
_ROOM = 16 * 1024  # for all that is no record


class Garbled(ValueError):
    """The message is none of a version that we know."""


@dataclass(frozen=True, slots=True)
class Parcel:
    """A batch on its way. With a `reason` it is one impossible record, to be set aside."""

    run: bytes
    after: Position
    batch: Batch
    reason: str = ""


@dataclass(frozen=True, slots=True)
class Note:
    """How far an edge's journal is stored. `gap`: what came of this run did not fit there."""

    run: bytes
    position: Position
    gap: bool


def lane_of(edge: str) -> int:
    """The lane of an edge, for ever."""
    return int(edge, 16) % LANES


def lane_name(lane: int) -> str:
    """What JetStream calls a lane."""
    return f"lane-{lane}"


def lane_subjects(lane: int) -> str:
    """What comes down a lane."""
    return f"flowlink.clicks.{lane}.*"


def clicks_subject(edge: str) -> str:
    """Where an edge's parcels go."""
    return f"flowlink.clicks.{lane_of(edge)}.{edge}"


def position_subject(edge: str) -> str:
    """Where an edge asks how far its journal is stored."""
    return f"flowlink.position.{edge}"


def stored_subject(edge: str) -> str:
    """Where an edge is told how far its journal is stored."""
    return f"flowlink.stored.{edge}"


def edge_in(subject: str) -> str:
    """The edge that a subject ends with."""
    return subject.rpartition(".")[2]


def parts(batch: Batch, *, bytes_max: int) -> Iterator[Batch]:
    """The batch in pieces that each fit a message, the last ending where it does.

    A record that fits none comes alone.
    """
    rest = batch
    while True:
        size, count = _ROOM, 0
        for record in rest.records:
            size += _LENGTH_BYTES + len(record)
            if size > bytes_max and count:
                break
            count += 1
        if count == len(rest.records):
            yield rest
            return
        piece, rest = cut(rest, count)
        yield piece


def pack(parcel: Parcel) -> bytes:
    """The message of a parcel."""
    batch, reason = parcel.batch, parcel.reason.encode("utf-8", "replace")[:_REASON_MAX]
    head = _HEAD.pack(
        _VERSION,
        _ASIDE if reason else _BATCH,
        parcel.run,
        *_numbers(parcel.after),
        *_numbers(batch.position),
        len(batch.losses),
        len(batch.records),
        len(reason),
    )
    lengths = struct.pack(f"<{len(batch.records)}I", *map(len, batch.records))
    losses = [_pack_loss(loss) for loss in batch.losses]
    body = b"".join([head, *losses, lengths, reason, *batch.records])
    return body + _CHECK.pack(crc32(body))


def unpack(message: bytes) -> Parcel:
    """The parcel of a message.

    :raises Garbled: it is none, or damaged.
    """
    body, check = message[: -_CHECK.size], message[-_CHECK.size :]
    if check != _CHECK.pack(crc32(body)) or body[:1] != bytes([_VERSION]):
        raise Garbled(f"{len(message)} bytes of version {message[:1].hex()} are no parcel")
    try:
        return _unpack(body)
    except (struct.error, IndexError) as problem:
        raise Garbled(str(problem)) from problem


def _unpack(body: bytes) -> Parcel:
    _, _, run, *numbers, losses, records, reason_size = _HEAD.unpack_from(body)
    at = _HEAD.size
    batch = Batch(Position(*numbers[3:]))
    for _ in range(losses):
        batch.losses.append(_unpack_loss(body, at))
        at += _LOSS.size
    lengths = struct.unpack_from(f"<{records}I", body, at)
    at += _LENGTH_BYTES * records
    reason = body[at : at + reason_size].decode("utf-8", "replace")
    at += reason_size
    for length in lengths:
        batch.records.append(body[at : at + length])
        at += length
    if at != len(body):
        raise Garbled(f"{len(body)} bytes hold {at}")
    return Parcel(run, Position(*numbers[:3]), batch, reason)


def pack_note(note: Note) -> bytes:
    """The message of a note."""
    return _NOTE.pack(note.gap, note.run, *_numbers(note.position))


def unpack_note(message: bytes) -> Note:
    """The note of a message.

    :raises Garbled: it is none.
    """
    try:
        gap, run, *numbers = _NOTE.unpack(message)
    except struct.error as problem:
        raise Garbled(str(problem)) from problem
    return Note(run, Position(*numbers), gap)


def pack_position(position: Position) -> bytes:
    """The answer that tells a position."""
    return _POSITION.pack(*_numbers(position))


def unpack_position(answer: bytes) -> Position | None:
    """The position of an answer; None from a consumer that cannot tell now."""
    return Position(*_POSITION.unpack(answer)) if len(answer) == _POSITION.size else None


def _numbers(position: Position) -> tuple[int, int, int]:
    return position.segment, position.offset, position.sequence


def _pack_loss(loss: Loss) -> bytes:
    records = _UNKNOWN if loss.records is None else loss.records
    damage = _DAMAGES.index(loss.damage)
    return _LOSS.pack(damage, loss.number, loss.start, loss.end, records)


def _unpack_loss(body: bytes, at: int) -> Loss:
    damage, number, start, end, records = _LOSS.unpack_from(body, at)
    known = None if records == _UNKNOWN else records
    return Loss(_DAMAGES[damage], number, start, end, known)
