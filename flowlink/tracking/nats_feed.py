"""The link table out of PostgreSQL for `LinkPublisher`: all entries, then every change.

The same asynchronous questions that an edge with a database asks, on a loop of its own thread.
"""

import asyncio
import queue
import threading
from collections.abc import Coroutine, Generator, Iterator, Sequence
from concurrent.futures import Future
from contextlib import aclosing, contextmanager, suppress
from datetime import UTC, date, timedelta
from typing import Any, TypeVar

from flowlink.kernel import clock, tasks
from flowlink.tracking import nats_entries as entries, nats_links
from flowlink.tracking.link_source import Changes, DatabaseSource, SourceAway
from flowlink.tracking.nats_links import Entry

_PAGE = 2_000
_LOOK_S = 0.5
_PATIENCE_S = 30.0

_T = TypeVar("_T")


class Loop:
    """An event loop in a thread of its own; whoever calls `run` waits for the answer."""

    def __init__(self) -> None:
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="desk", daemon=True)
        self._thread.start()

    def run(self, work: Coroutine[Any, Any, _T]) -> _T:
        """The outcome of this.

        :raises SourceAway: the database is, or it takes too long.
        """
        future = self.start(work)
        try:
            return future.result(_PATIENCE_S)
        except TimeoutError as slow:
            future.cancel()
            raise SourceAway("the database is slow") from slow

    def start(self, work: Coroutine[Any, Any, _T]) -> "Future[_T]":
        """The same for those who do not wait."""
        return asyncio.run_coroutine_threadsafe(work, self._loop)

    def close(self) -> None:
        """End it, with all that runs in it."""
        self.start(tasks.end_others()).result()
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()


class LinkFeed:
    """A publisher's source. For one thread."""

    def __init__(self, loop: Loop) -> None:
        self._loop = loop
        self._source = DatabaseSource()
        self._heard: queue.SimpleQueue[Changes | SourceAway] = queue.SimpleQueue()
        self._listening: Future[None] | None = None
        self._day: date | None = None

    def snapshot(self, *, anew: bool) -> Iterator[Entry]:
        """Every entry; changes are listened for before the first is read."""
        with _translated():
            if anew:
                self._listen()
            yield self._salts()
            yield entries.domains(self._loop.run(self._source.domains()))
            yield from self._offers()
            after = 0
            while rows := self._loop.run(self._source.page(after=after, limit=_PAGE)):
                yield from map(entries.link, rows)
                after = rows[-1].number

    def pending(self) -> list[Entry]:
        """What changed since the last word, without waiting."""
        said: list[Entry] = []
        with _translated():
            while not self._heard.empty():
                said += self._entries(self._heard.get())
        return said

    def changes(self, stop: threading.Event) -> Iterator[Sequence[Entry]]:
        """What changed since, twice a second if need be nothing."""
        with _translated():
            while not stop.is_set():
                words: Changes | SourceAway = Changes()
                with suppress(queue.Empty):
                    words = self._heard.get(timeout=_LOOK_S)
                yield list(self._entries(words))

    def close(self) -> None:
        """Listen no more, and leave the database."""
        self._hush()
        with suppress(SourceAway):
            self._loop.run(self._source.close())

    def _salts(self) -> Entry:
        """Those of today and tomorrow, which are told anew every day."""
        today = self._day = _today()
        days = (today, today + timedelta(days=1))
        return entries.salts(self._loop.run(self._source.salts(days)))

    def _offers(self) -> Iterator[Entry]:
        for offer, destination, click_param in self._loop.run(self._source.offers()):
            yield entries.offer(offer, destination=destination, click_param=click_param)

    def _entries(self, heard: Changes | SourceAway) -> Iterator[Entry]:
        """What words of the database mean now.

        :raises SourceAway: the database is, or it says that anything may have changed.
        """
        words = _certain(heard)
        if self._day != _today():
            yield self._salts()
        if words.domains:
            yield entries.domains(self._loop.run(self._source.domains()))
        if words.offers:
            yield from self._offers()
        if words.partners:
            for partner, active in self._loop.run(self._source.partners(words.partners)):
                yield entries.partner(partner, active=active)
        if words.links:
            rows = self._loop.run(self._source.named(words.links))
            yield from entries.links(words.links, rows)

    def _listen(self) -> None:
        """Listen anew; returns once the database tells of every change."""
        self._hush()
        heard: queue.SimpleQueue[Changes | SourceAway] = queue.SimpleQueue()
        self._heard = heard
        self._listening = self._loop.start(_told(self._source, heard))
        words = heard.get()
        if isinstance(words, SourceAway):
            raise words

    def _hush(self) -> None:
        listening, self._listening = self._listening, None
        if listening is not None:
            listening.cancel()


async def _told(source: DatabaseSource, heard: "queue.SimpleQueue[Changes | SourceAway]") -> None:
    """Hand on what the database tells, until it is away."""
    try:
        async with aclosing(source.changes()) as changes:
            async for change in changes:
                heard.put(change)
    except SourceAway as away:
        heard.put(away)


def _certain(heard: Changes | SourceAway) -> Changes:
    if isinstance(heard, SourceAway):
        raise heard
    if heard.anything:
        raise SourceAway("anything may have changed")
    return heard


def _today() -> date:
    return clock.now().astimezone(UTC).date()


@contextmanager
def _translated() -> Generator[None]:
    try:
        yield
    except SourceAway as away:
        raise nats_links.SourceAway(str(away)) from away
