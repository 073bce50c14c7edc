"""`flowlink up`: PostgreSQL, worker, pages and click path: one process and a child."""

import os
import signal
import socket
from argparse import Namespace
from collections.abc import Generator
from contextlib import contextmanager
from importlib import import_module
from pathlib import Path
from types import FrameType
from typing import NoReturn

from flowlink.app import opening, server
from flowlink.app.outcome import Failed, note
from flowlink.kernel import clock, db, settings
from flowlink.kernel.postgres import EmbeddedPostgres


def run(arguments: Namespace) -> None:
    """Start everything, serve until a signal, and stop everything within ten seconds.

    :raises Failed: the port is taken, a setting is wrong, or something does not stay up.
    """
    with _stoppable():
        _, loaded = opening.load(arguments)
        port = loaded.port if arguments.port is None else arguments.port
        with server.listen(arguments.host, port) as listener:
            data = opening.configure(arguments, port=listener.getsockname()[1])
            opening.check_prices()
            first = not (data / "port").exists()
            with _postgres(data) as postgres:
                _serve(data, listener, postgres, first=first)


def _serve(
    data: Path, listener: socket.socket, postgres: EmbeddedPostgres | None, *, first: bool
) -> None:
    from flowlink.app import startup, supervisor, web, welcome  # while PostgreSQL starts

    if first:
        import_module("alembic.command")
    url = settings.current().database_url or _ready(postgres)
    opening.prepare(url)
    db.connect(url)
    app = web.create_app(opens_edge=True)
    opening.imports_done()
    startup.seed(now=clock.now())
    opening.remember_port(data, listener.getsockname()[1])
    working = supervisor.Worker()
    working.start()
    serving = supervisor.Supervisor(server.config(app), working, postgres)
    serving.when_started = lambda: welcome.show(first=first)
    serving.run(sockets=[listener])
    stopped = working.stop()
    db.disconnect()
    if not stopped:
        _leave_behind(postgres, serving.failure)
    if serving.failure:
        raise Failed(serving.failure)


def _leave_behind(postgres: EmbeddedPostgres | None, failure: str) -> NoReturn:
    """End although a task does not: its thread would keep the process for ever."""
    note(f"flowlink: {failure or 'a task took too long to end; it will run again'}")
    if postgres is not None:
        postgres.stop()
    os._exit(1 if failure else 0)


def _ready(postgres: EmbeddedPostgres | None) -> str:
    assert postgres is not None, "without DATABASE_URL there is a server of our own"
    postgres.wait()
    return postgres.url()


@contextmanager
def _stoppable() -> Generator[None]:
    """A signal before the server listens ends the start in good order too."""

    def leave(sig: int, frame: FrameType | None) -> NoReturn:
        raise SystemExit(0)

    before = {sig: signal.signal(sig, leave) for sig in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield
    finally:
        for sig, handler in before.items():
            signal.signal(sig, handler)


@contextmanager
def _postgres(data: Path) -> Generator[EmbeddedPostgres | None]:
    if settings.current().database_url:
        yield None
        return
    postgres = EmbeddedPostgres(data)
    postgres.spawn()
    try:
        yield postgres
    finally:
        postgres.stop()
