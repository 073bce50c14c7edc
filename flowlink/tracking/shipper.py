"""Brings a journal's records to where they are kept, each exactly once, and says what still waits.

The store keeps the records and the journal's position together or not at all; the shipper only ever
goes on from the position that the store says it has. So it may die, or lose the answer, at any
moment. It is stopped by no outage: it tries again, and the journal waits on its disk.
"""

import threading
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from time import monotonic
from typing import Protocol

from flowlink.kernel import logs
from flowlink.tracking import segment as files
from flowlink.tracking.journal_reader import Batch, Reader, Replaced, extent_of
from flowlink.tracking.segment import START, Position, Taken

LOCK = "shipping"


class Away(Exception):
    """The store cannot be reached, or cannot work now. The batch may be kept all the same."""


class Moved(Exception):
    """The store's position is not where this batch begins: somebody else moved it."""


class Refused(Exception):
    """The store will never keep this batch as it is. It has kept nothing of it."""


class _TooMuch(Exception):
    """One record of the batch is impossible: find it in smaller ones."""


class Store(Protocol):
    """Where records go. `Away` may come of every call."""

    def position(self, *, edge: str) -> Position:
        """How far this journal is kept; `START` if not at all."""

    def take(self, batch: Batch, *, edge: str, after: Position) -> None:
        """Keep a batch that begins `after` this position, and that it ends at its own, or neither.

        :raises Moved: the position is another one.
        :raises Refused: a record of the batch is impossible.
        """

    def set_aside(self, batch: Batch, *, edge: str, after: Position, reason: str) -> None:
        """Keep an impossible record as it is, for people to look at, and move on.

        :raises Moved: the position is another one.
        """

    def kept(self, *, edge: str) -> Position:
        """How far this journal is kept for good, as far as is known: what lies before may go.

        A store that hands on to another one answers a position behind what it has taken.

        :raises Moved: what was handed on went lost. Go on from `position`.
        """


@dataclass(frozen=True, slots=True)
class Pace:
    """How fast: a batch each `beat_s`, unless they are full, and a first one within `idle_s`;
    longer pauses while nothing works; a look for new journals each `look_s`.
    """

    beat_s: float = 0.25
    idle_s: float = 0.02
    records_max: int = 10_000
    look_s: float = 1.0
    retry_s: float = 0.1
    retry_s_max: float = 5.0


@dataclass(frozen=True, slots=True)
class Progress:
    """What a shipper has done since it started, and since when it cannot.

    `kept` is how far the journal is kept for good, as far as is known.
    """

    kept: Position = START
    shipped: int = 0
    set_aside: int = 0
    lost: int = 0
    losses: int = 0
    failing_since: float | None = None
    error: str = ""


@dataclass(frozen=True, slots=True)
class Backlog:
    """What is in a journal behind a position: its size, and its first record."""

    size_bytes: int
    records: int
    oldest: bytes | None


class Shipper:
    """Ships one journal. `progress` may be read by any thread."""

    def __init__(self, directory: Path, *, store: Store, pace: Pace | None = None) -> None:
        self._directory = directory
        self._edge = files.edge_of(directory)
        self._store = store
        self._pace = pace or Pace()
        self._reader: Reader | None = None
        self._records_max = self._pace.records_max
        self._moved = False
        self.progress = Progress()

    def run(self, stop: threading.Event) -> None:
        """Ship until `stop` is set. Of two shippers of one journal the second waits its turn."""
        wait_s = 0.0
        while not stop.wait(wait_s):
            try:
                with files.held(self._directory / LOCK):
                    self._run(stop)
            except Taken:
                wait_s = self._pace.retry_s_max
            finally:
                self._forget()

    def _run(self, stop: threading.Event) -> None:
        retry_s = self._pace.retry_s
        while not stop.is_set():
            began = monotonic()
            try:
                more = self.step()
            except (Away, Replaced, OSError) as error:
                self._failed(error)
                stop.wait(retry_s)
                retry_s = min(2 * retry_s, self._pace.retry_s_max)
                continue
            retry_s = self._pace.retry_s
            if not more:
                beat_s = self._pace.beat_s if self._moved else self._pace.idle_s
                stop.wait(max(beat_s - (monotonic() - began), 0))

    def step(self) -> bool:
        """Ship one batch; whether there is likely more at once.

        :raises Away: the store is; try again later.
        :raises Replaced: the journal is not the one that the store knows.
        :raises OSError: the journal cannot be read.
        """
        if self._reader is None:
            position = self._store.position(edge=self._edge)
            self._reader = Reader(self._directory, position=position)
        before = self._reader.position
        batch = self._reader.read(records_max=self._records_max)
        more = batch.more
        self._moved = batch.position != before
        try:
            if self._moved:
                self._hand_over(batch, before)
            self._let_go(self._store.kept(edge=self._edge))
        except (Moved, _TooMuch):
            self._forget()
            more = True
        self._succeeded()
        return more

    def close(self) -> None:
        """Leave the journal, after steps of one's own."""
        self._forget()

    def _hand_over(self, batch: Batch, before: Position) -> None:
        try:
            self._store.take(batch, edge=self._edge, after=before)
            self._count(batch, set_aside=0)
        except Refused as refusal:
            if len(batch.records) > 1:
                self._records_max = len(batch.records) // 2
                raise _TooMuch from refusal
            self._store.set_aside(batch, edge=self._edge, after=before, reason=str(refusal))
            self._count(batch, set_aside=1)
        self._records_max = min(2 * self._records_max, self._pace.records_max)

    def _let_go(self, kept: Position) -> None:
        """Remove the segments that are kept elsewhere for good."""
        if kept.segment != self.progress.kept.segment:
            files.retire(self._directory, edge=self._edge, position=kept)
        if kept != self.progress.kept:
            self.progress = replace(self.progress, kept=kept)

    def _count(self, batch: Batch, *, set_aside: int) -> None:
        for loss in batch.losses:
            logs.get().error("journal damaged", directory=str(self._directory), loss=str(loss))
        now = self.progress
        self.progress = replace(
            now,
            shipped=now.shipped + len(batch.records) - set_aside,
            set_aside=now.set_aside + set_aside,
            losses=now.losses + len(batch.losses),
            lost=now.lost + sum(loss.records or 0 for loss in batch.losses),
        )

    def _failed(self, error: Exception) -> None:
        self._forget()
        if self.progress.failing_since is None:
            logs.get().warning("shipping halts", edge=self._edge, error=str(error)[:200])
        since = self.progress.failing_since or monotonic()
        self.progress = replace(self.progress, failing_since=since, error=str(error))

    def _succeeded(self) -> None:
        if self.progress.failing_since is not None:
            logs.get().info("shipping goes on", edge=self._edge)
            self.progress = replace(self.progress, failing_since=None, error="")

    def _forget(self) -> None:
        """Ask the store again where to go on."""
        if self._reader is not None:
            self._reader.close()
        self._reader = None


def ship(
    root: Path, *, new_store: Callable[[], Store], stop: threading.Event, pace: Pace | None = None
) -> None:
    """Ship every journal below `root` until `stop`, each in a thread, also those still to come.

    The journals of processes that have ended are among them: nothing stays behind.
    """
    chosen = pace or Pace()
    running: dict[Path, threading.Thread] = {}
    while not stop.is_set():
        for directory in files.directories(root):
            if directory not in running:
                shipper = Shipper(directory, store=new_store(), pace=chosen)
                name = f"ship-{directory.name}"
                running[directory] = threading.Thread(target=shipper.run, args=(stop,), name=name)
                running[directory].start()
        stop.wait(chosen.look_s)
    for thread in running.values():
        thread.join()


def backlog(directory: Path, *, position: Position) -> Backlog:
    """What waits behind a position. Counts as far as marks go, and the rest after a power cut.

    :raises Replaced: the journal is not the one that the position was made in.
    """
    first = _read_once(directory, position, records_max=1)
    size = records = 0
    for segment in files.listed(directory, edge=files.edge_of(directory)):
        if segment.number < files.number_of(position.segment):
            continue
        at = position if segment.key == position.segment else segment.start
        extent = extent_of(segment, size=segment.path.stat().st_size, over=True)
        end, count = (extent.end, extent.records)
        if count is None:
            end, count = _end_of(directory, at)
        size += max(end - at.offset, 0)
        records += max(count - at.sequence, 0)
    return Backlog(size, records, first.records[0] if first.records else None)


def _end_of(directory: Path, at: Position) -> tuple[int, int]:
    """Where a segment's records end, and how many they are, by reading them."""
    while True:
        batch = _read_once(directory, at)
        if not batch.records or batch.position.segment != at.segment:
            return at.offset, at.sequence
        at = batch.position


def _read_once(directory: Path, position: Position, *, records_max: int = 5_000) -> Batch:
    reader = Reader(directory, position=position)
    try:
        return reader.read(records_max=records_max)
    finally:
        reader.close()
