"""Edges in processes of their own, visitors who remember every answer, and ways to kill."""

import asyncio
import os
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from types import MappingProxyType

import httpx2

from flowlink.kernel import db, settings
from flowlink.tracking import clickid
from tests.factories import free_port
from tests.patience import LONG_S
from tests.tracking.makers import BROWSER, ask, click_id

VISITORS = 24
COUNTED = ("minute", "hour", "day", "link_day")


@dataclass
class Load:
    """Visitors who click without pause and remember every answer."""

    agent: str = BROWSER
    numbers: list[int] = field(default_factory=list)
    statuses: Counter[int] = field(default_factory=Counter)
    broken: int = 0
    until: float = 0.0

    def run(
        self,
        url: str,
        *,
        seconds: float,
        after: float = 0.0,
        then: Callable[[], None] = lambda: None,
    ) -> None:
        """Click for some seconds; `after` a while, from another thread, do `then`."""

        async def story() -> None:
            self.until = time.monotonic() + seconds
            limits = httpx2.Limits(max_connections=VISITORS)
            async with httpx2.AsyncClient(limits=limits, timeout=LONG_S) as client:
                visitors = [self._visit(client, url) for _ in range(VISITORS)]
                await asyncio.gather(self._later(after, then), *visitors)

        asyncio.run(story())

    async def _later(self, after: float, then: Callable[[], None]) -> None:
        await asyncio.sleep(after)
        await asyncio.to_thread(then)

    async def _visit(self, client: httpx2.AsyncClient, url: str) -> None:
        while time.monotonic() < self.until:
            try:
                answer = await client.get(url, headers={"user-agent": self.agent})
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


@dataclass
class EdgeRole:
    """`flowlink edge`: the process that was started, and those that it started."""

    url: str
    process: subprocess.Popen[bytes]

    @property
    def children(self) -> list[int]:
        """What answers, then what ships."""
        pid = self.process.pid
        return [int(one) for one in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]

    def kill(self) -> None:
        """Kill everything at once, as losing the machine would."""
        kill_family(self.process.pid)
        self.process.wait(LONG_S)


@contextmanager
def edge_role(
    url: str,
    data: Path,
    *,
    port: int = 0,
    processes: int = 1,
    more: Mapping[str, str] = MappingProxyType({}),
) -> Iterator[EdgeRole]:
    """`flowlink edge` in front of this database, with `more` settings."""
    chosen = port or free_port()
    given = settings.current()
    environment = {
        "PATH": os.defpath,
        "HOME": str(data),
        "DATABASE_URL": url,
        "SECRET_KEYS": ",".join(given.secret_keys),
        "ADMIN_SECRET": given.admin_secret,
        "BASE_URL": given.url,
        "FLOWLINK_DATA": str(data),
        "CLICKS_JOURNAL": given.clicks_journal,
        "CLICKS_JOURNAL_SEGMENT_MB": "2",
        "CLICKS_JOURNAL_FREE_MB": "0",
    }
    command = [sys.executable, "-m", "flowlink", "edge", "--port", str(chosen)]
    process = subprocess.Popen(
        [*command, "--processes", str(processes)],
        env=environment | dict(more),
        cwd=Path.cwd(),
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    role = EdgeRole(f"http://127.0.0.1:{chosen}", process)
    try:
        _wait_until_up(role)
        yield role
    finally:
        if process.poll() is None:
            process.terminate()
            process.wait(LONG_S)


def _wait_until_up(role: EdgeRole) -> None:
    for _ in range(600):
        assert role.process.poll() is None, "the edge did not start"
        with suppress(httpx2.TransportError):
            httpx2.get(f"{role.url}/l/nobody", timeout=LONG_S)
            return
        time.sleep(0.05)
    raise AssertionError("the edge does not answer")


def kill_family(pid: int) -> None:
    """Kill a process and all its children at once."""
    children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    for one in [pid, *map(int, children)]:
        with suppress(ProcessLookupError):
            os.kill(one, signal.SIGKILL)


def check_stored(load: Load, *, unrecorded: int = 0, at_least: int = 100) -> None:
    """Every answered click is a row, once, and the counts are those of the rows."""
    stored = Counter(row[0] for row in ask("SELECT id FROM tracking_click"))
    assert len(load.numbers) > at_least
    assert len(set(load.numbers)) == len(load.numbers)
    assert len(set(load.numbers) - set(stored)) <= unrecorded
    assert set(stored.values()) == {1}
    for table in COUNTED:
        counted = ask(f"SELECT sum(valid + flagged) FROM tracking_click_{table}")  # noqa: S608
        assert counted == [(sum(stored.values()),)]


@contextmanager
def slow_database(url: str) -> Iterator[None]:
    """Nothing can be stored as long as this lasts; questions are answered."""
    import psycopg  # noqa: PLC0415

    with psycopg.connect(db.conninfo(url)) as connection:
        connection.execute("LOCK TABLE tracking_click IN EXCLUSIVE MODE")
        yield
        connection.rollback()
