"""Whatever is killed, a click that was answered is stored, once (spec 3)."""

import asyncio
import os
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path

import httpx2
import pytest

from flowlink.kernel import db, settings
from flowlink.kernel.postgres import EmbeddedPostgres
from flowlink.tracking import clickid
from tests.factories import free_port
from tests.tracking.makers import BROWSER, Shop, ask, click_id, committed_shop

VISITORS = 24


@dataclass
class Load:
    """Visitors who click without pause and remember every answer."""

    numbers: list[int] = field(default_factory=list)
    statuses: Counter[int] = field(default_factory=Counter)
    broken: int = 0
    until: float = 0.0

    def run(self, url: str, *, seconds: float, after: float, then: Callable[[], None]) -> None:
        """Click for some seconds; `after` a while, from another thread, do `then`."""

        async def story() -> None:
            self.until = time.monotonic() + seconds
            limits = httpx2.Limits(max_connections=VISITORS)
            async with httpx2.AsyncClient(limits=limits, timeout=20) as client:
                visitors = [self._visit(client, url) for _ in range(VISITORS)]
                await asyncio.gather(self._later(after, then), *visitors)

        asyncio.run(story())

    async def _later(self, after: float, then: Callable[[], None]) -> None:
        await asyncio.sleep(after)
        await asyncio.to_thread(then)

    async def _visit(self, client: httpx2.AsyncClient, url: str) -> None:
        while time.monotonic() < self.until:
            try:
                answer = await client.get(url, headers={"user-agent": BROWSER})
            except httpx2.TransportError:
                self.broken += 1
                await asyncio.sleep(0.05)
                continue
            self.statuses[answer.status_code] += 1
            if answer.status_code == 302:
                ref = clickid.read(click_id(answer.headers["location"]))
                assert ref is not None
                self.numbers.append(ref.number)
            else:
                await asyncio.sleep(0.02)


@pytest.fixture
def shop(postgres_durable: EmbeddedPostgres) -> Shop:
    db.connect(postgres_durable.url())
    return committed_shop()


@contextmanager
def edge_process(url: str, data: Path) -> Iterator[tuple[str, subprocess.Popen[bytes]]]:
    """`flowlink edge` in a process of its own, in front of this database."""
    port = free_port()
    given = settings.current()
    environment = {
        "PATH": os.defpath,
        "HOME": str(data),
        "DATABASE_URL": url,
        "SECRET_KEYS": ",".join(given.secret_keys),
        "ADMIN_SECRET": given.admin_secret,
        "BASE_URL": given.url,
        "FLOWLINK_DATA": str(data),
    }
    command = [sys.executable, "-m", "flowlink", "edge", "--port", str(port)]
    process = subprocess.Popen(command, env=environment, cwd=Path.cwd(), stderr=subprocess.DEVNULL)
    try:
        _wait_until_up(port)
        yield f"http://127.0.0.1:{port}", process
    finally:
        process.terminate()
        process.wait(15)


def _wait_until_up(port: int) -> None:
    for _ in range(300):
        with suppress(httpx2.TransportError):
            httpx2.get(f"http://127.0.0.1:{port}/l/nobody", timeout=5)
            return
        time.sleep(0.05)
    raise AssertionError("the edge did not start")


def kill_server(pid: int) -> None:
    """Kill the server and all its processes at once, as losing its machine would."""
    children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    for one in [pid, *map(int, children)]:
        with suppress(ProcessLookupError):
            os.kill(one, signal.SIGKILL)


def check_stored(load: Load) -> None:
    """Every answered click is a row, once, and the counts are those of the rows."""
    stored = Counter(row[0] for row in ask("SELECT id FROM tracking_click"))
    assert len(load.numbers) > 100
    assert set(load.numbers) <= set(stored)
    assert set(stored.values()) == {1}
    assert len(set(load.numbers)) == len(load.numbers)
    for table in ("minute", "hour", "day", "link_day"):
        counted = ask(f"SELECT sum(valid + flagged) FROM tracking_click_{table}")  # noqa: S608
        assert counted == [(sum(stored.values()),)]


def test_no_answered_click_is_lost_when_the_edge_is_killed(
    postgres_durable: EmbeddedPostgres, shop: Shop, tmp_path: Path
) -> None:
    load = Load()
    with edge_process(postgres_durable.url(), tmp_path) as (url, process):
        load.run(f"{url}/l/{shop.link.code}", seconds=2.5, after=2.0, then=process.kill)

    assert load.broken > 0
    check_stored(load)
    with edge_process(postgres_durable.url(), tmp_path) as (url, _):
        again = httpx2.get(f"{url}/l/{shop.link.code}", follow_redirects=False)
        assert again.status_code == 302


def test_no_answered_click_is_lost_when_the_database_is_killed(
    postgres_durable: EmbeddedPostgres, shop: Shop, tmp_path: Path
) -> None:
    def kill() -> None:
        kill_server(postgres_durable.pid)
        time.sleep(0.7)

    load = Load()
    with edge_process(postgres_durable.url(), tmp_path) as (url, _):
        address = f"{url}/l/{shop.link.code}"
        load.run(address, seconds=3.0, after=1.5, then=kill)
        postgres_durable.start()
        after = httpx2.get(address, headers={"user-agent": BROWSER}, follow_redirects=False)
        away = httpx2.get(f"{url}/l/nobody")

    assert set(load.statuses) == {302, 503}
    assert (after.status_code, away.status_code) == (302, 404)
    db.connect(postgres_durable.url())
    check_stored(load)


def test_a_visitor_is_asked_to_come_back_while_the_database_is_away(
    postgres_durable: EmbeddedPostgres, shop: Shop, tmp_path: Path
) -> None:
    with edge_process(postgres_durable.url(), tmp_path) as (url, _):
        postgres_durable.stop()

        known = httpx2.get(f"{url}/l/{shop.link.code}")
        unknown = httpx2.get(f"{url}/l/nobody", headers={"accept-language": "en"})
        postback = httpx2.get(f"{url}/aff/postback?network=direct&key={shop.key}")

        assert {known.status_code, unknown.status_code, postback.status_code} == {503}
        assert known.headers["retry-after"] == unknown.headers["retry-after"] == "5"
        assert "One moment, please" in unknown.text
        postgres_durable.start()
        assert httpx2.get(f"{url}/l/{shop.link.code}").status_code == 302
