"""What an edge without a database asks for besides its link table, over NATS: of consumers what
PostgreSQL knows, of the other edges which numbers are free. (Part of the edge: async.)

The salts come with the link table, so that an edge can start while the database is away.
"""

import asyncio
import secrets
from collections.abc import Collection, Generator, Mapping, Sequence
from contextlib import contextmanager
from datetime import date, datetime

from flowlink.kernel.nats import Hub, Unreachable
from flowlink.tracking import clicks, nats_asks as asks
from flowlink.tracking.link_source import Misses, Names, SourceAway
from flowlink.tracking.link_table import LinkRow
from flowlink.tracking.nats_entries import Unreadable
from flowlink.tracking.nats_links import Behind
from flowlink.tracking.senders import Asked

_ASK_S = 2.5
_HELD_S = 1.0
_TOKEN_BYTES = 8


class NatsSource:
    """Bound to the event loop it is used in; the hub belongs to the process.

    `told`: the salts by day, as the link table told them.
    """

    def __init__(self, hub: Hub) -> None:
        self.hub = hub
        self.told: Mapping[date, bytes] = {}

    async def named(self, names: Names) -> Sequence[LinkRow]:
        return asks.read_links(await self._ask(asks.NAMED, asks.pack_names(names)))

    async def node(self) -> int:
        """One above those of processes with a database, to which nobody else answers.

        We answer to it before we ask: of two who want the same one at once, neither gets it.
        """
        numbers = list(range(clicks.NODES, 2 * clicks.NODES))
        secrets.SystemRandom().shuffle(numbers)
        with translated():
            for number in numbers:
                if await asyncio.to_thread(self._claim, asks.node_subject(number)):
                    return number
        raise SourceAway("all numbers for processes are taken")

    async def salts(self, days: Collection[date]) -> Mapping[date, bytes]:
        return {day: self.told[day] for day in days if day in self.told}

    async def refusal(self, asked: Asked) -> str | None:
        """Why whoever sends such a postback may not; None if they may."""
        return asks.read_refusal(await self._ask(asks.SENDER, asks.pack_sender(asked)))

    async def count_misses(self, misses: Misses) -> None:
        await self._ask(asks.MISSES, asks.pack_misses(misses))

    async def count_unrecorded(self, *, day: date, edge: str, count: int, at: datetime) -> None:
        words = asks.pack_unrecorded(day=day, edge=edge, count=count, at=at)
        await self._ask(asks.UNRECORDED, words)

    async def close(self) -> None:
        """Nothing: the hub lives as long as the process."""

    def _claim(self, subject: str) -> bool:
        self.hub.answer(subject, group="", reply=lambda *_: asks.DONE)
        if not self.hub.is_answered(subject, timeout_s=_HELD_S):
            return True
        self.hub.hush(subject)
        return False

    async def _ask(self, subject: str, words: bytes) -> bytes:
        with translated():
            answer = await asyncio.to_thread(self.hub.ask, subject, words, timeout_s=_ASK_S)
        if not answer:
            raise SourceAway("the consumers have no database")
        return answer


@contextmanager
def translated() -> Generator[None]:
    """What goes wrong over NATS, as the edge knows it."""
    try:
        yield
    except (Unreachable, Behind, Unreadable) as problem:
        raise SourceAway(str(problem)) from problem
