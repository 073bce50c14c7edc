"""The roles: everything at once, or pages, edge and worker apart."""

import signal
import threading
from argparse import Namespace
from collections.abc import Callable, Generator
from contextlib import contextmanager
from typing import Any

from flowlink.app import opening, server
from flowlink.app.outcome import Failed, say
from flowlink.kernel.settings import Settings


def up(arguments: Namespace) -> None:
    """Start PostgreSQL, migrate, and run all roles in this process."""
    from flowlink.app import up as everything

    everything.run(arguments)


def web(arguments: Namespace) -> None:
    """Serve everything that is asked over HTTP."""
    from flowlink.app import web as application

    _serve(arguments, lambda: application.create_app(opens_edge=True))


def edge(arguments: Namespace) -> None:
    """Serve short links and postbacks alone; with NATS_URL and no DATABASE_URL, over NATS.

    While the database is away, the links are those it knew lately.
    """
    from flowlink.app import edge_processes

    data, loaded = opening.load(arguments)
    port = loaded.port if arguments.port is None else arguments.port
    listeners = server.share(arguments.host, port, arguments.processes)
    chosen = listeners[0].getsockname()[1]
    with _edges_way(arguments, loaded, chosen) as url, edge_processes.alone(data, chosen):
        say(f"flowlink listens on {arguments.host}:{chosen}")
        edge_processes.serve(listeners, url)


@contextmanager
def _edges_way(arguments: Namespace, chosen: Settings, port: int) -> Generator[str]:
    """The database's address, which each process has connections of its own to; none over NATS."""
    if chosen.nats_url and not chosen.database_url:
        from flowlink.app import nats_way

        opening.configure(arguments, port=port)
        with nats_way.hub(chosen, name="flowlink-edge") as hub:
            nats_way.require(hub)
            say(f"flowlink has its links from NATS at {hub.servers}")
        opening.imports_done()
        yield ""
        return
    from flowlink.kernel import db

    with opening.database(arguments, port=port, may_be_away=True):
        url = db.engine().url.render_as_string(hide_password=False)
        db.disconnect()
        yield url


def worker(arguments: Namespace) -> None:
    """Work until a signal, then let running tasks finish."""
    from flowlink.kernel import worker as queue

    stop = _asked_to_stop()
    with opening.database(arguments):
        opening.check_prices()
        queue.work(stop)


def consumer(arguments: Namespace) -> None:
    """Store what edges send over NATS, and tell them the links, until a signal.

    What is at hand then is stored or left to another consumer.
    """
    _, loaded = opening.load(arguments)
    if not loaded.nats_url:
        raise Failed("NATS_URL is empty: it names the NATS servers that the edges send to")
    from flowlink.app import nats_way

    stop = _asked_to_stop()
    with opening.database(arguments), nats_way.hub(loaded, name="flowlink-consumer") as hub:
        from flowlink.tracking import nats_role

        say(f"flowlink stores what edges send over {hub.servers}")
        nats_role.run(hub, stop)


def _asked_to_stop() -> threading.Event:
    """Set by the signals that end a role."""
    stop = threading.Event()
    for sig in (signal.SIGINT, signal.SIGTERM):
        signal.signal(sig, lambda *_: stop.set())
    return stop


def _serve(arguments: Namespace, make: Callable[[], Any]) -> None:
    _, loaded = opening.load(arguments)
    port = loaded.port if arguments.port is None else arguments.port
    with (
        server.listen(arguments.host, port) as listener,
        opening.database(arguments, port=listener.getsockname()[1]),
    ):
        opening.check_prices()
        serving = server.Server(server.config(make()))
        serving.when_started = lambda: say(f"flowlink listens on {arguments.host}:{port}")
        serving.run(sockets=[listener])
