"""flowlink as its users run it: a process of its own, seen from outside."""

import os
import re
import select
import signal
import subprocess
import sys
import time
from collections.abc import Generator, Mapping
from contextlib import chdir, contextmanager, redirect_stderr, redirect_stdout
from dataclasses import dataclass, field
from io import StringIO
from pathlib import Path

import httpx2
import pytest

from flowlink.app.cli import parser
from flowlink.kernel import settings
from tests.factories import free_port
from tests.patience import LONG_S

FLOWLINK = (sys.executable, "-m", "flowlink")


@dataclass
class Product:
    """A running `flowlink up`, and what it has printed so far."""

    process: "subprocess.Popen[str]"
    data: Path
    url: str
    printed: str = ""
    environment: Mapping[str, str] = field(default_factory=dict)

    @property
    def secret(self) -> str:
        found = re.search(r"x-admin-secret\): (\S+)", self.printed)
        assert found, self.printed
        return found.group(1)

    def get(self, path: str, **headers: str) -> httpx2.Response:
        return httpx2.get(self.url + path, headers=headers, timeout=LONG_S)

    def terminate(self) -> tuple[int, float]:
        """End it as a service manager does; returns exit code and seconds."""
        began = time.monotonic()
        self.process.send_signal(signal.SIGTERM)
        return self.process.wait(LONG_S), time.monotonic() - began

    def close(self) -> None:
        assert self.process.stdout is not None
        self.process.stdout.close()


def environment(home: Path, **settings: str) -> dict[str, str]:
    return {"PATH": "/usr/bin:/bin", "HOME": str(home), "PYTHONUTF8": "1"} | settings


def command(
    *arguments: str, data: Path, prefix: tuple[str, ...] = (), **settings: str
) -> "subprocess.CompletedProcess[str]":
    """Run one command to its end."""
    return subprocess.run(
        [*prefix, *FLOWLINK, *arguments, "--data", str(data)],
        cwd=data.parent,  # no `.env` there
        env=environment(data.parent, **settings),
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )


def inline(*arguments: str, data: Path) -> "subprocess.CompletedProcess[str]":
    """The same in this process, where everything is imported already: for what a command does.

    As in a process of its own nobody has chosen settings before. It chooses database and logs for
    this one; `shell` puts back what was there.
    """
    out, err = StringIO(), StringIO()
    with (
        pytest.MonkeyPatch.context() as patch,
        chdir(data.parent),
        redirect_stdout(out),
        redirect_stderr(err),
    ):
        patch.setattr(settings, "_in_use", [])
        code = parser.run([*arguments, "--data", str(data)])
    return subprocess.CompletedProcess(arguments, code, out.getvalue(), err.getvalue())


def launch(data: Path, *, prefix: tuple[str, ...] = (), **settings: str) -> Product:
    """Start `flowlink up` without waiting for it."""
    port = free_port()
    with (data.parent / "up.log").open("a") as log:
        process = subprocess.Popen(
            [*prefix, *FLOWLINK, "up", "--data", str(data), "--port", str(port)],
            cwd=data.parent,
            env=environment(data.parent, **settings),
            stdout=subprocess.PIPE,
            stderr=log,
            text=True,
        )
    return Product(process, data, f"http://127.0.0.1:{port}")


def wait_ready(product: Product) -> None:
    """Read what it prints until it says how to get in, which it does in one piece."""
    assert product.process.stdout is not None
    printed = product.process.stdout.fileno()
    until = time.monotonic() + LONG_S
    while "ready" not in product.printed:
        assert select.select([printed], [], [], until - time.monotonic())[0], "not ready in time"
        piece = os.read(printed, 65536).decode()
        log = (product.data.parent / "up.log").read_text()
        assert piece, f"flowlink up ended with {product.process.wait()}:\n{log[-3000:]}"
        product.printed += piece


@contextmanager
def running(data: Path, *, prefix: tuple[str, ...] = (), **settings: str) -> Generator[Product]:
    """The product while the block runs; it ends cleanly, however the block ends."""
    product = launch(data, prefix=prefix, **settings)
    try:
        wait_ready(product)
        yield product
    finally:
        if product.process.poll() is None:
            product.terminate()
        product.close()
