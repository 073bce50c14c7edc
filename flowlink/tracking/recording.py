"""How an edge keeps clicks: in its journal; else straight in PostgreSQL; else it counts them.

What a click needs beside the request is here before the request is: the number's node, the salts
of today and tomorrow. Nothing in here ever fails a visitor (design: clicks and links, 9).
(Part of the edge: async.)
"""

import asyncio
import secrets
from collections.abc import Awaitable, Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

from flowlink.kernel import clock, logs, tasks
from flowlink.tracking import click_record, clickid, nodes
from flowlink.tracking.journal import Journal, JournalBusy, JournalFailed
from flowlink.tracking.journal_writer import Bounds
from flowlink.tracking.link_source import SALT_BYTES, Asked, SourceAway
from flowlink.tracking.recorder import NoRecorder, Recorder, Unavailable

_EPOCH_DAY = date(1970, 1, 1)


@dataclass(frozen=True, slots=True)
class Patience:
    """How long a visitor waits for the second way, and how often the first is tried again."""

    direct_s: float = 3.0
    reopen_s: float = 5.0
    salts_s: float = 60.0
    report_s: float = 1.0


class Recording:
    """Bound to the event loop it was made in. `unrecorded` counts since the start."""

    def __init__(
        self,
        root: Path,
        *,
        source: Asked,
        recorder: Recorder | NoRecorder,
        bounds: Bounds,
        patience: Patience | None = None,
    ) -> None:
        self._root = root
        self._source = source
        self._recorder = recorder
        self._bounds = bounds
        self._patience = patience or Patience()
        self.salts: Mapping[int, bytes] = {}
        self._unreported = 0
        self._tasks: list[asyncio.Task[None]] = []
        self._maker: clickid.Maker | None = None
        self._node = -1
        self._is_recalled = False
        self.loop = asyncio.get_running_loop()
        self.edge = ""
        self.journal: Journal | None = None
        self.unrecorded = 0
        self.direct = 0

    async def open(self, *, remembered: Mapping[int, bytes] | None = None) -> None:
        """Get everything that a click will need. A disk that fails now is tried again later.

        With `remembered` salts (by the days since 1970) it goes without the source.

        :raises SourceAway: so there is no number to tell our clicks from others'.
        """
        if remembered is None:
            self._node = await self._source.node()
            self._maker = clickid.Maker(self._node)
            await self._renew_salts()
            await self._open_journal()
        else:
            self.salts = remembered
            await self._recall()
        self._tasks = [
            asyncio.create_task(self._now_and_then(self._patience.salts_s, self._renew)),
            asyncio.create_task(self._now_and_then(self._patience.reopen_s, self._reopen)),
            asyncio.create_task(self._now_and_then(self._patience.report_s, self._report)),
        ]

    async def close(self) -> None:
        """Finish the clicks at hand."""
        await tasks.end(self._tasks)
        if self.journal is not None:
            await self.journal.close()
        await self._recorder.close()
        with suppress(SourceAway):
            await self._report()

    def abandon(self) -> None:
        """Let go from outside the loop, which is gone."""
        if self.journal is not None:
            self.journal.abandon()
        self._recorder.abandon()

    def number(self, unix_ms: int) -> int:
        """The number of a click at this moment."""
        assert self._maker is not None, "open() comes first"
        return self._maker.next_at(unix_ms)

    def salt(self, number: int) -> bytes:
        """The salt of the click's day; one of our own while the day's cannot be had."""
        day = clickid.day(number)
        salt = self.salts.get(day)
        if salt is None:
            salt = secrets.token_bytes(SALT_BYTES)
            self.salts = {**self.salts, day: salt}
        return salt

    def append(self, record: bytes) -> "asyncio.Future[None] | None":
        """Write a click's record to the journal: what to await. None: it has to go another way."""
        if self.journal is None:
            return None
        try:
            return self.journal.append(record)
        except (JournalFailed, JournalBusy):
            return None

    async def keep(self, record: bytes) -> None:
        """Keep a click in the best way there is; returns when it is kept, or counted as lost."""
        landing = self.append(record)
        if landing is not None:
            try:
                await landing
            except JournalFailed:
                pass
            else:
                return
        await self.rescue(record)

    async def rescue(self, record: bytes) -> None:
        """Keep a click that the journal has not, straight in PostgreSQL, or count it as lost.

        One that is committed after we gave up on it counts as lost and is stored all the same.
        """
        try:
            async with asyncio.timeout(self._patience.direct_s):
                await self._recorder.record(click_record.unpack(record))
            self.direct += 1
        except (Unavailable, TimeoutError):
            self.unrecorded += 1
            self._unreported += 1

    async def _recall(self) -> None:
        """Go on under the last number of the journal's directory until there is a fresh one.

        :raises SourceAway: there is none.
        """
        if nodes.of_next(self._root) is not None:  # a journal is not made in vain
            await self._open_journal()
        node = None if self.journal is None else nodes.recall(self.journal.directory)
        if self.journal is None or node is None:
            raise SourceAway("nobody gives out a number, and none is remembered")
        self._node, self._is_recalled = node, True
        after_ms = nodes.used_until_ms(self.journal.directory)
        self._maker = clickid.Maker(node, after_ms=after_ms)

    async def _renew(self) -> None:
        """The salts; and a number of our own, if we go under one that was remembered."""
        await self._renew_salts()
        if self._is_recalled:
            assert self._maker is not None
            self._node = await self._source.node()
            self._maker.move_to(self._node)
            self._is_recalled = False
            await self._keep_node()

    async def _keep_node(self) -> None:
        """Remember our number for whoever takes the journal's directory over."""
        if self.journal is not None:
            with suppress(OSError):
                await asyncio.to_thread(nodes.keep, self.journal.directory, self._node)

    async def _open_journal(self) -> None:
        try:
            self.journal = await Journal.open(self._root, bounds=self._bounds)
            self.edge = self.journal.edge
            if self._node >= 0:
                await self._keep_node()
        except OSError as error:
            logs.get().error("no journal", directory=str(self._root), error=str(error)[:200])

    async def _reopen(self) -> None:
        """Try for a fresh journal, in files of its own, after the last one failed."""
        if self.journal is None or self.journal.failed is not None:
            if self.journal is not None:
                nodes.forget(self.journal.directory)
            self.journal = None
            await self._open_journal()

    async def _renew_salts(self) -> None:
        """Today's and tomorrow's salts, and of no other day any more."""
        today = clock.now().astimezone(UTC).date()
        days = (today, today + timedelta(days=1))
        numbers = {(day - _EPOCH_DAY).days for day in days}
        found = await self._source.salts(days)
        told = {(day - _EPOCH_DAY).days: salt for day, salt in found.items()}
        own = {day: salt for day, salt in self.salts.items() if day in numbers}
        self.salts = own | told

    async def _report(self) -> None:
        """Write down how many clicks were lost, as soon as there is somebody to tell."""
        count, self._unreported = self._unreported, 0
        if not count:
            return
        logs.get().error("clicks unrecorded", count=count)
        now: datetime = clock.now()
        day = now.astimezone(UTC).date()
        try:
            await self._source.count_unrecorded(
                day=day, edge=self.edge or str(self._root), count=count, at=now
            )
        except SourceAway:
            self._unreported += count
            raise

    async def _now_and_then(self, seconds: float, call: Callable[[], Awaitable[None]]) -> None:
        while True:
            await asyncio.sleep(seconds)
            with suppress(SourceAway):
                await call()
