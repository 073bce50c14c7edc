"""Edges that make clicks, and processes that bring them over NATS to PostgreSQL, to be killed."""

import multiprocessing
import secrets
import threading
import time
from dataclasses import dataclass, field
from multiprocessing.context import ForkServerProcess
from pathlib import Path

from flowlink.kernel import clock, db
from flowlink.tracking import click_record, clickid
from flowlink.tracking.click_store import position_of
from flowlink.tracking.clicks import Row
from flowlink.tracking.journal_writer import Bounds, Writer
from tests.nats_nodes import Nodes
from tests.patience import LONG_S
from tests.tracking.journals import written
from tests.tracking.makers import BROWSER, ask
from tests.tracking.nats_process import consume, ship_over_nats

BOUNDS = Bounds(segment_bytes=128 * 1024, batch_bytes_max=32 * 1024, free_bytes_min=0)
_processes = multiprocessing.get_context("forkserver")


class Clicker(threading.Thread):
    """An edge that makes clicks until it is told to be quiet."""

    def __init__(self, root: Path, number: int) -> None:
        super().__init__()
        self.writer = Writer(root, bounds=BOUNDS)
        self._maker = clickid.Maker(number)
        self._quiet = threading.Event()
        self.numbers: list[int] = []

    def run(self) -> None:
        while not self._quiet.wait(0.01):
            self.make(20)

    def make(self, count: int) -> None:
        now = clock.now()
        rows = [
            Row(
                number=self._maker.next(now),
                visitor=secrets.randbits(60),
                link=1 + n % 5,
                partner=1 + n % 3,
                reason=0,
                country=0,
                origin=0,
                agent=BROWSER,
                referrer="blog.example",
            )
            for n in range(count)
        ]
        written(self.writer, [click_record.pack(row) for row in rows])
        self.numbers += [row.number for row in rows]

    def finish(self) -> None:
        self._quiet.set()
        if self.is_alive():
            self.join()

    def all_stored(self) -> bool:
        with db.read() as session:
            return position_of(session, edge=self.writer.edge) == self.writer.position


@dataclass
class Fleet:
    """Edges with a shipper process each, and consumer processes."""

    root: Path
    nodes: Nodes
    database: str
    replicas: int = 1
    edges: list[Clicker] = field(default_factory=list)
    shippers: list[ForkServerProcess] = field(default_factory=list)
    consumers: list[ForkServerProcess] = field(default_factory=list)

    def add_edge(self) -> Clicker:
        number = len(self.edges)
        edge = Clicker(self.root / str(number), number + 1)
        self.edges.append(edge)
        self.shippers.append(self._ship(number))
        return edge

    def add_consumer(self) -> None:
        self.consumers.append(self._consume())

    def kill_shipper(self, number: int) -> None:
        _kill(self.shippers[number])
        self.shippers[number] = self._ship(number)

    def kill_consumer(self, number: int) -> None:
        _kill(self.consumers[number])
        self.consumers[number] = self._consume()

    def drain(self) -> None:
        """Let the edges be quiet, and wait until everything is stored."""
        for edge in self.edges:
            edge.finish()
        until = time.monotonic() + LONG_S
        while not all(edge.all_stored() for edge in self.edges):
            assert time.monotonic() < until, "the journals do not drain"
            time.sleep(0.02)

    def end(self) -> None:
        for edge in self.edges:
            edge.finish()
            edge.writer.close()
        for process in [*self.shippers, *self.consumers]:
            _kill(process)

    def check(self) -> None:
        """Each click made is a row, once, and the counts say the same."""
        stored = [row[0] for row in ask("SELECT id FROM tracking_click ORDER BY id")]
        assert stored == sorted(number for edge in self.edges for number in edge.numbers)
        for table in ("minute", "hour", "day", "link_day"):
            counted = ask(f"SELECT sum(valid + flagged) FROM tracking_click_{table}")  # noqa: S608
            assert counted == [(len(stored),)]
        assert ask("SELECT count(*) FROM tracking_journal_loss") == [(0,)]

    def _ship(self, number: int) -> ForkServerProcess:
        root = self.root / str(number)
        return _started(ship_over_nats, root, self.nodes.urls)

    def _consume(self) -> ForkServerProcess:
        return _started(consume, self.nodes.urls, self.database, self.replicas)


def _started(target: object, *arguments: object) -> ForkServerProcess:
    process = _processes.Process(target=target, args=arguments)  # type: ignore[arg-type]
    process.start()
    return process


def _kill(process: ForkServerProcess) -> None:
    process.kill()
    process.join()
