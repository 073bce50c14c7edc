"""One PostgreSQL for each run, on memory; fixtures for tests that roll back and that commit."""

import logging
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from itertools import count
from pathlib import Path
from typing import TYPE_CHECKING

import hypothesis
import psycopg
import pytest
import structlog
from fastapi.testclient import TestClient
from hypothesis import HealthCheck
from sqlalchemy.orm import Session

from flowlink.app import server, startup
from flowlink.kernel import clock, db, migrate, settings, worker
from flowlink.kernel.postgres import EmbeddedPostgres
from flowlink.kernel.settings import Settings
from tests.cluster import Cluster, memory_dir, start_cluster
from tests.factories import free_port

# A traceback with every local variable takes a minute to print.
structlog.configure(
    processors=[
        structlog.processors.add_log_level,
        structlog.dev.ConsoleRenderer(
            colors=False, exception_formatter=structlog.dev.plain_traceback
        ),
    ]
)

# The same examples each time, on slow machines too; `--hypothesis-profile default` draws others.
hypothesis.settings.register_profile(
    "flowlink",
    deadline=None,
    derandomize=True,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
hypothesis.settings.load_profile("flowlink")

if TYPE_CHECKING:
    from fastapi import FastAPI

_names = count(1)
_journals = ["/nowhere"]


@dataclass(frozen=True)
class Live:
    """A running product: a real server with its worker, over a database of its own."""

    url: str


def test_settings(**changes: object) -> Settings:
    """The same settings on every machine: nothing leaks in from the environment or a `.env`."""
    fixed: dict[str, object] = {
        "_env_file": None,
        "base_url": "http://testserver",
        "admin_secret": "an-admin-secret-for-tests-only",
        "secret_keys": ("a-secret-key-for-tests-only-0001",),
        "clicks_journal": _journals[-1],
        "clicks_journal_segment_mb": 2,
        "clicks_journal_free_mb": 0,
    }
    return Settings(**(fixed | changes))  # type: ignore[arg-type]


test_settings.__test__ = False  # type: ignore[attr-defined]


@pytest.fixture(autouse=True)
def _as_quiet_as_before() -> Iterator[None]:
    """A command run within a test sends all logs to the stream that this test alone captures."""
    root, configured = logging.getLogger(), structlog.get_config()
    before = root.handlers[:], root.level
    yield
    root.handlers[:], root.level = before
    structlog.configure(**configured)


@pytest.fixture(scope="session", autouse=True)
def fixed_settings() -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        for name in Settings.model_fields:
            patch.delenv(name.upper(), raising=False)
        settings.use(test_settings())
        yield


@pytest.fixture(scope="session")
def cluster(fixed_settings: None) -> Iterator[Cluster]:
    """The run's server; its database `flowlink` is migrated, seeded, and only copied from."""
    with start_cluster() as started:
        db.connect(started.url("flowlink"))
        startup.seed(now=clock.now())
        db.disconnect()
        started.create("shared")
        yield started


@pytest.fixture(scope="session")
def shared(cluster: Cluster) -> Iterator[str]:
    """The database that rolled-back tests share; connected unless a test chooses another one."""
    url = cluster.url("shared")
    db.connect(url)
    yield url
    db.disconnect()


@pytest.fixture
def session(shared: str) -> Iterator[Session]:
    """A session in a transaction that is rolled back; requests of `client` and jobs share it."""
    with db.engine().connect() as connection:
        transaction = connection.begin()
        with (
            db.bound_to(connection),
            Session(
                connection, join_transaction_mode="create_savepoint", expire_on_commit=False
            ) as opened,
        ):
            yield opened
        transaction.rollback()


@pytest.fixture(scope="session")
def app(shared: str) -> "FastAPI":
    from flowlink.app.web import create_app  # noqa: PLC0415  (heavy, and few files need it)

    return create_app()


@pytest.fixture
def client(app: "FastAPI", session: Session) -> Iterator[TestClient]:
    """A browser-like client inside the test's transaction: it sees what `session` has flushed."""
    made = TestClient(app, raise_server_exceptions=True)
    made.event_hooks = {
        "request": [lambda _: session.flush()],
        "response": [lambda _: session.expire_all()],  # the request may have changed them
    }
    with made:
        yield made


@pytest.fixture
def database(cluster: Cluster, shared: str) -> Iterator[str]:
    """A fresh database whose changes are committed: for threads, jobs and browsers."""
    name = f"test_{next(_names)}"
    cluster.create(name)
    db.connect(cluster.url(name), pool_size=20)
    with journals_of_its_own():
        yield cluster.url(name)
    db.connect(shared)
    cluster.drop(name)


@contextmanager
def journals_of_its_own() -> Iterator[None]:
    """A place for click journals: what one database has stored, another knows nothing of."""
    with memory_dir() as made:
        _journals.append(str(made))
        try:
            with chosen_settings():
                yield
        finally:
            _journals.pop()


@contextmanager
def chosen_settings(**changes: object) -> Iterator[None]:
    """Other settings while the block runs."""
    before = settings.current()
    settings.use(test_settings(**changes))
    try:
        yield
    finally:
        settings.use(before)


@contextmanager
def working() -> Iterator[None]:
    """The worker runs while the block does."""
    stop = threading.Event()
    thread = threading.Thread(target=worker.work, args=(stop,), name="worker")
    thread.start()
    try:
        yield
    finally:
        stop.set()
        thread.join(20)
    assert not thread.is_alive(), "the worker does not stop"


@pytest.fixture
def live(database: str) -> Iterator[Live]:
    """The product on a free port, with its worker, in this process."""
    port = free_port()
    url = f"http://127.0.0.1:{port}"
    with chosen_settings(base_url=url), server.in_thread(port=port), working():
        yield Live(url=url)


@pytest.fixture
def place() -> Iterator[Path]:
    """A directory in memory, for the data of a server that a test starts."""
    with memory_dir() as made:
        yield made


@pytest.fixture
def postgres_durable(tmp_path: Path) -> Iterator[EmbeddedPostgres]:
    """A migrated server of the test's own that keeps what it has committed, to be killed."""
    server = EmbeddedPostgres(tmp_path / "data")
    server.start()
    migrate.upgrade(server.url())
    with journals_of_its_own():
        yield server
    server.stop()


@pytest.fixture
def now() -> datetime:
    """The moment of the test: the real one, so that services and requests agree about it."""
    return clock.now()


@pytest.fixture
def connection(cluster: Cluster) -> Iterator["psycopg.Connection[tuple[object, ...]]"]:
    """A plain connection as the database's owner, for what the product's role may not do."""
    with psycopg.connect(cluster.url("shared"), autocommit=False) as opened:
        yield opened
        opened.rollback()
