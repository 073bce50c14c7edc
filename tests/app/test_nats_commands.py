"""What an operator sees of NATS: refusals, `flowlink doctor`, the journals and `/metrics`."""

import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from fastapi.testclient import TestClient

from flowlink.app import web
from flowlink.kernel import settings
from flowlink.tracking import nats_role, nats_wiring
from tests import nats_nodes
from tests.app.product import command, environment
from tests.conftest import test_settings
from tests.factories import free_port
from tests.nats_nodes import Nodes
from tests.tracking.nats_fleet import Clicker
from tests.tracking.nats_process import STORING, hub
from tests.tracking.test_nats_edge import until
from tests.tracking.test_nats_links import FAST


@pytest.fixture
def nodes(place: Path) -> Iterator[Nodes]:
    with nats_nodes.running(place / "nats", count=1) as made:
        yield made


@contextmanager
def consuming(nodes: Nodes) -> Iterator[None]:
    """A consumer in this process; the block begins once the link table lies in NATS."""
    way, stop = hub(nodes.urls, name="consumer"), threading.Event()
    paces = {"storing": STORING, "publishing": FAST}
    thread = threading.Thread(target=nats_role.run, args=(way, stop), kwargs=paces)
    thread.start()
    try:
        until(lambda: way.standing("FLOWLINK_LINKS") and way.last("FLOWLINK_LINKS", _NEWS))
        yield
    finally:
        stop.set()
        thread.join()
        way.close()


_NEWS = "flowlink.links.news"


def test_an_edge_says_that_nobody_is_there(place: Path) -> None:
    port = free_port()
    nowhere = f"nats://edge:secret@127.0.0.1:{port}"

    refused = command("edge", "--port", "0", data=place / "data", NATS_URL=nowhere)

    said = f"flowlink: no NATS server lets us in at 127.0.0.1:{port} (NATS_URL)\n"
    assert (refused.returncode, refused.stderr) == (1, said)
    assert not (place / "data" / "18").exists()


def test_without_the_library_it_says_what_to_install(place: Path) -> None:
    hidden = "import sys; sys.modules['nats'] = None; from flowlink.__main__ import main; main()"

    refused = subprocess.run(
        [sys.executable, "-c", hidden, "edge", "--port", "0", "--data", str(place / "data")],
        env=environment(place, NATS_URL="nats://127.0.0.1:1"),
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )

    said = "flowlink: NATS_URL is set and the library nats is missing: install nats-py\n"
    assert (refused.returncode, refused.stderr) == (1, said)


def test_the_doctor_of_an_edge_looks_at_nats_and_journals(
    database: str, nodes: Nodes, place: Path
) -> None:
    edge = Clicker(place / "data" / "journal", 1)
    edge.make(2)
    with consuming(nodes):
        looked = command("doctor", data=place / "data", NATS_URL=nodes.urls[0])
        listed = command("journal", "list", data=place / "data", NATS_URL=nodes.urls[0])
    alone = command("doctor", data=place / "data", NATS_URL=nodes.urls[0])
    edge.writer.close()

    assert f"NATS answers at {nodes.urls[0][7:]}" in looked.stdout
    assert "FLOWLINK_CLICKS: 0 parcels wait" in looked.stdout
    assert "up to date on 1 of 1 nodes" in looked.stdout
    assert "the link table in NATS is complete up to" in looked.stdout
    assert "2 clicks" in looked.stdout
    assert "PostgreSQL" not in looked.stdout
    assert (listed.returncode, "2 clicks wait" in listed.stdout) == (0, True)
    assert alone.returncode == 1
    assert "nobody says how far clicks are stored" in alone.stdout


def test_the_doctor_says_that_no_consumer_ran_yet(nodes: Nodes, place: Path) -> None:
    looked = command("doctor", data=place / "data", NATS_URL=nodes.urls[0])

    assert looked.returncode == 1
    assert "NATS has no stream FLOWLINK_CLICKS yet: does `flowlink consumer` run?" in looked.stdout


def test_metrics_show_nats_and_its_absence(database: str, nodes: Nodes) -> None:
    before = settings.current()
    with TestClient(web.create_app()) as client:
        unused = client.get("/metrics").text
        settings.use(test_settings(nats_url=nodes.urls[0]))
        try:
            with consuming(nodes):
                used = client.get("/metrics").text
            nodes.each[0].kill()
            until(lambda: "flowlink_nats_up 0.0" in client.get("/metrics").text)
        finally:
            nats_wiring.close()
            settings.use(before)

    assert "flowlink_nats_up -1.0" in unused
    assert "flowlink_nats_up 1.0" in used
    assert "flowlink_nats_parcels 0.0" in used
    assert "flowlink_nats_links_seconds 1." in used
