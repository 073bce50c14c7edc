"""So many requests a second, come what may: each is timed from when it was due, not when it left.

wrk asks again when it was answered, so a slow server slows its own test down. This does not: what
finds no free connection waits, and the wait counts.

Run: python -m bench.open_loop HOST:PORT CODES RATE SECONDS CONNECTIONS
"""

import asyncio
import random
import sys
import time
from collections import deque
from contextlib import suppress
from pathlib import Path
from typing import cast

import uvloop

_WARM_S = 0.5
_TICK_S = 0.001
_LATE_S = 20.0


class Line(asyncio.Protocol):
    """A connection that asks one thing at a time."""

    def __init__(self, load: "Load") -> None:
        self._load = load
        self._due = 0.0
        self._received = b""
        self.transport: asyncio.Transport

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast("asyncio.Transport", transport)  # uvloop's is none by its class
        self._load.free.append(self)

    def ask(self, request: bytes, due: float) -> None:
        self._due = due
        self.transport.write(request)

    def data_received(self, data: bytes) -> None:
        self._received += data
        if not self._received.endswith(b"\r\n\r\n"):
            return
        well = self._received.startswith(b"HTTP/1.1 302")
        self._received = b""
        self._load.answered(self, self._due, well=well)


class Load:
    """Requests that fall due at a steady rate."""

    def __init__(self, requests: list[bytes]) -> None:
        self._requests = requests
        self._waiting: deque[float] = deque()
        self.free: deque[Line] = deque()
        self.took: list[float] = []
        self.counted_from = 0.0
        self.refused = 0

    async def run(self, host: str, port: int, *, rate: int, seconds: float, lines: int) -> None:
        loop = asyncio.get_running_loop()
        for _ in range(lines):
            await loop.create_connection(lambda: Line(self), host, port)
        began = time.perf_counter()
        self.counted_from = began + _WARM_S
        for number in range(int(rate * (seconds + _WARM_S))):
            due = began + number / rate
            wait_s = due - time.perf_counter()
            if wait_s > 0:
                await asyncio.sleep(wait_s if wait_s > _TICK_S else 0)
            self._go(due)
        with suppress(TimeoutError):
            async with asyncio.timeout(_LATE_S):
                await self.idle(lines)

    async def idle(self, lines: int) -> None:
        """Wait for the last answers."""
        while len(self.free) < lines:  # noqa: ASYNC110
            await asyncio.sleep(0.01)

    def answered(self, line: Line, due: float, *, well: bool) -> None:
        if due >= self.counted_from:
            self.took.append(time.perf_counter() - due)
        self.refused += not well
        self.free.append(line)
        if self._waiting:
            self._go(self._waiting.popleft())

    def _go(self, due: float) -> None:
        if self.free:
            self.free.popleft().ask(random.choice(self._requests), due)  # noqa: S311
        else:
            self._waiting.append(due)


def requests(codes: list[str]) -> list[bytes]:
    """A thousand made beforehand: codes, browsers, referring pages and visitors mixed."""
    made = []
    for _ in range(1000):
        major, minor = random.randint(100, 140), random.randint(0, 80)  # noqa: S311
        address = f"203.0.{random.randint(0, 255)}.{random.randint(1, 254)}"  # noqa: S311
        made.append(
            f"GET {random.choice(codes)} HTTP/1.1\r\nHost: x\r\n"  # noqa: S311
            "User-Agent: Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) "
            f"Chrome/{major}.0.{minor}.0 Safari/537.36\r\n"
            f"Referer: https://blog{minor}.example/post\r\n"
            f"X-Forwarded-For: {address}\r\n\r\n".encode()
        )
    return made


def main() -> None:
    place, codes, rate, seconds, lines = sys.argv[1:]
    host, _, port = place.rpartition(":")
    load = Load(requests(Path(codes).read_text().split()))
    work = load.run(host, int(port), rate=int(rate), seconds=float(seconds), lines=int(lines))
    uvloop.run(work)
    took = sorted(load.took)
    p50, p99, p999 = (took[int(len(took) * part)] * 1000 for part in (0.5, 0.99, 0.999))
    print(f"{len(took)} {load.refused} {p50:.2f} {p99:.2f} {p999:.2f}")


if __name__ == "__main__":
    main()
