"""The web server: uvicorn with our settings, in the foreground or in a thread."""

import signal
import socket
import threading
import time
from collections.abc import Callable, Generator
from contextlib import contextmanager
from typing import Any

import uvicorn

from flowlink.app.outcome import Failed

STOP_S = 4  # what open requests get to finish; the whole stop stays below ten seconds
BUILD_HEADER = "x-flowlink-build"
_BACKLOG = 2048


class Server(uvicorn.Server):
    """A server that treats a signal as the wish to end well, and calls back once it listens."""

    when_started: Callable[[], object] | None = None

    @contextmanager
    def capture_signals(self) -> Generator[None]:
        """Take signals as uvicorn does, but do not raise them again after a clean stop."""
        if threading.current_thread() is not threading.main_thread():
            yield
            return
        wanted = (signal.SIGINT, signal.SIGTERM)
        before = {sig: signal.signal(sig, self.handle_exit) for sig in wanted}
        try:
            yield
        finally:
            for sig, handler in before.items():
                signal.signal(sig, handler)

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        if self.started and self.when_started:
            self.when_started()


def config(app: Any) -> uvicorn.Config:
    """How every role serves. Forwarded headers are the app's own business (TRUSTED_PROXIES).

    The build stands in a header: of two processes on one port one may be an old one.
    """
    from flowlink.app import build
    from flowlink.tracking.postback_lane import InboxProtocol

    return uvicorn.Config(
        app,
        http=InboxProtocol,
        headers=[(BUILD_HEADER, build.id_of())],
        log_config=None,
        log_level="warning",
        access_log=False,
        server_header=False,
        date_header=True,
        proxy_headers=False,
        timeout_graceful_shutdown=STOP_S,
        backlog=_BACKLOG,
    )


def listen(host: str, port: int) -> socket.socket:
    """Take the port, before anything else is started.

    :raises Failed: somebody else has it, or it may not be taken.
    """
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    listener = socket.socket(family, socket.SOCK_STREAM)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind((host, port))
        listener.listen(_BACKLOG)
    except OSError as error:
        listener.close()
        raise Failed(f"cannot listen on {host}:{port}: {error.strerror}; try --port") from None
    return listener


def share(host: str, port: int, count: int) -> list[socket.socket]:
    """Take the port for several processes, each with a queue of its own.

    The system would let anybody of the same user join, an old process that was forgotten too: so
    the port has to be free first.

    :raises Failed: somebody else has it, or it may not be taken.
    """
    first = listen(host, port)
    family = first.family
    chosen = first.getsockname()[1]
    first.close()
    shared = []
    for _ in range(count):
        one = socket.socket(family, socket.SOCK_STREAM)
        one.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        one.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        one.bind((host, chosen))
        one.listen(_BACKLOG)
        shared.append(one)
    return shared


@contextmanager
def in_thread(*, port: int, host: str = "127.0.0.1") -> Generator[None]:
    """Serve the whole web app while the block runs (tests, benches)."""
    from flowlink.app import web

    serving = Server(config(web.create_app()))
    listener = listen(host, port)
    arguments = {"sockets": [listener]}
    thread = threading.Thread(target=serving.run, kwargs=arguments, name="server")
    thread.start()
    try:
        while not serving.started:
            assert thread.is_alive(), "the server did not start"
            time.sleep(0.005)
        yield
    finally:
        serving.should_exit = True
        thread.join(STOP_S + 5)
