"""`flowlink edge`: processes that answer, one that ships, and this one, which starts them again.

All are forked from here after everything is imported. They end with this process, however it ends.
"""

import ctypes
import fcntl
import gc
import os
import signal
import socket
import sys
import threading
import time
from collections.abc import Callable, Generator
from contextlib import contextmanager
from dataclasses import dataclass, field
from multiprocessing import get_context
from multiprocessing.process import BaseProcess
from pathlib import Path

from flowlink.app import server
from flowlink.app.hosts import ShortHosts
from flowlink.app.outcome import Failed
from flowlink.app.supervisor import Patience
from flowlink.kernel import db, logs
from flowlink.tracking import edge, shipping, wiring

_LOOK_S = 0.1
_STOP_S = server.STOP_S + 5
_PR_SET_PDEATHSIG = 1
_GARBAGE = 50_000
_GIVES_WAY = 5
_fork = get_context("fork")

log = logs.get("flowlink.edge")


@dataclass
class _Child:
    """A process, what it does, and how often it died."""

    name: str
    work: Callable[[], None]
    process: BaseProcess | None = None
    patience: Patience = field(default_factory=Patience)

    def start(self) -> None:
        self.process = _fork.Process(target=_run, args=(self.work, os.getpid()), name=self.name)
        self.process.start()

    def look_after(self) -> None:
        """Start it again if it died, sooner or later."""
        if self.process is not None and self.process.is_alive():
            return
        now = time.monotonic()
        if self.patience.note_death(now):
            log.error("what should run has ended", what=self.name, deaths=self.patience.deaths)
        if self.patience.may_restart(now):
            self.start()


def serve(listeners: list[socket.socket], url: str) -> None:
    """Answer on each of these sockets with a process of its own, until a signal."""
    stop = threading.Event()
    for sig in (signal.SIGINT, signal.SIGTERM):
        signal.signal(sig, lambda *_: stop.set())
    children = [_Child(f"edge-{at}", _answering(one, url)) for at, one in enumerate(listeners)]
    children.append(_Child("edge-shipper", lambda: _ship(url)))
    for child in children:
        child.start()
    while not stop.wait(_LOOK_S):
        for child in children:
            child.look_after()
    _stop(children)


@contextmanager
def alone(data: Path, port: int) -> Generator[None]:
    """Hold the role on this port: two builds would share its visitors, and nobody would know.

    :raises Failed: another process has it.
    """
    with (data / f"edge-{port}.lock").open("a") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise Failed(f"another `flowlink edge` serves port {port} already") from None
        yield


def _answering(listener: socket.socket, url: str) -> Callable[[], None]:
    def answer() -> None:
        db.connect(url, pool_size=5)
        edge.app.ships = False
        gc.set_threshold(_GARBAGE)  # a click leaves none: look for it seldom
        server.Server(server.config(ShortHosts(edge.app))).run(sockets=[listener])

    return answer


def _ship(url: str) -> None:
    stop = threading.Event()
    for sig in (signal.SIGINT, signal.SIGTERM):
        signal.signal(sig, lambda *_: stop.set())
    os.nice(_GIVES_WAY)  # visitors wait for what answers, and nobody for this
    db.connect(url, pool_size=5)
    shipping.run(wiring.journals(), new_store=wiring.new_store(), stop=stop)
    db.disconnect()


def _run(work: Callable[[], None], parent: int) -> None:
    """The life of a child."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGTERM)
    if os.getppid() == parent:  # it may have ended in between
        work()


def _stop(children: list[_Child]) -> None:
    """Answer what is open, then ship the rest; nobody gets for ever."""
    for child in children:
        if child.process is not None and child.process.is_alive():
            child.process.terminate()
            child.process.join(_STOP_S)
        if child.process is not None and child.process.is_alive():
            child.process.kill()
