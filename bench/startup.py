"""How soon `flowlink up` answers, first and warm, and how much memory it holds when idle.

Run: python -m bench.startup
"""

import os
import signal
import statistics
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from pathlib import Path

from bench.report import table
from tests.factories import free_port

WARM_ROUNDS = 5
IDLE_S = 5
MEMORY_BUDGET_MB = 250


def start(data: Path, port: int) -> tuple["subprocess.Popen[bytes]", float]:
    """Start the product and wait for its first page; returns it with the seconds that took."""
    began = time.perf_counter()
    process = subprocess.Popen(
        [sys.executable, "-m", "flowlink", "up", "--data", str(data), "--port", str(port)],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    while time.perf_counter() - began < 60:
        assert process.poll() is None, "flowlink up ended"
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{port}/partners", timeout=5):
                return process, time.perf_counter() - began
        except (urllib.error.URLError, ConnectionError):
            time.sleep(0.01)
    raise TimeoutError("no answer within a minute")


def stop(process: "subprocess.Popen[bytes]") -> float:
    """Ask it to end; returns the seconds that took."""
    began = time.perf_counter()
    process.send_signal(signal.SIGTERM)
    assert process.wait(15) == 0, "flowlink up did not end cleanly"
    return time.perf_counter() - began


def family(pid: int) -> list[int]:
    """The process and all its descendants."""
    children: dict[int, list[int]] = {}
    for stat in Path("/proc").glob("[0-9]*/stat"):
        try:
            fields = stat.read_text().rpartition(")")[2].split()
        except (FileNotFoundError, ProcessLookupError):
            continue
        children.setdefault(int(fields[1]), []).append(int(stat.parent.name))
    found, waiting = [], [pid]
    while waiting:
        found.append(waiting.pop())
        waiting += children.get(found[-1], [])
    return found


def memory(pid: int) -> tuple[str, int, int]:
    """The process's name, and its resident and proportional memory in MB."""
    name = Path(f"/proc/{pid}/cmdline").read_bytes().replace(b"\0", b" ").decode().strip()
    values = dict(
        line.split(":", 1)
        for line in Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()[1:]
    )
    sizes = [int(values[key].split()[0]) // 1024 for key in ("Rss", "Pss")]
    return name[:60], sizes[0], sizes[1]


def main() -> None:
    with tempfile.TemporaryDirectory() as folder:
        data, port = Path(folder) / "data", free_port()
        process, first = start(data, port)
        stop(process)
        warm, stops = [], []
        for _ in range(WARM_ROUNDS):
            process, seconds = start(data, port)
            warm.append(seconds)
            if len(warm) == WARM_ROUNDS:
                time.sleep(IDLE_S)
                used = [memory(pid) for pid in family(process.pid)]
            stops.append(stop(process))
    rows = [
        ("very first answer", f"{first:.2f} s", "5 s"),
        ("warm answer, median", f"{statistics.median(warm):.2f} s", "2 s"),
        ("clean stop, median", f"{statistics.median(stops):.2f} s", "10 s"),
    ]
    table("Start and stop of `flowlink up`", ["what", "measured", "at most"], rows)
    used.append(("together", sum(row[1] for row in used), sum(row[2] for row in used)))
    shown = [(name, f"{rss} MB", f"{pss} MB") for name, rss, pss in used]
    table(f"Idle memory (budget {MEMORY_BUDGET_MB} MB PSS)", ["process", "RSS", "PSS"], shown)


if __name__ == "__main__":
    os.chdir(Path(__file__).parent.parent)
    main()
