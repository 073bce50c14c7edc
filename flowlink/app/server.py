"""The web server: uvicorn with our settings, in the foreground or in a thread."""

import threading
import time
from collections.abc import Generator
from contextlib import contextmanager

import uvicorn

STOP_S = 5  # what open requests get to finish; the whole stop stays below ten seconds


def make(*, host: str, port: int) -> uvicorn.Server:
    """A server of the whole web app, ready to run."""
    from flowlink.app.web import create_app

    config = uvicorn.Config(
        create_app(),
        host=host,
        port=port,
        log_config=None,
        access_log=False,
        server_header=False,
        date_header=False,
        timeout_graceful_shutdown=STOP_S,
        lifespan="on",
    )
    return uvicorn.Server(config)


@contextmanager
def in_thread(*, port: int, host: str = "127.0.0.1") -> Generator[None]:
    """Serve while the block runs (tests, benches)."""
    server = make(host=host, port=port)
    thread = threading.Thread(target=server.run, name="server")
    thread.start()
    try:
        while not server.started:
            assert thread.is_alive(), "the server did not start"
            time.sleep(0.005)
        yield
    finally:
        server.should_exit = True
        thread.join(STOP_S + 5)
