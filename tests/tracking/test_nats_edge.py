"""`flowlink edge` without a database: links come over NATS, and clicks go to consumers."""

import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path

import httpx2
import pytest

from flowlink.kernel import clock, db, settings
from flowlink.kernel.postgres import EmbeddedPostgres
from flowlink.tracking import jobs, service
from flowlink.tracking.ids import LinkId
from tests import nats_nodes
from tests.factories import free_port
from tests.nats_nodes import Nodes
from tests.patience import LONG_S
from tests.tracking.edges import EdgeRole, Load, edge_role
from tests.tracking.makers import BROWSER, Shop, ask, click_id, committed_shop, postback

ROUNDS_LONG = 18
AS_BROWSER = {"user-agent": BROWSER}


@pytest.fixture
def shop(postgres_durable: EmbeddedPostgres) -> Shop:
    db.connect(postgres_durable.url())
    return committed_shop()


@pytest.fixture
def nodes(place: Path) -> Iterator[Nodes]:
    with nats_nodes.running(place / "nats", count=1) as made:
        yield made


def started_consumer(
    nodes: Nodes, url: str, data: Path, *, replicas: int = 1
) -> "subprocess.Popen[bytes]":
    """`flowlink consumer`."""
    environment = {
        "PATH": os.defpath,
        "HOME": str(data),
        "DATABASE_URL": url,
        "SECRET_KEYS": ",".join(settings.current().secret_keys),
        "NATS_URL": ",".join(nodes.urls),
        "NATS_REPLICAS": str(replicas),
        "FLOWLINK_DATA": str(data / "consumer"),
    }
    return subprocess.Popen([sys.executable, "-m", "flowlink", "consumer"], env=environment)


@contextmanager
def consumer(nodes: Nodes, url: str, data: Path, *, replicas: int = 1) -> Iterator[None]:
    """`flowlink consumer` while the block runs, ended by a kill."""
    process = started_consumer(nodes, url, data, replicas=replicas)
    try:
        yield
    finally:
        process.kill()
        process.wait()


def edge(nodes: Nodes, data: Path, *, port: int = 0) -> AbstractContextManager[EdgeRole]:
    """`flowlink edge` that knows NATS alone; its journal is nobody else's."""
    own = {
        "DATABASE_URL": "",
        "NATS_URL": ",".join(nodes.urls),
        "CLICKS_JOURNAL": str(data / "edge-journal"),
    }
    return edge_role("", data, port=port, more=own)


def until(holds: Callable[[], object]) -> None:
    end = time.monotonic() + LONG_S
    while not holds():
        assert time.monotonic() < end, "it never comes"
        time.sleep(0.05)


def asked(address: str, **headers: str) -> httpx2.Response:
    return httpx2.get(address, headers=AS_BROWSER | headers, timeout=LONG_S)


def status(address: str) -> int:
    return asked(address).status_code


def stored() -> int:
    [(count,)] = ask("SELECT count(*) FROM tracking_click")
    assert isinstance(count, int)
    return count


def test_links_come_over_nats_and_clicks_are_stored_once(
    postgres_durable: EmbeddedPostgres, shop: Shop, nodes: Nodes, tmp_path: Path
) -> None:
    load = Load()
    with consumer(nodes, postgres_durable.url(), tmp_path), edge(nodes, tmp_path) as role:
        known = f"{role.url}/l/{shop.link.code}"
        until(lambda: status(known) == 302)
        made = new_link(shop, "fresh")
        at_once = status(f"{role.url}/l/fresh")
        unknown = status(f"{role.url}/l/nobody")
        load.run(known, seconds=2.0)
        with db.write() as session:
            service.disable_link(session, link_id=made, partner_id=shop.partner_id, now=clock.now())
        until(lambda: status(f"{role.url}/l/fresh") == 404)
        until(lambda: ask("SELECT reason FROM tracking_miss WHERE reason = 'unknown'"))
        until(lambda: ask("SELECT edge FROM tracking_edge"))
        until(lambda: stored() >= len(load.numbers) + 2)

    assert at_once == 302
    assert unknown == 404
    assert set(load.statuses) == {302}
    assert ask("SELECT count(DISTINCT id) FROM tracking_click") == [(stored(),)]


def new_link(shop: Shop, slug: str) -> LinkId:
    with db.write() as session:
        made = service.create_link(session, partner_id=shop.partner_id, slug=slug, now=clock.now())
        return LinkId(made.id)


def test_an_edge_starts_and_answers_while_database_and_consumers_are_away(
    postgres_durable: EmbeddedPostgres, shop: Shop, nodes: Nodes, tmp_path: Path
) -> None:
    load = Load()
    with consumer(nodes, postgres_durable.url(), tmp_path), edge(nodes, tmp_path) as role:
        until(lambda: status(f"{role.url}/l/{shop.link.code}") == 302)
        load.run(f"{role.url}/l/{shop.link.code}", seconds=1.0)
        before = len(load.numbers)
    postgres_durable.stop()

    with edge(nodes, tmp_path) as role:
        until(lambda: status(f"{role.url}/l/{shop.link.code}") == 302)
        load.run(f"{role.url}/l/{shop.link.code}", seconds=1.0)
        unknown = asked(f"{role.url}/l/nobody")
        postgres_durable.start()
        db.connect(postgres_durable.url())
        with consumer(nodes, postgres_durable.url(), tmp_path):
            until(lambda: stored() >= len(load.numbers) + 2)

    assert len(load.numbers) > before
    assert set(load.statuses) == {302}
    assert (unknown.status_code, unknown.headers["retry-after"]) == (503, "5")
    assert ask("SELECT count(DISTINCT id) FROM tracking_click") == [(len(load.numbers) + 2,)]


def test_a_postback_that_was_accepted_is_kept_whoever_dies(
    postgres_durable: EmbeddedPostgres, shop: Shop, nodes: Nodes, tmp_path: Path
) -> None:
    def tell(role: EdgeRole, **fields: str) -> tuple[int, dict[str, str]]:
        answer = asked(f"{role.url}/aff/postback?{postback(shop, amount='10', **fields)}")
        return answer.status_code, answer.json()

    with consumer(nodes, postgres_durable.url(), tmp_path), edge(nodes, tmp_path) as role:
        until(lambda: status(f"{role.url}/l/{shop.link.code}") == 302)
        click = click_id(asked(f"{role.url}/l/{shop.link.code}").headers["location"])
        told = [tell(role, subid=click, txn_id="1"), tell(role, subid=click, key="wrong")]
        until(lambda: ask("SELECT id FROM tracking_postback"))
    with edge(nodes, tmp_path) as role:
        told.append(tell(role, subid=click, txn_id="2"))
        role.kill()
    with consumer(nodes, postgres_durable.url(), tmp_path), edge(nodes, tmp_path):
        until(lambda: ask("SELECT count(*) FROM tracking_postback") == [(3,)])
    for [payload] in ask("SELECT payload FROM kernel_event WHERE name = 'postbacks.kept'"):
        jobs.read_kept(payload, clock.now())  # type: ignore[arg-type]

    accepted = (200, {"result": "accepted"})
    assert told == [accepted, (401, {"result": "rejected", "reason": "wrong_key"}), accepted]
    assert ask("SELECT txn_id, status FROM tracking_conversion ORDER BY txn_id") == [
        ("1", "approved"),
        ("2", "approved"),
    ]


def test_a_node_killed_under_load_costs_no_click(
    postgres_durable: EmbeddedPostgres, shop: Shop, place: Path, tmp_path: Path
) -> None:
    load = Load()
    with (
        nats_nodes.running(place / "nats", count=3) as nodes,
        consumer(nodes, postgres_durable.url(), tmp_path, replicas=3),
        edge(nodes, tmp_path) as role,
    ):
        until(lambda: status(f"{role.url}/l/{shop.link.code}") == 302)
        load.run(f"{role.url}/l/{shop.link.code}", seconds=6.0, after=1.5, then=nodes.each[0].kill)
        until(lambda: stored() >= len(load.numbers) + 1)

    assert set(load.statuses) == {302}
    assert load.broken == 0
    assert stored() == len(load.numbers) + 1
    assert ask("SELECT count(DISTINCT id) FROM tracking_click") == [(stored(),)]


@pytest.mark.long
def test_whatever_is_killed_behind_visitors(
    postgres_durable: EmbeddedPostgres, shop: Shop, place: Path, tmp_path: Path
) -> None:
    load, port, url = Load(), free_port(), postgres_durable.url()
    known = f"http://127.0.0.1:{port}/l/{shop.link.code}"
    with nats_nodes.running(place / "nats", count=3) as nodes:
        consumers = [started_consumer(nodes, url, tmp_path, replicas=3) for _ in range(2)]
        for number in range(ROUNDS_LONG):
            with edge(nodes, tmp_path, port=port) as role:
                until(lambda: status(known) == 302)
                blow = (role.kill, nodes.each[number % 3].kill, consumers[number % 2].kill)
                load.run(known, seconds=3.0, after=1.5, then=blow[number // 2 % 3])
            for node in nodes.each:
                if node.process is None:
                    node.start()
            nodes.recover()
            for at, process in enumerate(consumers):
                if process.poll() is not None:
                    consumers[at] = started_consumer(nodes, url, tmp_path, replicas=3)
        with edge(nodes, tmp_path, port=port):
            until(lambda: set(load.numbers) <= {row[0] for row in ids()})
        for process in consumers:
            process.kill()
            process.wait()

    assert len(load.numbers) == len(set(load.numbers))
    assert len(ids()) == len(set(ids()))


def ids() -> list[tuple[object, ...]]:
    return ask("SELECT id FROM tracking_click")
