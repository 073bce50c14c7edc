"""`flowlink up` as a process: how it starts, what it refuses, how it ends, what it survives."""

import os
import signal
import socket
from pathlib import Path

import httpx2
import pytest

from tests.app.product import command, launch, running
from tests.cluster import Cluster
from tests.patience import LONG_S

AS_ROOT = pytest.mark.skipif(os.geteuid() != 0, reason="only root can become somebody else")
NOBODY = ("setpriv", "--reuid=65534", "--regid=65534", "--clear-groups")


def server_pid(data: Path) -> int:
    return int((data / "18" / "postmaster.pid").read_text().split()[0])


def test_the_first_start_says_how_to_get_in_and_the_next_keeps_the_secret(place: Path) -> None:
    data = place / "data"
    with running(data) as first:
        link = next(word for word in first.printed.split() if "token=" in word)
        opened = httpx2.get(link)
        summary = first.get("/api/admin/summary", **{"x-admin-secret": first.secret})
        code, seconds = first.terminate()
    with running(data) as second:
        again = second.get("/api/admin/summary", **{"x-admin-secret": first.secret})

    assert (first.url in first.printed, opened.status_code) == (True, 200)
    assert (summary.status_code, again.status_code) == (200, 200)
    assert (code, seconds < 10) == (0, True)
    assert "secret" not in second.printed


def test_secrets_are_closed_to_other_users(place: Path) -> None:
    with running(place / "data") as product:
        assert product.get("/readyz").json() == {"ready": True, "problems": []}
        modes = {
            path.name: path.stat().st_mode & 0o777
            for path in product.data.iterdir()
            if path.name in {"secret-key", "admin-secret", "18"}
        }

    assert modes == {"secret-key": 0o600, "admin-secret": 0o600, "18": 0o700}


def test_a_second_one_on_the_same_data_is_refused(place: Path) -> None:
    with running(place / "data") as first:
        second = command("up", "--port", "0", data=first.data)
        still = first.get("/healthz")

    assert (second.returncode, second.stdout) == (1, "")
    assert second.stderr.strip().endswith(f"flowlink already runs on {first.data}")
    assert still.status_code == 200


def test_a_port_in_use_is_said_before_anything_is_started(place: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        refused = command("up", "--port", str(port), data=place / "data")

    assert refused.returncode == 1
    assert f"cannot listen on 127.0.0.1:{port}" in refused.stderr
    assert not (place / "data" / "18").exists()


def test_production_refuses_to_start_without_secrets(place: Path) -> None:
    refused = command("up", data=place / "data", FLOWLINK_ENV="production")

    assert (refused.returncode, "ADMIN_SECRET" in refused.stderr) == (1, True)
    assert "Traceback" not in refused.stderr
    assert not (place / "data").exists()


def test_a_broken_price_list_is_said_at_once(place: Path) -> None:
    prices = place / "prices.json"
    prices.write_text('{"currency": "EUR",\n "plans": }')

    refused = command("up", "--port", "0", data=place / "data", PRICING_SPECS=str(prices))
    looked = command("doctor", data=place / "data", PRICING_SPECS=str(prices))

    assert refused.returncode == looked.returncode == 1
    assert f"{prices}: line 2" in refused.stderr
    assert f"{prices}: line 2" in looked.stdout
    assert "Traceback" not in refused.stderr


def test_a_killed_flowlink_starts_again_with_all_it_had(place: Path) -> None:
    data = place / "data"
    with running(data) as killed:
        made = command("admin", "api-key", "--partner", "ada@example.org", data=data)
        postgres = server_pid(data)
        killed.process.kill()
        os.kill(postgres, signal.SIGKILL)
        killed.process.wait()
    with running(data) as product:
        links = product.get("/api/partner/links", authorization=f"Bearer {made.stdout.strip()}")

    assert links.status_code == 200


def test_a_killed_database_is_started_again(place: Path) -> None:
    with running(place / "data") as product:
        before = server_pid(product.data)
        os.kill(before, signal.SIGKILL)
        answers = [product.get("/readyz").status_code]
        while answers[-1] != 200 and len(answers) < 2000:
            answers.append(product.get("/readyz").status_code)
        after = server_pid(product.data)

    assert (answers[-1], before != after) == (200, True)
    assert set(answers) <= {200, 503}


def test_a_database_that_cannot_start_again_ends_it_with_the_reason(place: Path) -> None:
    with running(place / "data") as product:
        (product.data / "18" / "postgresql.conf").write_text("no_such_setting = 1\n")
        os.kill(server_pid(product.data), signal.SIGKILL)
        code = product.process.wait(LONG_S)

    assert code == 1
    assert "no_such_setting" in (place / "up.log").read_text()


def test_a_signal_during_the_start_ends_it_in_good_order(place: Path) -> None:
    product = launch(place / "data")
    while not (place / "data" / "lock").exists():
        assert product.process.poll() is None

    code, seconds = product.terminate()
    product.close()

    assert (code, seconds < 10) == (0, True), (place / "up.log").read_text()
    with running(place / "data") as again:
        assert again.get("/healthz").status_code == 200


def test_an_own_database_is_used_where_one_is_named(place: Path, cluster: Cluster) -> None:
    cluster.create("elsewhere")
    url = cluster.url("elsewhere")
    with running(place / "data", DATABASE_URL=url) as product:
        ready = product.get("/readyz")
    cluster.drop("elsewhere")

    assert ready.status_code == 200
    assert not (place / "data" / "18").exists()


def test_a_database_that_is_away_is_a_reason_and_no_trace(place: Path) -> None:
    refused = command(
        "up", "--port", "0", data=place / "data", DATABASE_URL="postgresql://127.0.0.1:1/none"
    )

    assert (refused.returncode, "does not answer" in refused.stderr) == (1, True)
    assert "Traceback" not in refused.stderr


@AS_ROOT
def test_an_ordinary_user_can_run_it(place: Path) -> None:
    os.chown(place, 65534, 65534)
    with running(place / "data", prefix=NOBODY) as product:
        ready = product.get("/readyz")
        link = command("admin", "sign-in-link", "a@example.org", data=product.data, prefix=NOBODY)
        owner = (place / "data" / "18").stat().st_uid

    assert (ready.status_code, owner, link.returncode) == (200, 65534, 0)
