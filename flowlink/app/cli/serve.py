"""The roles: everything at once, or pages, edge and worker apart."""

import signal
import threading
from argparse import Namespace
from collections.abc import Callable
from typing import Any

from flowlink.app import opening, server
from flowlink.app.outcome import say


def up(arguments: Namespace) -> None:
    """Start PostgreSQL, migrate, and run all roles in this process."""
    from flowlink.app import up as everything

    everything.run(arguments)


def web(arguments: Namespace) -> None:
    """Serve everything that is asked over HTTP."""
    from flowlink.app import web as application

    _serve(arguments, lambda: application.create_app(opens_edge=True))


def edge(arguments: Namespace) -> None:
    """Serve short links and postbacks alone; while the database is away, links it knew lately."""
    from flowlink.app import edge_processes
    from flowlink.kernel import db

    data, loaded = opening.load(arguments)
    port = loaded.port if arguments.port is None else arguments.port
    listeners = server.share(arguments.host, port, arguments.processes)
    chosen = listeners[0].getsockname()[1]
    with (
        opening.database(arguments, port=chosen, may_be_away=True),
        edge_processes.alone(data, chosen),
    ):
        url = db.engine().url.render_as_string(hide_password=False)
        db.disconnect()  # each process has connections of its own
        say(f"flowlink listens on {arguments.host}:{chosen}")
        edge_processes.serve(listeners, url)


def worker(arguments: Namespace) -> None:
    """Work until a signal, then let running tasks finish."""
    from flowlink.kernel import worker as queue

    stop = threading.Event()
    for sig in (signal.SIGINT, signal.SIGTERM):
        signal.signal(sig, lambda *_: stop.set())
    with opening.database(arguments):
        queue.work(stop)


def _serve(arguments: Namespace, make: Callable[[], Any]) -> None:
    _, loaded = opening.load(arguments)
    port = loaded.port if arguments.port is None else arguments.port
    with (
        server.listen(arguments.host, port) as listener,
        opening.database(arguments, port=listener.getsockname()[1]),
    ):
        serving = server.Server(server.config(make()))
        serving.when_started = lambda: say(f"flowlink listens on {arguments.host}:{port}")
        serving.run(sockets=[listener])
