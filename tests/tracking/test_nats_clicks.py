"""Clicks over NATS: each is stored once, whoever dies, and the journal keeps what is not stored."""

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from flowlink.kernel.nats import Hub
from flowlink.tracking import nats_wire as wire
from flowlink.tracking.click_store import ClickStore
from flowlink.tracking.journal_reader import Reader
from flowlink.tracking.nats_consumer import Consumer
from flowlink.tracking.nats_store import NatsStore
from flowlink.tracking.segment import START
from flowlink.tracking.shipper import Away, Moved, Shipper
from tests import nats_nodes
from tests.factories import free_port
from tests.nats_nodes import Nodes
from tests.patience import LONG_S
from tests.tracking.journals import begun, segments, written
from tests.tracking.makers import ask
from tests.tracking.nats_fleet import Clicker, Fleet
from tests.tracking.nats_process import SHIPPING, STORING, WINDOW, hub


@pytest.fixture(scope="module")
def nodes(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Nodes]:
    with nats_nodes.running(tmp_path_factory.mktemp("nats"), count=1) as made:
        yield made


@pytest.fixture
def connection(nodes: Nodes) -> Iterator[Hub]:
    made = hub(nodes.urls, name="test")
    yield made
    made.close()


@pytest.fixture
def fleet(nodes: Nodes, database: str, tmp_path: Path) -> Iterator[Fleet]:
    made = Fleet(tmp_path / "edges", nodes, database)
    yield made
    made.end()


@contextmanager
def consuming(connection: Hub) -> Iterator[Consumer]:
    consumer, stop = Consumer(connection, new_store=ClickStore, pace=STORING), threading.Event()
    thread = threading.Thread(target=consumer.run, args=(stop,))
    thread.start()
    try:
        yield consumer
    finally:
        stop.set()
        thread.join()


def shipped(shipper: Shipper, edge: Clicker) -> None:
    """Ship until everything is in PostgreSQL."""
    until = time.monotonic() + LONG_S
    while shipper.progress.kept != edge.writer.position:
        assert time.monotonic() < until, shipper.progress
        with_patience(shipper)


def with_patience(shipper: Shipper) -> None:
    try:
        shipper.step()
    except Away:
        time.sleep(0.1)
    time.sleep(0.005)


def test_clicks_of_several_edges_pass_several_consumers_once(fleet: Fleet) -> None:
    for _ in range(2):
        fleet.add_consumer()
    for _ in range(3):
        fleet.add_edge().start()
    time.sleep(2)

    fleet.drain()

    fleet.check()


def test_shippers_and_consumers_may_be_killed(fleet: Fleet) -> None:
    for _ in range(2):
        fleet.add_consumer()
        fleet.add_edge().start()
    for number in range(4):
        time.sleep(0.6)
        fleet.kill_consumer(number % 2)
        fleet.kill_shipper(number % 2)

    fleet.drain()

    fleet.check()


def test_a_parcel_that_went_lost_is_sent_again(
    connection: Hub, database: str, tmp_path: Path
) -> None:
    edge = Clicker(tmp_path, 1)
    shipper = Shipper(
        edge.writer.directory, store=NatsStore(connection, window=WINDOW), pace=SHIPPING
    )
    with consuming(connection):
        edge.make(100)
        shipped(shipper, edge)
    edge.make(300)
    while shipper.progress.shipped < 400:
        shipper.step()

    connection.purge(wire.CLICKS.name, wire.clicks_subject(edge.writer.edge), before=10**9)
    with consuming(connection):
        shipped(shipper, edge)

    assert ask("SELECT count(*) FROM tracking_click") == [(400,)]
    edge.writer.close()


def test_a_gap_is_dropped_and_said(connection: Hub, database: str, tmp_path: Path) -> None:
    edge = Clicker(tmp_path, 1)
    edge.make(300)
    reader = Reader(edge.writer.directory)
    first, second = reader.read(records_max=100), reader.read(records_max=100)
    reader.close()
    store, name = NatsStore(connection, window=WINDOW), edge.writer.edge
    with consuming(connection) as consumer:
        while consumer.progress.error or not answers(store, name):
            time.sleep(0.05)

        store.take(second, edge=name, after=first.position)
        until = time.monotonic() + LONG_S
        while not moved(store, name):
            assert time.monotonic() < until
        assert store.position(edge=name) == START
        assert consumer.progress.gaps == 1

        for _ in range(2):
            store.take(first, edge=name, after=START)
        while consumer.progress.repeated < 1:
            time.sleep(0.01)

    assert ask("SELECT count(*) FROM tracking_click") == [(100,)]
    edge.writer.close()


def moved(store: NatsStore, edge: str) -> bool:
    try:
        store.kept(edge=edge)
    except Moved:
        return True
    time.sleep(0.01)
    return False


def answers(store: NatsStore, edge: str) -> bool:
    try:
        store.position(edge=edge)
    except Away:
        return False
    return True


def test_an_impossible_record_is_set_aside_by_the_consumer(
    connection: Hub, database: str, tmp_path: Path
) -> None:
    edge = Clicker(tmp_path, 1)
    edge.make(50)
    written(edge.writer, [b"no click at all"])
    edge.make(50)
    shipper = Shipper(
        edge.writer.directory, store=NatsStore(connection, window=WINDOW), pace=SHIPPING
    )

    with consuming(connection):
        shipped(shipper, edge)

    assert ask("SELECT count(*) FROM tracking_click") == [(100,)]
    assert ask("SELECT record FROM tracking_journal_refusal") == [(b"no click at all",)]
    edge.writer.close()


def test_the_journal_keeps_what_nobody_has_stored(
    connection: Hub, database: str, tmp_path: Path
) -> None:
    edge = Clicker(tmp_path, 1)
    shipper = Shipper(
        edge.writer.directory, store=NatsStore(connection, window=WINDOW), pace=SHIPPING
    )
    with consuming(connection):
        edge.make(20)
        shipped(shipper, edge)
    for _ in range(60):
        edge.make(20)
    before = begun(edge.writer)
    while shipper.progress.shipped < 1000:
        shipper.step()
    while_away = begun(edge.writer)

    with consuming(connection):
        shipped(shipper, edge)
    shipper.step()

    assert len(before) > 1
    assert while_away == before
    assert begun(edge.writer) == before[-1:]
    assert ask("SELECT count(*) FROM tracking_click") == [(1220,)]
    edge.writer.close()


def test_without_nats_the_shipper_says_so_and_waits(tmp_path: Path) -> None:
    nobody = hub((f"nats://127.0.0.1:{free_port()}",), name="test")
    edge = Clicker(tmp_path, 1)
    edge.make(10)
    shipper = Shipper(edge.writer.directory, store=NatsStore(nobody), pace=SHIPPING)

    with pytest.raises(Away, match="no NATS server lets us in at"):
        shipper.step()

    assert segments(edge.writer.directory)
    nobody.close()
    edge.writer.close()
