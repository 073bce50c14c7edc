"""Clicks a second from a journal into PostgreSQL: over NATS JetStream, against storing directly.

Turn about, medians. The consumer is a process of its own; all share the machine's cores, NATS too.

Run: python -m bench.nats
"""

import logging
import multiprocessing
import statistics
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from bench.journal import CLICKS, fill
from bench.report import table
from flowlink.kernel import db, logs, migrate, settings
from flowlink.kernel.nats import Hub, Unreachable
from flowlink.kernel.postgres import EmbeddedPostgres
from flowlink.kernel.settings import Settings
from flowlink.tracking import nats_wire as wire, segment as files
from flowlink.tracking.click_store import ClickStore
from flowlink.tracking.journal_reader import Reader
from flowlink.tracking.nats_consumer import Consumer
from flowlink.tracking.nats_store import NatsStore
from flowlink.tracking.segment import Position
from flowlink.tracking.shipper import Away, Pace, Shipper, Store
from tests import nats_nodes

ROUNDS = 5

Urls = tuple[str, ...]


def consume(urls: Urls, url: str, replicas: int) -> None:
    """A consumer's life."""
    settings.use(Settings())
    db.connect(url)
    hub = Hub(Settings(nats_url=urls, nats_replicas=replicas), name="bench-consumer")
    Consumer(hub, new_store=ClickStore).run(threading.Event())


@contextmanager
def consuming(urls: Urls, url: str, replicas: int) -> Iterator[None]:
    context = multiprocessing.get_context("forkserver")
    process = context.Process(target=consume, args=(urls, url, replicas))
    process.start()
    try:
        yield
    finally:
        process.kill()
        process.join()


def shipped(root: Path, store: Store) -> tuple[float, float]:
    """Clicks a second until the last is in PostgreSQL, and the shipper's CPU for each in us."""
    directory = fill(root)
    end = end_of(directory)
    ready(store, files.edge_of(directory))
    shipper = Shipper(directory, store=store, pace=Pace())
    began, cpu = time.perf_counter(), time.process_time()
    while shipper.progress.kept != end:
        try:
            more = shipper.step()
        except Away:
            more = False
        if not more:
            time.sleep(0.002)
    seconds, used = time.perf_counter() - began, time.process_time() - cpu
    return CLICKS / seconds, used / CLICKS * 1e6


def end_of(directory: Path) -> Position:
    reader = Reader(directory)
    while reader.read().records:
        pass
    reader.close()
    return reader.position


def ready(store: Store, edge: str) -> None:
    """Wait until the store answers."""
    while True:
        try:
            store.position(edge=edge)
        except Away:
            time.sleep(0.1)
        else:
            return


def wait_for_lanes(hub: Hub) -> None:
    lanes = [wire.lane_name(number) for number in range(wire.LANES)]
    while True:
        try:
            if all(hub.is_idle(wire.CLICKS.name, lane) for lane in lanes):
                return
        except Unreachable:
            time.sleep(0.2)


def compare(place: Path, url: str, nodes: int) -> list[tuple[str, ...]]:
    """Both ways in turn, with so many nodes and replicas."""
    found: dict[str, list[tuple[float, float]]] = {"direct": [], "nats": []}
    with nats_nodes.running(place / "nodes", count=nodes) as running:
        hub = Hub(Settings(nats_url=running.urls, nats_replicas=nodes), name="bench-edge")
        with consuming(running.urls, url, nodes):
            wait_for_lanes(hub)
            for number in range(ROUNDS):
                print(f"{nodes} nodes, round {number + 1}", file=sys.stderr, flush=True)
                for way in ("direct", "nats") if number % 2 else ("nats", "direct"):
                    store: Store = NatsStore(hub) if way == "nats" else ClickStore()
                    found[way].append(shipped(place / f"{way}{number}", store))
        hub.close()
    rates = {way: statistics.median(rate for rate, _ in each) for way, each in found.items()}
    used = {way: statistics.median(cpu for _, cpu in each) for way, each in found.items()}
    pairs = zip(found["nats"], found["direct"], strict=True)
    ratio = statistics.median(over[0] / directly[0] for over, directly in pairs)
    name = f"over NATS, {nodes} node{'s'[: nodes - 1]} and replica{'s'[: nodes - 1]}"
    return [
        ("straight into PostgreSQL", f"{rates['direct']:,.0f}", f"{used['direct']:.1f}", ""),
        (name, f"{rates['nats']:,.0f}", f"{used['nats']:.1f}", f"{ratio:.2f}"),
    ]


def main() -> None:
    settings.use(Settings())
    logs.configure(logging.ERROR)
    rows = []
    with tempfile.TemporaryDirectory() as root:
        server = EmbeddedPostgres(Path(root) / "data")
        server.start()
        try:
            migrate.upgrade(server.url())
            db.connect(server.url())
            for nodes in (1, 3):
                rows += compare(Path(root) / str(nodes), server.url(), nodes)
        finally:
            db.disconnect()
            server.stop()
    title = f"{CLICKS:,} clicks from journal to table, medians of {ROUNDS} alternating rounds"
    table(title, ["way", "per s", "shipper's CPU us", "ratio"], rows)


if __name__ == "__main__":
    main()
