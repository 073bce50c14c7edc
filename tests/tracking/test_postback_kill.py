"""Whatever is killed, a postback that was answered is stored, and makes its conversion once."""

import asyncio
import time
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import httpx2
import pytest

from flowlink.kernel import clock, db
from flowlink.kernel.postgres import EmbeddedPostgres
from tests.tracking.edges import edge_role, kill_family
from tests.tracking.makers import Shop, ask, committed_shop, make_click, postback

SENDERS = 24


@dataclass
class Senders:
    """Networks that send sale after sale, each until it is answered, and remember the answers."""

    shop: Shop
    click: str
    answers: Counter[str] = field(default_factory=Counter)
    results: dict[str, str] = field(default_factory=dict)
    broken: int = 0

    def run(self, url: str, *, seconds: float, after: float, then: Callable[[], None]) -> None:
        """Send for some seconds; `after` a while, from another thread, do `then`."""

        async def story() -> None:
            limits = httpx2.Limits(max_connections=SENDERS)
            async with httpx2.AsyncClient(limits=limits, timeout=20) as client:
                until = time.monotonic() + seconds
                sending = [self._send(client, url, until, number) for number in range(SENDERS)]
                await asyncio.gather(self._later(after, then), *sending)

        asyncio.run(story())

    async def _later(self, after: float, then: Callable[[], None]) -> None:
        await asyncio.sleep(after)
        await asyncio.to_thread(then)

    async def _send(self, client: httpx2.AsyncClient, url: str, until: float, number: int) -> None:
        sale = 0
        while time.monotonic() < until:
            name = f"{number}-{sale}"
            query = postback(self.shop, subid=self.click, amount="1", txn_id=name)
            try:
                answer = await client.get(f"{url}/aff/postback?{query}")
            except httpx2.TransportError:
                self.broken += 1
                await asyncio.sleep(0.05)
                continue  # a network sends again what was not answered
            self.answers[str(answer.status_code)] += 1
            if answer.status_code == 200:
                self.results[name] = answer.json()["result"]
                sale += 1
            else:
                await asyncio.sleep(0.02)

    def check(self) -> None:
        """Every answered sale is one conversion with one revision, and all have their postback."""
        assert len(self.results) > 100
        assert set(self.results.values()) <= {"ok", "duplicate"}
        stored = Counter(str(row[0]) for row in ask("SELECT txn_id FROM tracking_conversion"))
        assert set(self.results) <= set(stored)
        assert set(stored.values()) == {1}
        (revisions,) = ask("SELECT count(*) FROM tracking_conversion_revision")
        assert revisions == (len(stored),)
        kept = "SELECT count(*) FILTER (WHERE result = 'ok') FROM tracking_postback"
        assert ask(kept) == [(len(stored),)]


@pytest.fixture
def senders(postgres_durable: EmbeddedPostgres, shared: str) -> Iterator[Senders]:
    db.connect(postgres_durable.url())
    shop = committed_shop()
    with db.write() as session:
        made = Senders(shop, make_click(session, shop, clock.now()))
    yield made
    db.connect(shared)


def test_no_answered_postback_is_lost_or_doubled_when_the_edge_is_killed(
    postgres_durable: EmbeddedPostgres, senders: Senders, tmp_path: Path
) -> None:
    with edge_role(postgres_durable.url(), tmp_path) as role:
        senders.run(role.url, seconds=2.5, after=2.0, then=role.kill)

    assert senders.broken > 0
    senders.check()


def test_no_answered_postback_is_lost_or_doubled_when_the_database_is_killed(
    postgres_durable: EmbeddedPostgres, senders: Senders, tmp_path: Path
) -> None:
    def kill() -> None:
        kill_family(postgres_durable.pid)
        time.sleep(0.7)

    with edge_role(postgres_durable.url(), tmp_path) as role:
        senders.run(role.url, seconds=3.0, after=1.5, then=kill)
        postgres_durable.start()
        senders.run(role.url, seconds=2.0, after=0, then=lambda: None)

    assert set(senders.answers) == {"200", "503"}
    db.connect(postgres_durable.url())
    senders.check()
