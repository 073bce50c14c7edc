"""NATS servers of a test's own: three nodes on loopback with JetStream on disk, to be killed."""

import logging
import os
import shutil
import signal
import subprocess
import time
from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from urllib.error import HTTPError
from urllib.request import urlopen

from tests.factories import free_port
from tests.patience import LONG_S

log = logging.getLogger(__name__)

_BEHIND_S = 45.0  # twice what a loaded machine was seen to take
_RESTARTS = 3
_PATH = os.pathsep.join([os.defpath, "/usr/sbin", "/usr/local/bin"])


@dataclass
class Node:
    """One server, and the directory that holds its streams."""

    name: str
    place: Path
    routes: list[int]
    cluster_port: int
    port: int = field(default_factory=free_port)
    watch_port: int = field(default_factory=free_port)
    more: str = ""
    process: "subprocess.Popen[bytes] | None" = None

    @property
    def url(self) -> str:
        return f"nats://127.0.0.1:{self.port}"

    def start(self) -> None:
        self.place.mkdir(parents=True, exist_ok=True)
        (self.place / "conf").write_text(self._configuration())
        program = shutil.which("nats-server", path=_PATH)
        assert program, "the package nats-server is missing: make .tools/nats"
        with (self.place / "log").open("ab") as log:
            command = [program, "-c", str(self.place / "conf")]
            self.process = subprocess.Popen(command, stdout=log, stderr=log, cwd=self.place)

    def kill(self) -> None:
        """As a crash of the machine would, but what the system has to write is written."""
        self._end(signal.SIGKILL)

    def stop(self) -> None:
        self._end(signal.SIGTERM)

    def forget(self) -> None:
        """Lose the disk."""
        shutil.rmtree(self.place / "store", ignore_errors=True)

    def last_words(self) -> str:
        """What the server said at the end."""
        said = (self.place / "log").read_text(errors="replace")
        return said[said.find("panic") :][:2000] if "panic" in said else said[-2000:]

    def ailment(self, *, streams: bool = True) -> str:
        """What keeps the server from being up, or nothing; with its streams, or whatever they
        still catch up on.
        """
        question = "healthz" if streams else "healthz?js-server-only=true"
        try:
            with urlopen(f"http://127.0.0.1:{self.watch_port}/{question}", timeout=1):
                return ""
        except HTTPError as refusal:
            return refusal.read().decode(errors="replace")
        except OSError as error:
            return str(error)

    def _end(self, sign: signal.Signals) -> None:
        if self.process is not None:
            self.process.send_signal(sign)
            self.process.wait()
        self.process = None

    def _configuration(self) -> str:
        routes = ", ".join(f'"nats://127.0.0.1:{port}"' for port in self.routes)
        cluster = (
            f'cluster {{ name: test, listen: "127.0.0.1:{self.cluster_port}", routes: [{routes}] }}'
        )
        return f"""
server_name: {self.name}
listen: "127.0.0.1:{self.port}"
http: "127.0.0.1:{self.watch_port}"
jetstream {{ store_dir: "{self.place / "store"}", max_mem: 64M, max_file: 2G }}
{cluster if len(self.routes) > 1 else ""}
{self.more}
"""


@dataclass
class Nodes:
    """All of them."""

    each: list[Node]

    @property
    def urls(self) -> tuple[str, ...]:
        return tuple(node.url for node in self.each)

    def wait(self, *, streams: bool = True) -> None:
        """Until all that run say that they are well."""
        ill = self._awaited(streams=streams, seconds=LONG_S)
        assert not ill, f"NATS does not get ready: {ill}"

    def recover(self) -> None:
        """Until all that run are up again, whatever their streams still catch up on.

        One that stays behind is started anew, as its service manager would do. Nothing that is
        tested needs it: two of three nodes serve meanwhile.
        """
        for _ in range(_RESTARTS):
            ill = self._awaited(streams=False, seconds=_BEHIND_S)
            if not ill:
                return
            log.warning("NATS nodes started again: %s", ill)
            for node in self.each:
                if node.name in ill:
                    node.kill()
                    node.start()
        self.wait(streams=False)

    def _awaited(self, *, streams: bool, seconds: float) -> dict[str, str]:
        until = time.monotonic() + seconds
        while (ill := self._ill(streams=streams)) and time.monotonic() < until:
            time.sleep(0.05)
        return ill

    def _ill(self, *, streams: bool) -> dict[str, str]:
        running = [node for node in self.each if node.process is not None]
        each = {node.name: node.ailment(streams=streams) for node in running}
        return {name: ailment for name, ailment in each.items() if ailment}


@contextmanager
def running(place: Path, *, count: int, more: str = "") -> Generator[Nodes]:
    """So many nodes while the block runs, with `more` in their configuration."""
    ports = [free_port() for _ in range(count)]
    each = [Node(f"n{n}", place / f"n{n}", ports, port, more=more) for n, port in enumerate(ports)]
    nodes = Nodes(each)
    try:
        for node in each:
            node.start()
        nodes.wait()
        yield nodes
        for node in each:
            assert node.process is None or node.process.poll() is None, node.last_words()
    finally:
        for node in each:
            node.kill()
