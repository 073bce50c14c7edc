"""Entries of an edge's link table on their way over NATS: all of them once, then every change.

A pure transport: an entry is a key and a value, bytes both; what they mean is the table's business.
One publisher at a time lays down a generation: all entries in messages of their own, then news, at
least one a beat, numbered from one. A generation stands for itself, so that an edge that missed
anything takes the newest one. While the next one is laid down the news of the one before go on, and
its first news say all of them again: an edge that has heard them need not begin anew. What lies in
JetStream also serves an edge that starts while the database is away.

    rows    zlib of entries: key length 2 | value length 4 (all ones: gone) | key | value
    news    version 1 | generation 8 | first 8 | messages 4 | number 8 | at 8 (ms)
            | the generation and the number that these go on from 8 + 8 | rows
"""

import struct
import threading
import zlib
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import astuple, dataclass, replace
from datetime import UTC, datetime
from struct import Struct
from time import monotonic
from typing import Protocol

from flowlink.kernel import clock, logs
from flowlink.kernel.nats import Hub, Unreachable
from flowlink.kernel.nats_streams import Message, Stream

LINKS = Stream("FLOWLINK_LINKS", "flowlink.links.>", bytes_max=1024 * 1024 * 1024)

_NEWS = "flowlink.links.news"
_VERSION = 1
_ENTRY = Struct("<HI")
_HEAD = Struct("<BQQIQqQQ")
_GONE = 0xFFFF_FFFF
_ROWS_BYTES = 512 * 1024  # before compression; an entry more may come on top
_BEAT_S = 0.5

Entry = tuple[bytes, bytes | None]

log = logs.get("flowlink.links")


class Behind(Exception):
    """What came since cannot be told any more: take a new snapshot."""


class SourceAway(Exception):
    """The source cannot tell now."""


class Source(Protocol):
    """Whoever has the entries. `SourceAway` may come of every step."""

    def snapshot(self, *, anew: bool) -> Iterable[Entry]:
        """Every entry. `anew`: what changed before need not be told."""

    def pending(self) -> Sequence[Entry]:
        """What changed since the last word, without waiting."""

    def changes(self, stop: threading.Event) -> Iterator[Sequence[Entry]]:
        """What changed since the last snapshot began, at least once a second, if need be nothing.

        A value of None says that the entry is gone. Ends when only a new snapshot can tell.
        """


@dataclass(frozen=True, slots=True)
class Pace:
    """How often news are looked for; how long a publisher may be silent before another takes its
    place, or an edge looks what is the matter; how long a generation lasts; how long an edge goes
    from one to the next before it takes in all entries again.
    """

    look_s: float = 0.05
    silent_s: float = 5.0
    generation_s: float = 1800.0
    recheck_s: float = 6 * 3600.0


@dataclass(frozen=True, slots=True)
class News:
    """What changed, and the moment up to which the edge knows everything."""

    at: datetime
    entries: Sequence[Entry]


@dataclass(frozen=True, slots=True)
class _Head:
    """Which news, of which generation: `messages` of rows from stream number `first` on."""

    generation: int
    first: int
    messages: int
    number: int = 0
    at_ms: int = 0
    before_generation: int = 0
    before_number: int = 0


class LinkPublisher:
    """Publishes what a source has. Of several, one publishes and the others wait."""

    def __init__(self, hub: Hub, source: Source, *, pace: Pace | None = None) -> None:
        self._hub = hub
        self._source = source
        self._pace = pace or Pace()
        self._last = 0
        self._told: _Head | None = None
        self._told_at = 0.0
        self.publishes = False

    def run(self, stop: threading.Event) -> None:
        """Publish until `stop`, through outages of NATS and of the source."""
        halted = False
        while not stop.is_set():
            try:
                self._hub.ensure_stream(LINKS)
                if self._is_free(stop):
                    self._reign(stop)
                halted = False
            except (Unreachable, SourceAway) as error:
                if not halted:
                    log.warning("links are not published", error=str(error)[:200])
                halted = True
                stop.wait(self._pace.silent_s / 5)
            finally:
                self.publishes = False

    def _is_free(self, stop: threading.Event) -> bool:
        """Whether nobody publishes: then the last news stay the last for a while."""
        before = self._hub.last(LINKS.name, _NEWS)
        if before is None:
            return True
        if before.sequence != self._last:
            stop.wait(self._pace.silent_s)
        after = self._hub.last(LINKS.name, _NEWS)
        return not stop.is_set() and after is not None and after.sequence == before.sequence

    def _reign(self, stop: threading.Event) -> None:
        """One generation after the other, each going on from the one before."""
        self._told = None
        while self._generation(stop):
            pass

    def _generation(self, stop: threading.Event) -> bool:
        """Lay down all entries, then follow the changes; whether another one may go on from it."""
        generation = int(clock.now().timestamp() * 1000)
        subject, until = _rows_subject(generation), monotonic() + self._pace.generation_s
        first = messages = 0
        since: list[Entry] = []
        for rows in _packed(self._source.snapshot(anew=self._told is None)):
            self._keep(subject, rows)
            first, messages = first or self._last, messages + 1
            since += self._meanwhile()
            if stop.is_set():
                return False
        self._open(_Head(generation, first, messages), [*since, *self._source.pending()])
        for entries in self._source.changes(stop):
            self._say(entries)
            if stop.is_set() or self._is_superseded(generation):
                return False
            if monotonic() > until:
                return True
        return False

    def _open(self, head: _Head, since: Sequence[Entry]) -> None:
        """The first news of a generation, from which on it is the one to follow."""
        before = self._told or _Head(0, 0, 0)
        self._told = replace(head, before_generation=before.generation, before_number=before.number)
        self._say(since)
        self._hub.purge(LINKS.name, "flowlink.links.>", before=head.first or self._last)
        self.publishes = True
        log.info("links published", generation=head.generation, messages=head.messages)

    def _meanwhile(self) -> Sequence[Entry]:
        """What changed while a generation is laid down: told to those who follow the one before."""
        if self._told is None:
            return []
        entries = self._source.pending()
        if entries or monotonic() - self._told_at > _BEAT_S:
            self._say(entries)
        return entries

    def _say(self, entries: Sequence[Entry]) -> None:
        """The next news of the generation at hand."""
        assert self._told is not None, "a generation is opened first"
        at_ms = int(clock.now().timestamp() * 1000)
        self._told = replace(self._told, number=self._told.number + 1, at_ms=at_ms)
        self._told_at = monotonic()
        self._keep(_NEWS, _pack_news(self._told, entries))

    def _is_superseded(self, generation: int) -> bool:
        found = self._hub.last(LINKS.name, _NEWS)
        return found is not None and _read_head(found).generation > generation

    def _keep(self, subject: str, data: bytes) -> None:
        """Append, if the stream still has all that was appended before."""
        sequence = self._hub.keep(subject, data)
        before, self._last = self._last, sequence
        if sequence <= before:
            raise Unreachable("the stream has lost what it had: all entries again")


class NatsLinks:
    """An edge's side: `snapshot`, then `changes`, and again after `Behind`. For one thread.

    `Unreachable` may come of both; `changes` then goes on where it was.
    """

    def __init__(self, hub: Hub, *, pace: Pace | None = None) -> None:
        self._hub = hub
        self._pace = pace or Pace()
        self._generation = self._number = self._sequence = 0
        self._taken_at = 0.0
        self.watermark: datetime | None = None

    def snapshot(self) -> Iterator[Entry]:
        """Every entry of the newest generation, as it was when that was laid down.

        :raises Behind: it was replaced meanwhile: begin again.
        :raises Unreachable: also when nobody has published yet.
        """
        found = self._hub.last(LINKS.name, _NEWS)
        if found is None:
            raise Unreachable("no consumer has published links yet")
        head = _read_head(found)
        self._generation, self._number = head.generation, 0
        self._sequence = max(head.first - 1, 0)
        self._taken_at = monotonic()
        for _ in range(head.messages):
            rows = self._hub.after(LINKS.name, _rows_subject(head.generation), self._sequence)
            if rows is None:
                raise Behind("the generation is gone")
            self._sequence = rows.sequence
            yield from _unpacked(rows.data)

    def changes(self, stop: threading.Event) -> Iterator[News]:
        """What changed since the snapshot, as it comes, until `stop`.

        :raises Behind: something was missed, or a new generation is there.
        """
        heard_at = monotonic()
        while not stop.is_set():
            message = self._hub.after(LINKS.name, _NEWS, self._sequence)
            if message is not None:
                heard_at = monotonic()
                yield from self._take(message)
                continue
            if monotonic() - heard_at > self._pace.silent_s:
                self._look()
                heard_at = monotonic()
            stop.wait(self._pace.look_s)

    def _take(self, message: Message) -> Iterator[News]:
        head = _read_head(message)
        self._sequence = message.sequence
        if head.generation < self._generation:
            return  # the last words of one before
        if head.generation > self._generation:
            if not self._goes_on(head):
                raise Behind("there is a new generation")
            self._generation, self._number = head.generation, 0
        if head.number != self._number + 1:
            raise Behind("news are missing")
        self._number = head.number
        self.watermark = datetime.fromtimestamp(head.at_ms / 1000, tz=UTC)
        yield News(self.watermark, list(_unpacked(message.data[_HEAD.size :])))

    def _goes_on(self, head: _Head) -> bool:
        """Whether a generation goes on from what we have heard, and it is not time for a check."""
        before = (head.before_generation, head.before_number)
        recent = monotonic() - self._taken_at < self._pace.recheck_s
        return recent and before == (self._generation, self._number)

    def _look(self) -> None:
        """Find out whether it is silent, or whether the stream began anew."""
        found = self._hub.last(LINKS.name, _NEWS)
        if found is None:
            return
        head = _read_head(found)
        if (head.generation, head.number) != (self._generation, self._number):
            raise Behind("the stream is another one")


def published_at(hub: Hub) -> datetime | None:
    """The moment up to which the link table in NATS is complete; None before there is one.

    :raises Behind: it is of a version that we do not know.
    :raises Unreachable:
    """
    found = hub.last(LINKS.name, _NEWS)
    if found is None:
        return None
    return datetime.fromtimestamp(_read_head(found).at_ms / 1000, tz=UTC)


def _rows_subject(generation: int) -> str:
    return f"flowlink.links.rows.{generation}"


def _packed(entries: Iterable[Entry]) -> Iterator[bytes]:
    """Messages of rows; none is much larger than it should be."""
    parts: list[bytes] = []
    size = 0
    for entry in entries:
        parts.append(_pack_entry(entry))
        size += len(parts[-1])
        if size >= _ROWS_BYTES:
            yield zlib.compress(b"".join(parts), 1)
            parts, size = [], 0
    if parts:
        yield zlib.compress(b"".join(parts), 1)


def _pack_entry(entry: Entry) -> bytes:
    key, value = entry
    if value is None:
        return _ENTRY.pack(len(key), _GONE) + key
    return _ENTRY.pack(len(key), len(value)) + key + value


def _unpacked(rows: bytes) -> Iterator[Entry]:
    """The entries of a message.

    :raises Behind: it is none of a version that we know.
    """
    try:
        data = zlib.decompress(rows)
        at = 0
        while at < len(data):
            key_size, size = _ENTRY.unpack_from(data, at)
            at += _ENTRY.size
            key, at = data[at : at + key_size], at + key_size
            if size == _GONE:
                yield key, None
                continue
            yield key, data[at : at + size]
            at += size
    except (zlib.error, struct.error) as problem:
        raise Behind(str(problem)) from problem


def _pack_news(head: _Head, entries: Sequence[Entry]) -> bytes:
    return _HEAD.pack(_VERSION, *astuple(head)) + zlib.compress(
        b"".join(map(_pack_entry, entries)), 1
    )


def _read_head(message: Message) -> _Head:
    """What news say of themselves.

    :raises Behind: they are of a version that we do not know.
    """
    try:
        version, *numbers = _HEAD.unpack_from(message.data)
    except struct.error as problem:
        raise Behind(str(problem)) from problem
    if version != _VERSION:
        raise Behind(f"news of version {version}")
    return _Head(*numbers)
