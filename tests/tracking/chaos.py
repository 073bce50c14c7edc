"""Rounds of `kill -9` at random moments, of edge and of PostgreSQL: nothing lost, nothing twice.

Run: python -m tests.tracking.chaos [rounds]
"""

import random
import sys
import tempfile
import threading
import time
from contextlib import ExitStack
from pathlib import Path

from flowlink.kernel import db, migrate, settings
from flowlink.kernel.postgres import EmbeddedPostgres
from flowlink.kernel.settings import Settings
from tests.factories import free_port
from tests.tracking.edges import EdgeRole, Load, check_stored, edge_role, kill_family
from tests.tracking.makers import committed_shop

ROUNDS = 20
SECONDS = 4.0
SECRET = "a-secret-key-for-rounds-of-chaos"


def rounds(count: int, *, place: Path, seconds: float, seed: int = 7) -> str:
    """Kill so often, alternately the edge and PostgreSQL; returns what was seen.

    :raises AssertionError: a click was lost or stored twice, or a visitor paid for the database.
    """
    chance = random.Random(seed)  # noqa: S311
    postgres = EmbeddedPostgres(place / "data")
    postgres.start()
    load, port = Load(), free_port()
    try:
        migrate.upgrade(postgres.url())
        settings.use(_settings(place))
        db.connect(postgres.url())
        code = committed_shop().link.code
        for number in range(count):
            with ExitStack() as running:
                role = running.enter_context(edge_role(postgres.url(), place, port=port))
                moment = chance.uniform(0.1, seconds - 0.5)
                broken = load.broken
                if number % 2:
                    load.run(f"{role.url}/l/{code}", seconds=seconds, after=moment, then=role.kill)
                else:
                    _database_round(load, role, code, postgres, seconds=seconds, moment=moment)
                    assert load.broken == broken, "a visitor noticed that the database was down"
            assert set(load.statuses) == {302}, load.statuses
        with edge_role(postgres.url(), place, port=port):
            check_stored(load)
    finally:
        db.disconnect()
        postgres.stop()
    return f"{count} kills, {len(load.numbers)} clicks answered, none lost, none twice, no 5xx"


def _database_round(
    load: Load,
    role: EdgeRole,
    code: str,
    postgres: EmbeddedPostgres,
    *,
    seconds: float,
    moment: float,
) -> None:
    """Kill the database under load, and start it here: it would die with a thread of ours."""
    thread = threading.Thread(
        target=load.run, args=(f"{role.url}/l/{code}",), kwargs={"seconds": seconds}
    )
    thread.start()
    time.sleep(moment)
    kill_family(postgres.pid)
    postgres.start()
    thread.join()


def _settings(place: Path) -> Settings:
    return Settings(
        _env_file=None,  # type: ignore[call-arg]
        base_url="http://testserver",
        admin_secret="an-admin-secret-for-chaos-only",
        secret_keys=(SECRET,),
        clicks_journal=str(place / "journal"),
    )


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as folder:
        here = Path(folder)
        here.chmod(0o755)
        wanted = int(sys.argv[1]) if len(sys.argv) > 1 else ROUNDS
        print(rounds(wanted, place=here, seconds=SECONDS))  # noqa: T201
