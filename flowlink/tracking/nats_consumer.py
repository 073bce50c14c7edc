"""The consumers' side of the click transport: what edges send is stored, each click exactly once.

Any number of processes share the lanes. JetStream hands out one message of a lane at a time, so
that an edge's parcels come in order; but what makes them count once is the position in PostgreSQL
alone, which moves in the transaction of the rows. A parcel that does not begin there is dropped,
and its edge is told where to go on: whatever was lost, doubled or late, the edge still has it.
"""

import threading
from collections.abc import Callable
from dataclasses import dataclass, replace

from flowlink.kernel import logs
from flowlink.kernel.nats import Hub, Unreachable
from flowlink.kernel.nats_streams import Message
from flowlink.tracking import nats_wire as wire
from flowlink.tracking.journal_reader import Batch, cut
from flowlink.tracking.nats_wire import Garbled, Note, Parcel
from flowlink.tracking.segment import Position
from flowlink.tracking.shipper import Away, Moved, Refused, Store

_GROUP = "flowlink-consumers"
_ACK, _LATER, _NEVER, _AT_WORK = b"+ACK", b"-NAK", b"+TERM", b"+WPI"

log = logs.get("flowlink.consumer")


@dataclass(frozen=True, slots=True)
class Pace:
    """How long a lane waits for a message; after how long without a word one is handed out again;
    how long to pause while nothing works.
    """

    wait_s: float = 1.0
    again_s: float = 10.0
    retry_s: float = 0.2
    retry_s_max: float = 3.0


@dataclass(frozen=True, slots=True)
class Progress:
    """What a lane has done since it started."""

    stored: int = 0
    set_aside: int = 0
    repeated: int = 0
    gaps: int = 0
    error: str = ""


class Lane:
    """Stores what comes down one lane. `progress` may be read by any thread."""

    def __init__(self, number: int, *, hub: Hub, store: Store, pace: Pace) -> None:
        self._name = wire.lane_name(number)
        self._subjects = wire.lane_subjects(number)
        self._hub = hub
        self._store = store
        self._pace = pace
        self._ready = False
        self.progress = Progress()

    def run(self, stop: threading.Event) -> None:
        """Store until `stop` is set. What is at hand then is handed to another consumer."""
        retry_s = self._pace.retry_s
        while not stop.is_set():
            try:
                self._step(stop)
            except Unreachable as error:
                self._ready = False
                self._say(str(error))
                stop.wait(retry_s)
                retry_s = min(2 * retry_s, self._pace.retry_s_max)
            else:
                retry_s = self._pace.retry_s
                self._say("")

    def _step(self, stop: threading.Event) -> None:
        if not self._ready:
            self._hub.ensure_stream(wire.CLICKS)
            self._hub.ensure_lane(
                wire.CLICKS.name, self._name, subjects=self._subjects, wait_s=self._pace.again_s
            )
            self._ready = True
        message = self._hub.pull(wire.CLICKS.name, self._name, wait_s=self._pace.wait_s)
        if message is not None:
            self._work_off(message, stop)

    def _work_off(self, message: Message, stop: threading.Event) -> None:
        try:
            parcel = wire.unpack(message.data)
        except Garbled:
            # Its edge will find that it is gone, and send it again as long as it has it.
            log.exception("parcel unreadable", subject=message.subject)
            self._hub.tell(message.reply, _NEVER)
            return
        edge = wire.edge_in(message.subject)
        while not stop.is_set():
            try:
                note = self._keep(parcel, edge)
            except Away as error:
                self._say(str(error))
                self._hub.tell(message.reply, _AT_WORK)
                stop.wait(self._pace.retry_s)
                continue
            self._hub.tell(wire.stored_subject(edge), wire.pack_note(note))
            self._hub.tell(message.reply, _ACK)
            return
        self._hub.tell(message.reply, _LATER)

    def _keep(self, parcel: Parcel, edge: str) -> Note:
        """Store a parcel, unless it is stored already or does not fit there."""
        batch, now = parcel.batch, self.progress
        try:
            if parcel.reason:
                self._set_aside(batch, edge=edge, after=parcel.after, reason=parcel.reason)
            else:
                self._take(batch, edge=edge, after=parcel.after)
        except Moved:
            position = self._store.position(edge=edge)
            gap = position < batch.position
            self.progress = replace(now, gaps=now.gaps + gap, repeated=now.repeated + (not gap))
            return Note(parcel.run, position, gap)
        return Note(parcel.run, batch.position, gap=False)

    def _take(self, batch: Batch, *, edge: str, after: Position) -> None:
        """Store a batch; of one with an impossible record, all but that."""
        try:
            self._store.take(batch, edge=edge, after=after)
        except Refused as refusal:
            if len(batch.records) <= 1:
                self._set_aside(batch, edge=edge, after=after, reason=str(refusal))
                return
            first, rest = cut(batch, len(batch.records) // 2)
            self._take(first, edge=edge, after=after)
            self._take(rest, edge=edge, after=first.position)
        else:
            now = self.progress
            self.progress = replace(now, stored=now.stored + len(batch.records))

    def _set_aside(self, batch: Batch, *, edge: str, after: Position, reason: str) -> None:
        self._store.set_aside(batch, edge=edge, after=after, reason=reason)
        self.progress = replace(self.progress, set_aside=self.progress.set_aside + 1)

    def _say(self, error: str) -> None:
        """Log a change for the worse or the better, once."""
        if bool(error) != bool(self.progress.error):
            log.warning("lane halts" if error else "lane goes on", lane=self._name, error=error)
        self.progress = replace(self.progress, error=error[:200])


class Consumer:
    """All lanes of one process, and its answers to edges that ask where to go on."""

    def __init__(
        self, hub: Hub, *, new_store: Callable[[], Store], pace: Pace | None = None
    ) -> None:
        chosen = pace or Pace()
        self._hub = hub
        self._pace = chosen
        self._answering = new_store()
        self.lanes = [
            Lane(number, hub=hub, store=new_store(), pace=chosen) for number in range(wire.LANES)
        ]

    def run(self, stop: threading.Event) -> None:
        """Answer and store until `stop` is set."""
        threads = [
            threading.Thread(target=lane.run, args=(stop,), name=f"lane-{number}")
            for number, lane in enumerate(self.lanes)
        ]
        for thread in threads:
            thread.start()
        self._answer(stop)
        for thread in threads:
            thread.join()

    @property
    def progress(self) -> Progress:
        """What all lanes have done together."""
        each = [lane.progress for lane in self.lanes]
        return Progress(
            stored=sum(one.stored for one in each),
            set_aside=sum(one.set_aside for one in each),
            repeated=sum(one.repeated for one in each),
            gaps=sum(one.gaps for one in each),
            error=next((one.error for one in each if one.error), ""),
        )

    def _answer(self, stop: threading.Event) -> None:
        while not stop.is_set():
            try:
                self._hub.answer(wire.POSITIONS, group=_GROUP, reply=self._position)
            except Unreachable:
                stop.wait(self._pace.retry_s_max)
            else:
                stop.wait()

    def _position(self, subject: str, _: bytes) -> bytes:
        """The answer to an edge; an empty one while PostgreSQL is away."""
        try:
            return wire.pack_position(self._answering.position(edge=wire.edge_in(subject)))
        except Away:
            return b""
