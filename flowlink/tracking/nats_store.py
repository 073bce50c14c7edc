"""An edge's way to the store over NATS: what its shipper sends is kept by a consumer elsewhere.

JetStream acknowledges before it syncs, so that what it has taken may still go lost with a node. It
is never believed: the journal keeps a segment until a consumer has said that it is in PostgreSQL,
and what went lost on the way is sent again from there.
"""

import secrets
import threading
from collections import deque
from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import dataclass
from time import monotonic

from flowlink.kernel import logs
from flowlink.kernel.nats import Hub, Unreachable
from flowlink.tracking import nats_wire as wire
from flowlink.tracking.journal_reader import Batch
from flowlink.tracking.nats_wire import Parcel
from flowlink.tracking.segment import START, Position
from flowlink.tracking.shipper import Away, Moved, Refused

_PROTOCOL_BYTES = 1024  # of a message, besides what we put into it


@dataclass(frozen=True, slots=True)
class Window:
    """How much may be on its way, and how long without a word before somebody is asked."""

    bytes_max: int = 4 * 1024 * 1024
    stall_s: float = 2.0
    patience_s: float = 10.0


class NatsStore:
    """The store of one edge's shipper. It remembers what is on its way."""

    def __init__(self, hub: Hub, *, window: Window | None = None) -> None:
        self._hub = hub
        self._window = window or Window()
        self._news = threading.Condition()
        self._listens = False
        self._run = b""
        self._kept = START
        self._gap = False
        self._sent: deque[tuple[Position, int]] = deque()
        self._sent_bytes = 0
        self._heard_at = 0.0
        self._room_bytes = 0

    def position(self, *, edge: str) -> Position:
        """How far this journal is stored, told by a consumer out of PostgreSQL. A run begins."""
        with _translated():
            if not self._listens:
                self._hub.listen(wire.stored_subject(edge), self._hear)
                self._listens = True
            self._room_bytes = self._hub.message_bytes_max - _PROTOCOL_BYTES
        position = self._ask(edge)
        with self._news:
            self._run = secrets.token_bytes(wire.RUN_BYTES)
            self._kept, self._gap = position, False
            self._sent.clear()
            self._sent_bytes, self._heard_at = 0, monotonic()
        return position

    def take(self, batch: Batch, *, edge: str, after: Position) -> None:
        """Send a batch on. What `kept` says tells when it is stored.

        :raises Moved: something before it went lost.
        :raises Refused: a record is larger than a message may be.
        """
        for part in wire.parts(batch, bytes_max=self._room_bytes):
            message = wire.pack(Parcel(self._run, after, part))
            if len(message) > self._room_bytes:
                raise Refused(f"{len(message)} bytes are too much for a message")
            self._send(message, edge=edge, to=part.position)
            after = part.position

    def set_aside(self, batch: Batch, *, edge: str, after: Position, reason: str) -> None:
        """Send an impossible record on, cut to what a message holds."""
        [record] = batch.records
        part = Batch(batch.position, [record[: self._room_bytes // 2]], batch.losses)
        self._send(wire.pack(Parcel(self._run, after, part, reason)), edge=edge, to=batch.position)

    def kept(self, *, edge: str) -> Position:
        """How far this journal is in PostgreSQL, as far as this edge has heard."""
        with self._news:
            self._check()
            silent = self._sent and monotonic() - self._heard_at > self._window.stall_s
        if silent:
            self._look(edge)
        return self._kept

    def _send(self, message: bytes, *, edge: str, to: Position) -> None:
        self._wait_for_room(len(message), edge)
        with self._news:
            if not self._sent:
                self._heard_at = monotonic()
            self._sent.append((to, len(message)))
            self._sent_bytes += len(message)
        with _translated():
            self._hub.keep(wire.clicks_subject(edge), message)

    def _wait_for_room(self, size: int, edge: str) -> None:
        """Wait until enough of what was sent is stored: the journal is the place to wait in."""
        until = monotonic() + self._window.patience_s
        while True:
            with self._news:
                self._check()
                if not self._sent or self._sent_bytes + size <= self._window.bytes_max:
                    return
                before = self._heard_at
                self._news.wait(self._window.stall_s)
                moved = self._heard_at != before
            if moved:
                until = monotonic() + self._window.patience_s
            else:
                self._look(edge)
            if monotonic() > until:
                raise Away("the consumers do not get on")

    def _look(self, edge: str) -> None:
        """Ask what became of what was sent: stored, still on its way, or lost.

        The stream first, then the consumer: what leaves the stream is in PostgreSQL before.
        """
        lane = wire.lane_name(wire.lane_of(edge))
        with _translated():
            on_its_way = self._hub.last(wire.CLICKS.name, wire.clicks_subject(edge)) is not None
            on_its_way = on_its_way and not self._hub.is_idle(wire.CLICKS.name, lane)
        position = self._ask(edge)
        with self._news:
            self._settle(position)
            self._heard_at = monotonic()
            if self._sent and not on_its_way:
                logs.get().warning("parcels lost", edge=edge, parcels=len(self._sent))
                raise Moved(edge)

    def _ask(self, edge: str) -> Position:
        with _translated():
            answer = self._hub.ask(wire.position_subject(edge))
        position = wire.unpack_position(answer)
        if position is None:
            raise Away("the consumers have no database")
        return position

    def _hear(self, message: bytes) -> None:
        """A consumer has stored something, or could not."""
        note = wire.unpack_note(message)
        with self._news:
            if note.run == self._run:
                self._settle(note.position)
                self._gap |= note.gap
                self._news.notify_all()

    def _settle(self, position: Position) -> None:
        """Remember that everything up to there is stored. The lock must be held."""
        if position <= self._kept:
            return
        self._kept, self._heard_at = position, monotonic()
        while self._sent and self._sent[0][0] <= position:
            self._sent_bytes -= self._sent.popleft()[1]

    def _check(self) -> None:
        if self._gap:
            raise Moved("a parcel went lost")


@contextmanager
def _translated() -> Generator[None]:
    try:
        yield
    except Unreachable as problem:
        raise Away(str(problem)) from problem
