"""The link table's way over NATS: every entry arrives, every change in order, or it is said."""

import threading
import time
import zlib
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from queue import Empty, Queue

import pytest

from flowlink.kernel.nats import Hub, Unreachable
from flowlink.tracking.nats_links import (
    LINKS,
    Behind,
    Entry,
    LinkPublisher,
    NatsLinks,
    Pace,
)
from tests import nats_nodes
from tests.nats_nodes import Nodes
from tests.patience import LONG_S
from tests.tracking.nats_process import hub

FAST = Pace(look_s=0.01, silent_s=1.0)
NEWS = "flowlink.links.news"
_HEAD_BYTES = 53


@dataclass
class Shop:
    """A source in memory."""

    entries: dict[bytes, bytes] = field(default_factory=dict)
    news: "Queue[list[Entry]]" = field(default_factory=Queue)
    lost: bool = False
    step_s: float = 0.0
    layings: int = 0
    is_laying: bool = False

    def snapshot(self, *, anew: bool) -> Iterator[Entry]:
        self.lost = False
        self.layings += 1
        self.is_laying = True
        for entry in list(self.entries.items()):
            yield entry
            time.sleep(self.step_s)
        self.is_laying = False

    def pending(self) -> list[Entry]:
        said: list[Entry] = []
        while not self.news.empty():
            said += self.news.get()
        return said

    def changes(self, stop: threading.Event) -> Iterator[Sequence[Entry]]:
        while not stop.is_set() and not self.lost:
            try:
                yield self.news.get(timeout=0.1)
            except Empty:
                yield []

    def change(self, key: bytes, value: bytes | None) -> None:
        if value is None:
            del self.entries[key]
        else:
            self.entries[key] = value
        self.news.put([(key, value)])


@pytest.fixture
def nodes(place: Path) -> Iterator[Nodes]:
    with nats_nodes.running(place, count=1) as made:
        yield made


@pytest.fixture
def connection(nodes: Nodes) -> Iterator[Hub]:
    made = hub(nodes.urls, name="test")
    yield made
    made.close()


@contextmanager
def publishing(connection: Hub, shop: Shop, *, pace: Pace = FAST) -> Iterator[LinkPublisher]:
    publisher, stop = LinkPublisher(connection, shop, pace=pace), threading.Event()
    thread = threading.Thread(target=publisher.run, args=(stop,))
    thread.start()
    try:
        yield publisher
    finally:
        stop.set()
        thread.join()


class Edge:
    """Follows until it knows as much as the shop."""

    def __init__(self, connection: Hub, *, pace: Pace = FAST) -> None:
        self.links = NatsLinks(connection, pace=pace)
        self.table: dict[bytes, bytes | None] = {}
        self.snapshots = 0

    def load(self) -> None:
        until = time.monotonic() + LONG_S
        while True:
            try:
                self.table = dict(self.links.snapshot())
            except (Unreachable, Behind):
                assert time.monotonic() < until
                time.sleep(0.05)
            else:
                self.snapshots += 1
                return

    def follow(self, shop: Shop) -> None:
        until = time.monotonic() + LONG_S
        while self.table != shop.entries:
            assert time.monotonic() < until, "it never learns"
            try:
                self._follow(shop, until)
            except Behind:
                self.load()
            except Unreachable:
                time.sleep(0.05)

    def _follow(self, shop: Shop, until: float) -> None:
        for news in self.links.changes(threading.Event()):
            for key, value in news.entries:
                if value is None:
                    self.table.pop(key, None)
                else:
                    self.table[key] = value
            if self.table == shop.entries or time.monotonic() > until:
                return


def test_an_edge_gets_every_entry_and_then_every_change(connection: Hub) -> None:
    shop = Shop({b"/%d" % n: b"x" * (n % 900) for n in range(5000)})
    edge = Edge(connection)
    with publishing(connection, shop):
        edge.load()
        assert edge.table == shop.entries

        shop.change(b"/new", b"there")
        shop.change(b"/1", None)
        shop.change(b"/2", b"")
        edge.follow(shop)
        before = edge.links.watermark
        shop.change(b"/3", b"other")
        edge.follow(shop)

        assert edge.snapshots == 1
        assert before is not None
        assert edge.links.watermark is not None
        assert edge.links.watermark >= before


def test_changes_go_on_while_the_next_generation_is_laid_down(connection: Hub) -> None:
    shop = Shop({b"/%d" % n: b"x" * 600_000 for n in range(10)}, step_s=0.05)
    edge, early = Edge(connection), 0
    with publishing(connection, shop, pace=replace(FAST, generation_s=0.1)):
        edge.load()
        until = time.monotonic() + LONG_S
        while not early or shop.layings < 4:
            assert time.monotonic() < until
            laying, while_laying = shop.layings, shop.is_laying
            shop.change(b"/new", b"%d" % time.monotonic_ns())
            edge.follow(shop)
            early += while_laying and shop.is_laying and shop.layings == laying

    assert edge.snapshots == 1
    late = Edge(connection)
    late.load()
    late.follow(shop)


def test_now_and_then_an_edge_takes_everything_again(connection: Hub) -> None:
    shop = Shop({b"/a": b"1"})
    edge = Edge(connection, pace=replace(FAST, recheck_s=0.0))
    with publishing(connection, shop, pace=replace(FAST, generation_s=0.1)):
        edge.load()
        until = time.monotonic() + LONG_S
        while edge.snapshots == 1:
            assert time.monotonic() < until
            shop.change(b"/b", b"%d" % time.monotonic_ns())
            edge.follow(shop)


def test_an_edge_that_starts_while_nobody_publishes_has_the_last_word(connection: Hub) -> None:
    shop = Shop({b"/a": b"1"})
    first, late = Edge(connection), Edge(connection)
    with publishing(connection, shop):
        first.load()
        shop.change(b"/b", b"2")
        first.follow(shop)

    late.load()
    late.follow(shop)

    assert late.table == {b"/a": b"1", b"/b": b"2"}


def test_when_the_source_must_begin_again_so_does_the_edge(connection: Hub) -> None:
    shop = Shop({b"/a": b"1"})
    edge = Edge(connection)
    with publishing(connection, shop):
        edge.load()
        edge.follow(shop)

        shop.entries[b"/unseen"] = b"2"
        shop.lost = True
        edge.follow(shop)

    assert edge.snapshots > 1


def test_of_two_publishers_one_publishes_and_the_other_takes_over(connection: Hub) -> None:
    shop = Shop({b"/a": b"1"})
    edge = Edge(connection)
    with publishing(connection, shop) as second_choice:
        with publishing(connection, shop) as first_choice:
            edge.load()
            until = time.monotonic() + LONG_S
            while first_choice.publishes == second_choice.publishes:
                assert time.monotonic() < until
                time.sleep(0.02)
        shop.change(b"/b", b"2")
        edge.follow(shop)
        while not second_choice.publishes:
            time.sleep(0.02)


def news_of(connection: Hub, key: bytes) -> int:
    """The number of the message that says it, once it is there."""
    at = 0
    while True:
        found = connection.after(LINKS.name, NEWS, at)
        if found is None:
            time.sleep(0.01)
            continue
        at = found.sequence
        if key in zlib.decompress(found.data[_HEAD_BYTES:]):
            return at


def test_news_that_went_lost_are_noticed(connection: Hub) -> None:
    shop = Shop({b"/a": b"1"})
    edge = Edge(connection)
    with publishing(connection, shop):
        edge.load()
        shop.change(b"/b", b"2")
        connection.purge(LINKS.name, NEWS, before=1 + news_of(connection, b"/b"))

        with pytest.raises(Behind):
            next(edge.links.changes(threading.Event()))


def test_a_node_that_lost_its_disk_gets_everything_again(connection: Hub, nodes: Nodes) -> None:
    shop = Shop({b"/%d" % n: b"x" for n in range(100)})
    edge = Edge(connection)
    with publishing(connection, shop):
        edge.load()
        edge.follow(shop)

        [node] = nodes.each
        node.kill()
        node.forget()
        shop.change(b"/b", b"2")
        node.start()
        nodes.wait()
        edge.follow(shop)

    assert edge.table == shop.entries


def test_an_edge_without_a_publisher_is_told(connection: Hub) -> None:
    connection.ensure_stream(LINKS)

    with pytest.raises(Unreachable, match="no consumer has published links yet"):
        list(NatsLinks(connection).snapshot())
