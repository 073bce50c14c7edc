"""Keeps the link table of an edge without a database true: a generation out of NATS, then its news.

One reader takes both in the order of the stream, so that an older word never overtakes a newer
one. Each new generation is a full check. (Part of the edge: async.)
"""

import asyncio
import threading
from array import array
from collections.abc import Iterator, Sequence
from itertools import islice

from flowlink.kernel import logs
from flowlink.kernel.nats import Unreachable
from flowlink.tracking.link_keeper import RETRY_S, Care, Keeper
from flowlink.tracking.link_source import SourceAway
from flowlink.tracking.nats_entries import Told, Unreadable
from flowlink.tracking.nats_links import Behind, Entry, NatsLinks, News, Pace
from flowlink.tracking.nats_source import NatsSource, translated

_ATTEMPTS = 5
_AGAIN_S = 0.05


class NatsKeeper(Keeper):
    """Bound to the event loop it was made in."""

    def __init__(
        self, source: NatsSource, *, care: Care | None = None, pace: Pace | None = None
    ) -> None:
        super().__init__(source, care=care)
        self._source = source
        self._told = Told(self.table)
        self._links = NatsLinks(source.hub, pace=pace)
        self._stop = threading.Event()
        self._words = 0
        self._away = ""

    async def load(self) -> None:
        with translated():
            await self._take_all(page=self._care.first_page)

    def follow(self) -> None:
        self._tasks = [asyncio.create_task(self._follow())]

    async def close(self) -> None:
        self._stop.set()
        await super().close()

    async def _take(self, names: frozenset[tuple[str, str]]) -> None:
        """Ask, and ask again when news came in between: nobody knows which is the newer word."""
        for _ in range(_ATTEMPTS):
            before = self._words
            rows = await self._source.named(names)
            if self._words == before:
                break
        else:
            raise SourceAway("links change too fast")
        for row in rows:
            self.table.put(row)
        for host, code in names - {(row.host, row.code) for row in rows}:
            self.table.drop(host, code)

    async def _take_all(self, *, page: int) -> None:
        """Take in a generation, a page at a time: clicks are answered in between."""
        entries = self._links.snapshot()
        numbers = array("Q")
        while taken := await asyncio.to_thread(_page, entries, page):
            numbers.extend(filter(None, map(self._told.take, taken)))
            await asyncio.sleep(0)
        if len(numbers) < len(self.table):
            self.table.keep_only(set(numbers))
        self._heard()
        self.truth.set()

    async def _follow(self) -> None:
        """Outages are waited for; only a new generation helps who has missed something."""
        behind = False
        while not self._stop.is_set():
            try:
                if behind:
                    await self._take_all(page=self._care.page)
                behind = False
                await self._hear_all()
            except Behind:
                behind = True
                self.truth.clear()
                await asyncio.sleep(_AGAIN_S)
            except (Unreachable, Unreadable) as error:
                self.truth.clear()
                self._say(str(error))
                await asyncio.sleep(RETRY_S)

    async def _hear_all(self) -> None:
        coming = self._links.changes(self._stop)
        while news := await asyncio.to_thread(_next, coming):
            self._say("")
            if news.entries:
                self._take_news(news.entries)
            self.truth.set()

    def _say(self, away: str) -> None:
        """Log a change for the worse or the better, once."""
        if bool(away) != bool(self._away):
            word = "links are not followed" if away else "links are followed again"
            logs.get().warning(word, error=away[:200])
        self._away = away

    def _take_news(self, entries: Sequence[Entry]) -> None:
        for entry in entries:
            self._told.take(entry)
        self._heard()

    def _heard(self) -> None:
        self._words += 1
        self._source.told = self._told.salts
        self._remembered.clear()


def _page(entries: Iterator[Entry], count: int) -> list[Entry]:
    return list(islice(entries, count))


def _next(coming: Iterator[News]) -> News | None:
    return next(coming, None)
