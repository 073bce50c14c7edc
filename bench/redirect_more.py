"""What else an edge has to hold: an even pace, the same pace without a database, two processes."""

import os
import statistics
import subprocess
import sys
import time
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from signal import SIGCONT, SIGSTOP
from typing import Protocol

from bench.report import table
from bench.startup import family

ROUNDS = 5
ROUND_S = 3
RATE = 10_000
LINES = 64
LOAD_CORE = 1


class Measured(Protocol):
    """What was put on the server's core."""

    @property
    def url(self) -> str: ...

    @property
    def processes(self) -> tuple[int, ...]: ...

    def settle(self) -> object: ...


@dataclass(frozen=True)
class Pace:
    """What visitors saw who came at a steady rate."""

    answered: int
    refused: int
    p50_ms: float
    p99_ms: float
    p999_ms: float


def show(place: Path, target: Measured) -> None:
    """Measure and print."""
    steady = [open_loop(place, target) for _ in range(ROUNDS)]
    target.settle()
    away = [without_database(place, target) for _ in range(ROUNDS)]
    target.settle()
    header = ("open loop", "asked/s", "answered/s", "p50 ms", "p99 ms", "p99.9 ms", "not 302")
    rows = [summed("all well", steady), summed("PostgreSQL stopped", away)]
    table(f"{LINES} connections, median of {ROUNDS} rounds of {ROUND_S} s", header, rows)


def summed(name: str, found: list[Pace]) -> tuple[object, ...]:
    def median(part: str) -> float:
        return float(statistics.median(getattr(one, part) for one in found))

    rate = median("answered") / ROUND_S
    times = (f"{median(part):.2f}" for part in ("p50_ms", "p99_ms", "p999_ms"))
    return (name, f"{RATE:,}", f"{rate:,.0f}", *times, sum(one.refused for one in found))


def open_loop(place: Path, target: Measured) -> Pace:
    command = ["taskset", "-c", str(LOAD_CORE), sys.executable, "-m", "bench.open_loop"]
    command += [target.url.removeprefix("http://"), str(place / "codes.txt")]
    command += [str(RATE), str(ROUND_S), str(LINES)]
    done = subprocess.run(command, check=True, capture_output=True, text=True)
    answered, refused, p50, p99, p999 = done.stdout.split()
    return Pace(int(answered), int(refused), float(p50), float(p99), float(p999))


def without_database(place: Path, target: Measured) -> Pace:
    """The same while every process of PostgreSQL is stopped: it neither answers nor refuses."""
    stopped = family(target.processes[1])
    signal_all(stopped, SIGSTOP)
    try:
        return open_loop(place, target)
    finally:
        signal_all(stopped, SIGCONT)
        time.sleep(0.2)


def signal_all(pids: list[int], signal: int) -> None:
    for pid in pids:
        with suppress(ProcessLookupError):
            os.kill(pid, signal)
