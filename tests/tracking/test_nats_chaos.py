"""Three NATS nodes with three replicas, killed under load: nothing is lost and nothing doubled.

The short form belongs to every run, the long one to `make chaos-nats`.
"""

import secrets
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests import nats_nodes
from tests.nats_nodes import Node, Nodes
from tests.patience import LONG_S
from tests.tracking.nats_fleet import Fleet

ROUNDS_LONG = 25


@pytest.fixture
def nodes(place: Path) -> Iterator[Nodes]:
    with nats_nodes.running(place / "nats", count=3) as made:
        yield made


@pytest.fixture
def fleet(nodes: Nodes, database: str, tmp_path: Path) -> Iterator[Fleet]:
    made = Fleet(tmp_path / "edges", nodes, database, replicas=3)
    for _ in range(2):
        made.add_consumer()
        made.add_edge()
    until_it_flows(made)
    for edge in made.edges:
        edge.start()
    yield made
    made.end()


def until_it_flows(fleet: Fleet) -> None:
    for edge in fleet.edges:
        edge.make(20)
    until = time.monotonic() + LONG_S
    while not all(edge.all_stored() for edge in fleet.edges):
        assert time.monotonic() < until, "nothing flows"
        time.sleep(0.05)


def test_a_killed_node_costs_nothing(fleet: Fleet, nodes: Nodes) -> None:
    for node in nodes.each[:2]:
        time.sleep(1)
        node.kill()
        time.sleep(2)
        node.start()
        nodes.wait()

    fleet.drain()

    fleet.check()


def test_a_node_that_comes_back_empty_costs_nothing(fleet: Fleet, nodes: Nodes) -> None:
    time.sleep(1)
    for node in nodes.each:
        node.kill()
        node.forget()
    time.sleep(0.5)
    for node in nodes.each:
        node.start()

    fleet.drain()

    fleet.check()


@pytest.mark.long
def test_whoever_is_killed_in_whatever_order(fleet: Fleet, nodes: Nodes) -> None:
    def lose(node: Node) -> None:
        node.kill()
        node.forget()

    def all_of_them() -> None:
        for node in nodes.each:
            node.kill()

    for _ in range(ROUNDS_LONG):
        blows: list[Callable[[], object]] = [
            secrets.choice(nodes.each).kill,
            all_of_them,
            lambda: lose(secrets.choice(nodes.each)),
            lambda: fleet.kill_consumer(secrets.randbelow(2)),
            lambda: fleet.kill_shipper(secrets.randbelow(2)),
        ]
        time.sleep(secrets.randbelow(2000) / 1000)
        secrets.choice(blows)()
        time.sleep(secrets.randbelow(2000) / 1000)
        for node in nodes.each:
            if node.process is None:
                node.start()
        nodes.recover()

    fleet.drain()

    fleet.check()
