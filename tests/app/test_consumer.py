"""`flowlink consumer` as its operator runs it."""

import signal
import subprocess
from pathlib import Path

from tests import nats_nodes
from tests.app.product import FLOWLINK, command, environment
from tests.patience import LONG_S
from tests.tracking.makers import ask
from tests.tracking.nats_fleet import Fleet


def test_without_servers_it_says_what_is_missing(place: Path) -> None:
    refused = command("consumer", data=place / "data")

    assert refused.returncode == 1
    assert refused.stderr.startswith("flowlink: NATS_URL is empty")


def test_an_address_of_another_kind_is_refused(place: Path) -> None:
    refused = command("consumer", data=place / "data", NATS_URL="http://127.0.0.1:4222")

    assert refused.returncode == 1
    assert "each address of NATS_URL starts with nats:// or tls://" in refused.stderr


def test_it_stores_what_edges_send_and_ends_well(database: str, place: Path) -> None:
    with nats_nodes.running(place / "nats", count=1) as nodes:
        fleet = Fleet(place / "edges", nodes, database)
        settings = {"NATS_URL": nodes.urls[0], "DATABASE_URL": database}
        process = subprocess.Popen(
            [*FLOWLINK, "consumer", "--data", str(place / "data")],
            env=environment(place, **settings),
            stdout=subprocess.PIPE,
            text=True,
        )
        try:
            assert process.stdout is not None
            said = process.stdout.readline()
            fleet.add_edge().make(100)
            fleet.drain()
            process.send_signal(signal.SIGTERM)
            ended = process.wait(LONG_S)
        finally:
            fleet.end()
            process.kill()
            process.communicate()

    assert said == f"flowlink stores what edges send over {nodes.urls[0][7:]}\n"
    assert ended == 0
    assert ask("SELECT count(*) FROM tracking_click") == [(100,)]
