"""Keeps an edge's link table true: loaded at start, told of changes, checked whole now and then.

`Keeper` answers for codes and counts misses, wherever links come from; `LinkKeeper` has them from
PostgreSQL (over NATS: `nats_keeper`).

A code that is missing from it is asked of the source before anybody says so, many at a time, in
one question. In a storm of unknown codes those asked for lately are remembered for seconds; that
is the only case in which a code is called unknown without a look. (Part of the edge: async.)
"""

import asyncio
from abc import ABC, abstractmethod
from collections import Counter
from contextlib import aclosing, suppress
from dataclasses import dataclass
from datetime import date
from time import monotonic

from flowlink.kernel import logs, tasks
from flowlink.tracking.link_source import Asked, Changes, Source, SourceAway
from flowlink.tracking.link_table import Found, LinkTable

_NAMED_MAX = 1000
RETRY_S = 0.5


@dataclass(frozen=True, slots=True)
class Care:
    """How often the table is checked whole, and how many unknown codes are asked for."""

    check_s: float = 300.0
    first_page: int = 5000
    page: int = 250
    waiting_max: int = 5000
    asked_a_second_max: int = 200
    remembered_s: float = 2.0
    remembered_max: int = 50_000
    patience_s: float = 3.0


class Keeper(ABC):
    """Bound to the event loop it was made in. `truth` is set while the table is what the source
    says: it was checked whole since the line that tells of changes stands.
    """

    def __init__(self, source: Asked, *, care: Care | None = None) -> None:
        self.table = LinkTable()
        self.source = source
        self._care = care or Care()
        self._waiting: dict[tuple[str, str], asyncio.Future[None]] = {}
        self._asking: asyncio.Task[None] | None = None
        self._misses: Counter[tuple[date, str]] = Counter()
        self._counting: asyncio.Task[None] | None = None
        self._remembered: dict[tuple[str, str], float] = {}
        self._second, self._asked = 0.0, 0
        self.truth = asyncio.Event()
        self._tasks: list[asyncio.Task[None]] = []

    @abstractmethod
    async def load(self) -> None:
        """Take in all links.

        :raises SourceAway:
        """

    @abstractmethod
    def follow(self) -> None:
        """Follow every change from now on."""

    @abstractmethod
    async def _take(self, names: frozenset[tuple[str, str]]) -> None:
        """Ask for these codes and take in what there is of them."""

    async def close(self) -> None:
        """Count what is left, and follow no more."""
        await tasks.end(self._tasks)
        for one in (self._asking, self._counting):
            if one is not None:
                await one
        await self.source.close()

    async def find(self, host: str, code: str) -> Found | None:
        """The link of a code; the source is asked when the table has none.

        :raises SourceAway: so nobody can say that there is none.
        """
        found = self.table.find(host, code)
        if found is None and not self._is_remembered(host, code):
            await self._ask(host, code)
            found = self.table.find(host, code)
            if found is None:
                self._remember(host, code)
        return found

    async def count_miss(self, *, day: date, reason: str) -> None:
        """Count an address that led nowhere; returns when that is kept, or cannot be."""
        self._misses[day, reason] += 1
        if self._counting is None or self._counting.done():
            self._counting = asyncio.create_task(self._count())
        await asyncio.shield(self._counting)

    def note_miss(self, *, day: date, reason: str) -> None:
        """The same for those who do not wait for it."""
        self._misses[day, reason] += 1

    async def _count(self) -> None:
        while self._misses:
            misses, self._misses = self._misses, Counter()
            try:
                await self.source.count_misses(misses)
            except SourceAway:
                self._misses.update(misses)  # with the next one
                return

    async def _ask(self, host: str, code: str) -> None:
        if len(self._waiting) >= self._care.waiting_max:
            raise SourceAway("too many unknown codes at once")
        loop = asyncio.get_running_loop()
        asked = [
            self._waiting.setdefault((host, name), loop.create_future())
            for name in dict.fromkeys((code, code.lower()))
        ]
        if self._asking is None or self._asking.done():
            self._asking = asyncio.create_task(self._answer())
        done, _ = await asyncio.wait(asked, timeout=self._care.patience_s)
        if len(done) < len(asked):
            raise SourceAway("the source is slow")
        for one in done:
            one.result()

    async def _answer(self) -> None:
        while self._waiting:
            names = list(self._waiting)[:_NAMED_MAX]
            waiting = [self._waiting.pop(name) for name in names]
            failed: SourceAway | None = None
            try:
                await self._take(frozenset(names))
            except SourceAway as error:
                failed = error
            for one in waiting:
                if failed is None:
                    one.set_result(None)
                else:
                    one.set_exception(failed)
                    one.exception()  # whoever asked may have left

    def _is_remembered(self, host: str, code: str) -> bool:
        """Whether to believe what was found a moment ago: only while too many are asked for."""
        now = monotonic()
        if now - self._second >= 1.0:
            self._second, self._asked = now, 0
        self._asked += 1
        if self._asked <= self._care.asked_a_second_max:
            return False
        return now - self._remembered.get((host, code), -1e9) < self._care.remembered_s

    def _remember(self, host: str, code: str) -> None:
        if len(self._remembered) >= self._care.remembered_max:
            self._remembered.clear()
        self._remembered[host, code] = monotonic()


class LinkKeeper(Keeper):
    """Has its links from a source that answers every question, now and then all of them again."""

    def __init__(self, source: Source, *, care: Care | None = None) -> None:
        super().__init__(source, care=care)
        self._source = source
        self._told = False
        self._again = asyncio.Event()

    async def load(self) -> None:
        await self._check(page=self._care.first_page)

    def follow(self) -> None:
        self._tasks = [asyncio.create_task(self._follow()), asyncio.create_task(self._recheck())]

    async def _take(self, names: frozenset[tuple[str, str]]) -> None:
        rows = await self._source.named(names)
        if any(row.host and row.host not in self.table.domains for row in rows):
            self.table.set_domains(await self._source.domains())
        for row in rows:
            self.table.put(row)
        for host, code in names - {(row.host, row.code) for row in rows}:
            self.table.drop(host, code)

    async def _follow(self) -> None:
        while True:
            try:
                async with aclosing(self._source.changes()) as changes:
                    async for change in changes:
                        await self._apply(change)
            except SourceAway as error:
                logs.get().warning("links are not followed", error=str(error)[:200])
            self._told = False
            self.truth.clear()
            await asyncio.sleep(RETRY_S)

    async def _apply(self, change: Changes) -> None:
        if change.anything:
            self._told = True
            self._remembered.clear()
            self._again.set()
        for name in change.links:
            self._remembered.pop(name, None)
        if change.domains:
            self.table.set_domains(await self._source.domains())
        if change.links:
            await self._take(change.links)
        if change.partners:
            for partner, active in await self._source.partners(change.partners):
                self.table.set_partner(partner, active=active)
        if change.offers:
            await self._take_offers()

    async def _take_offers(self) -> None:
        for offer, destination, click_param in await self._source.offers():
            self.table.set_offer(offer, destination=destination, click_param=click_param)

    async def _recheck(self) -> None:
        """Check everything when told that anything may have changed, and now and then anyway."""
        while True:
            with suppress(TimeoutError):
                async with asyncio.timeout(self._care.check_s):
                    await self._again.wait()
            self._again.clear()
            told = self._told
            try:
                await self._check(page=self._care.page)
                if told and self._told:
                    self.truth.set()
            except SourceAway:
                await asyncio.sleep(RETRY_S)
                self._again.set()

    async def _check(self, *, page: int) -> None:
        """Compare with the source, a page at a time: clicks are answered in between."""
        self.table.set_domains(await self._source.domains())
        await self._take_offers()
        count, after = 0, 0
        while rows := await self._source.page(after=after, limit=page):
            for row in rows:
                self.table.put(row)
            count, after = count + len(rows), rows[-1].number
            await asyncio.sleep(0)
        if count < len(self.table):
            await self._sweep(page)

    async def _sweep(self, page: int) -> None:
        """Forget links that are gone: seldom, for links are switched off and not deleted."""
        numbers: set[int] = set()
        after = 0
        while rows := await self._source.page(after=after, limit=max(page, _NAMED_MAX)):
            numbers.update(row.number for row in rows)
            after = rows[-1].number
        self.table.keep_only(numbers)
