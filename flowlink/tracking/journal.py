"""The click journal of one edge process: `await journal.append(record)` returns when it is on disk.

Natural group commit: what arrives while a batch goes down makes the next batch, which starts in the
turn after that one is down, never by a timer. One thread does nothing but write and sync. A journal
fails once and for all; whoever waits or comes later is told so and falls back (design: clicks and
links, 9).
"""

import asyncio
import threading
from collections import deque
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from queue import SimpleQueue

from flowlink.kernel import logs
from flowlink.tracking import journal_format as form
from flowlink.tracking.journal_writer import Bounds, Writer

_DEFAULT = Bounds()


class JournalFailed(Exception):
    """The journal's disk is full, failing or silent: the record is not in the journal, for good.

    No reader will ever return it, so that it may be stored another way without counting twice.
    """


class JournalBusy(Exception):
    """As much waits for the disk as memory may hold. The record is not in the journal."""


class _Batch(asyncio.Future[None]):
    """Records that go down together, and what all their senders wait for."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        super().__init__(loop=loop)
        self.records: list[bytes] = []
        self.bytes = 0

    def cancel(self, msg: object = None) -> bool:
        """Refuse: one sender who leaves must not take the others along. It leaves a bit later."""
        return False


class Journal:
    """Bound to the event loop that opened it; nothing here is for other threads."""

    def __init__(self, writer: Writer, *, bounds: Bounds) -> None:
        self._writer = writer
        self._bounds = bounds
        self._loop = asyncio.get_running_loop()
        self._waiting: deque[_Batch] = deque()
        self._down: _Batch | None = None
        self._watch: asyncio.TimerHandle | None = None
        self._orders: SimpleQueue[_Batch | None] = SimpleQueue()
        self._ended: asyncio.Future[None] = self._loop.create_future()
        # Whether the batch at hand counts is decided once: by the thread, or by the loop's watch.
        self._verdict = threading.Lock()
        self._counts = self._gave_up = False
        self.directory, self.edge = writer.directory, writer.edge
        self.waiting_bytes = 0
        self.failed: JournalFailed | None = None
        threading.Thread(target=self._work, name="journal", daemon=True).start()

    @classmethod
    async def open(cls, root: Path, *, bounds: Bounds = _DEFAULT) -> "Journal":
        """Open a journal in a directory below `root` that no other process has, afresh.

        :raises OSError: the disk is full or failing: there is no journal to be had now.
        """
        return cls(await asyncio.to_thread(Writer, root, bounds=bounds), bounds=bounds)

    def append(self, record: bytes) -> "asyncio.Future[None]":
        """Write a record; awaiting the answer returns when it is on disk.

        A sender that is cancelled stays until its batch is down: it was written anyway.

        :raises JournalBusy: try later, or go another way.
        :raises JournalFailed: (also from the answer) go another way.
        """
        if self.failed is not None:
            raise JournalFailed(str(self.failed))
        size = form.FRAME_BYTES + len(record)
        if self.waiting_bytes + size > self._bounds.waiting_bytes_max:
            raise JournalBusy
        batch = self._waiting[-1] if self._waiting else None
        if batch is None or batch.bytes + size > self._bounds.batch_bytes_max:
            batch = self._new_batch(size)
        batch.records.append(record)
        batch.bytes += size
        self.waiting_bytes += size
        return batch

    async def close(self) -> None:
        """Bring down what waits, then let the directory go. A disk that hangs keeps it."""
        self.failed = self.failed or JournalFailed("the journal is closed")
        while (last := self._waiting[-1] if self._waiting else self._down) is not None:
            await asyncio.wait([last])
        self._orders.put(None)
        await asyncio.wait([self._ended], timeout=self._bounds.stall_s_max)
        if self._watch is not None:
            self._watch.cancel()

    def abandon(self) -> None:
        """Let the directory go from outside the loop, which is gone."""
        self.failed = self.failed or JournalFailed("the journal is closed")
        self._orders.put(None)

    def _new_batch(self, size: int) -> _Batch:
        assert size <= min(self._bounds.batch_bytes_max, form.FRAME_BYTES_MAX), "too large a record"
        batch = _Batch(self._loop)
        self._waiting.append(batch)
        if self._down is None and len(self._waiting) == 1:
            self._send_soon()
        return batch

    def _send_soon(self) -> None:
        """Send when this turn of the loop is over: whatever else arrives in it comes along."""
        self._loop.call_soon(self._send)

    def _send(self) -> None:
        """Hand the next batch to the thread, which is at none."""
        if not self._waiting:
            return
        assert self._down is None
        self._counts = False
        self._down = self._waiting.popleft()
        self._orders.put(self._down)
        self._watch_over()

    def _landed(self, batch: _Batch) -> None:
        self.waiting_bytes -= batch.bytes
        self._down = None
        batch.set_result(None)
        if self._waiting:
            self._send_soon()

    def _watch_over(self) -> None:
        """See to it that no batch takes for ever. One look now and then serves them all."""
        if self._watch is None and self._down is not None:
            self._watch = self._loop.call_later(self._bounds.stall_s_max, self._look, self._down)

    def _look(self, watched: _Batch) -> None:
        """Give up if what was going down at the last look still is."""
        self._watch = None
        if self._down is watched:
            with self._verdict:
                self._gave_up = not self._counts
            if self._gave_up:
                self._break("the disk does not answer")
        self._watch_over()

    def _break(self, reason: str) -> None:
        """Tell everybody who waits, and whoever comes later."""
        logs.get().error("journal failed", directory=str(self.directory), reason=reason)
        self.failed = JournalFailed(reason)
        batches = [*self._waiting] if self._down is None else [self._down, *self._waiting]
        self._waiting.clear()
        self._down = None
        self.waiting_bytes = 0
        for batch in batches:
            batch.set_exception(JournalFailed(reason))
            batch.exception()  # a sender that was cancelled is not there to see it

    def _work(self) -> None:
        """The thread: one batch after the other, until the journal is closed or broken."""
        try:
            while (batch := self._orders.get()) is not None:
                self._writer.put(batch.records, size=batch.bytes)
                with self._verdict:
                    if self._gave_up:
                        break
                    self._counts = True
                self._writer.count()
                self._tell(self._landed, batch)
            else:
                self._writer.close()
                return
            self._writer.give_up()
        except OSError as error:
            if not self._gave_up:
                self._tell(self._break, str(error))
            self._writer.give_up()
        finally:
            self._tell(self._end)

    def _end(self) -> None:
        self._ended.set_result(None)

    def _tell(self, call: Callable[..., None], *arguments: object) -> None:
        with suppress(RuntimeError):  # the loop is gone, and with it everybody who waited
            self._loop.call_soon_threadsafe(call, *arguments)
