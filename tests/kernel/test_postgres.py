"""The embedded server: starts anywhere, belongs to one process, survives whatever kills it."""

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest

from flowlink.kernel.postgres import AlreadyRunning, EmbeddedPostgres, running_url
from flowlink.kernel.postgres_programs import PostgresError

AS_ROOT = pytest.mark.skipif(os.geteuid() != 0, reason="only root can become somebody else")
HOLD = """
import sys, time
from pathlib import Path
from flowlink.kernel.postgres import EmbeddedPostgres
server = EmbeddedPostgres(Path(sys.argv[1]))
server.start()
print(server.url(), server.pid, flush=True)
time.sleep(60)
"""


@pytest.fixture
def server(place: Path) -> Iterator[EmbeddedPostgres]:
    made = EmbeddedPostgres(place / "data")
    yield made
    made.stop()


def value(url: str, query: str) -> object:
    with psycopg.connect(url) as connection:
        row = connection.execute(query.encode()).fetchone()
    assert row is not None
    return row[0]


def hold(data: Path, *prefix: str) -> "subprocess.Popen[str]":
    command = [*prefix, sys.executable, "-c", HOLD, str(data)]
    return subprocess.Popen(command, stdout=subprocess.PIPE, text=True)


def test_it_starts_where_nothing_was_and_again_with_what_was_written(
    server: EmbeddedPostgres,
) -> None:
    server.start()
    with psycopg.connect(server.url()) as connection:
        connection.execute("CREATE TABLE kept AS SELECT 'été' AS word")
    server.stop()

    server.start()

    assert value(server.url(), "SELECT word FROM kept") == "été"
    assert value(server.url(), "SELECT current_user || ' ' || current_database()") == (
        "flowlink flowlink"
    )


def test_a_half_made_cluster_does_not_count(server: EmbeddedPostgres) -> None:
    (server.data / ".initializing" / "base").mkdir(parents=True)

    server.start()

    assert value(server.url(), "SELECT 1") == 1


def test_only_one_process_may_have_the_data(server: EmbeddedPostgres) -> None:
    server.start()

    with pytest.raises(AlreadyRunning, match="already runs on"):
        EmbeddedPostgres(server.data).start()

    assert value(server.url(), "SELECT 1") == 1


def test_others_find_it_while_it_runs_and_only_then(server: EmbeddedPostgres) -> None:
    before = running_url(server.data)
    server.start()
    during = running_url(server.data)
    url = server.url()
    server.stop()

    assert (before, during, running_url(server.data)) == (None, url, None)


def test_a_killed_server_starts_again_at_once(server: EmbeddedPostgres) -> None:
    server.start()
    with psycopg.connect(server.url()) as connection:
        connection.execute("CREATE TABLE kept AS SELECT 42 AS number")
    for _ in range(3):
        os.kill(server.pid, signal.SIGKILL)

        server.start()

        assert value(server.url(), "SELECT number FROM kept") == 42


def test_it_ends_with_a_killed_parent_and_starts_under_the_next(
    server: EmbeddedPostgres,
) -> None:
    parent = hold(server.data)
    assert parent.stdout is not None
    url, pid = parent.stdout.readline().split()
    with psycopg.connect(url) as connection:
        connection.execute("CREATE TABLE kept AS SELECT 42 AS number")
    parent.kill()
    parent.communicate()

    server.start()

    assert value(server.url(), "SELECT number FROM kept") == 42
    assert not Path(f"/proc/{pid}/exe").exists()


def test_a_pid_that_now_belongs_to_a_stranger_is_no_server(server: EmbeddedPostgres) -> None:
    server.start()
    file = server.cluster / "postmaster.pid"
    left, account = file.read_text().split("\n", 1), file.stat().st_uid
    server.stop()
    with subprocess.Popen(["/bin/sleep", "60"], user=account) as stranger:
        file.write_text(f"{stranger.pid}\n{left[1]}")

        server.start()
        stranger.kill()

    assert value(server.url(), "SELECT 1") == 1


def test_a_path_too_long_for_a_socket_still_works(place: Path) -> None:
    server = EmbeddedPostgres(place / ("long" * 25))
    server.start()
    try:
        assert value(server.url(), "SELECT 1") == 1
    finally:
        server.stop()


def test_why_it_cannot_start_is_said(server: EmbeddedPostgres) -> None:
    server.start()
    server.stop()
    (server.cluster / "postgresql.conf").write_text("no_such_setting_xyz = 1\n")

    with pytest.raises(PostgresError, match="no_such_setting_xyz"):
        server.start()


def test_data_that_cannot_be_used_is_said(place: Path) -> None:
    (place / "file").touch()

    with pytest.raises(PostgresError, match="cannot be used"):
        EmbeddedPostgres(place / "file" / "data").start()


@AS_ROOT
def test_root_leaves_the_directories_above_shut(place: Path) -> None:
    above = place / "above"
    above.mkdir(mode=0o700)
    server = EmbeddedPostgres(above / "data")
    server.start()
    try:
        owner = Path(f"/proc/{server.pid}").stat().st_uid
        assert (owner != 0, value(server.url(), "SELECT 1")) == (True, 1)
    finally:
        server.stop()
    assert above.stat().st_mode & 0o777 == 0o700


@AS_ROOT
def test_another_user_of_the_machine_is_not_let_in(server: EmbeddedPostgres) -> None:
    server.start()
    reader = "import sys, psycopg; psycopg.connect(sys.argv[1])"
    command = ["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups"]

    tried = subprocess.run(
        [*command, sys.executable, "-c", reader, server.url()],
        capture_output=True,
        text=True,
        check=False,
    )

    assert "Permission denied" in tried.stderr
