"""Durable redirects a second, against nginx doing the same look-up without keeping anything.

Both serve the same ten thousand codes from core 0 (ours with its PostgreSQL), wrk asks from
core 1, turn about. nginx: a `map` of the codes, 302, buffered access log.

Run: python -m bench.redirect
"""

import os
import re
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from urllib.error import HTTPError, URLError
from urllib.request import urlopen

from sqlalchemy import text

from bench import redirect_more
from bench.report import table
from bench.startup import family
from flowlink.app import registry
from flowlink.identity import service as identity
from flowlink.identity.ids import UserId
from flowlink.kernel import clock, db, migrate, settings
from flowlink.kernel.postgres import EmbeddedPostgres
from flowlink.kernel.settings import Settings
from flowlink.partners import service as partners
from flowlink.tracking import names, service as tracking, shipping, wiring
from tests.factories import free_port

ROUNDS = 5
ROUND_S = 3
LINKS = 10_000
_SIZE = """
SELECT sum(pg_total_relation_size(inhrelid)) FROM pg_inherits
WHERE inhparent = 'tracking_click'::regclass
"""
CONNECTIONS = (64, 256)
SECRET = "a-secret-key-for-benchmarks-only"  # noqa: S105
SERVER_CORE, LOAD_CORE = 0, 1

EDGE = (sys.executable, "-m", "flowlink", "edge")

NGINX = """
worker_processes 1;
daemon off;
pid {folder}/nginx.pid;
error_log {folder}/error.log;
events {{ worker_connections 4096; }}
http {{
  access_log {folder}/access.log combined buffer=64k;
  client_body_temp_path {folder}/body; proxy_temp_path {folder}/proxy;
  fastcgi_temp_path {folder}/fastcgi; uwsgi_temp_path {folder}/uwsgi; scgi_temp_path {folder}/scgi;
  map_hash_max_size 65536; map_hash_bucket_size 128;
  keepalive_requests 100000000;
  map $uri $destination {{
    default "";
    include {folder}/codes.map;
  }}
  server {{
    listen 127.0.0.1:{port} backlog=4096;
    location /l/ {{
      if ($destination = "") {{ return 404; }}
      add_header Cache-Control no-store;
      return 302 $destination?subid=$request_id;
    }}
  }}
}}
"""

# A thousand requests made beforehand: codes, browsers, referring pages and visitors mixed.
LUA = """
local lines = {{}}
for line in io.lines("{codes}") do lines[#lines + 1] = line end
local requests, at = {{}}, 0
function init(args)
  math.randomseed(7)
  for i = 1, 1000 do
    local agent = "Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) "
      .. string.format("Chrome/%d.0.%d.0 Safari/537.36", math.random(100, 140), math.random(0, 80))
    requests[i] = wrk.format("GET", lines[math.random(#lines)], {{
      ["User-Agent"] = agent,
      ["Referer"] = "https://blog" .. math.random(200) .. ".example/post",
      ["X-Forwarded-For"] = "203.0." .. math.random(0, 255) .. "." .. math.random(1, 254),
    }})
  end
end
function request() at = at % 1000 + 1; return requests[at] end
"""


@dataclass(frozen=True)
class Target:
    """Something that redirects, and the processes whose time it costs.

    `settle` returns when everything that was answered is done with.
    """

    url: str
    processes: tuple[int, ...]
    settle: Callable[[], object] = lambda: None


@dataclass(frozen=True)
class Round:
    """What wrk saw, and what it cost."""

    rate: float
    p50_ms: float
    p99_ms: float
    cpu_us: float
    refused: int


def main() -> None:
    missing = [program for program in ("wrk", "nginx") if find(program) is None]
    if missing:
        print(f"skipped: {' and '.join(missing)} not installed (apt-get install nginx-light wrk)")
        return
    if len(os.sched_getaffinity(0)) < 2:
        print("skipped: one core for the server and one for the load are needed")
        return
    with tempfile.TemporaryDirectory() as folder:
        place = Path(folder)
        place.chmod(0o755)
        with product(place) as ours, nginx(place) as theirs:
            compare(place, {"flowlink edge, durable": ours, "nginx map + log": theirs})
            redirect_more.show(place, ours)
            side_by_side(place)


def find(program: str) -> str | None:
    return shutil.which(program) or shutil.which(program, path="/usr/sbin")


def compare(place: Path, targets: "dict[str, Target]") -> None:
    """Measure all targets turn about and print medians and ratios."""
    for target in targets.values():
        measure(place, target, connections=64, seconds=1)
    for connections in CONNECTIONS:
        found: dict[str, list[Round]] = {name: [] for name in targets}
        for turn in range(ROUNDS):
            order = list(targets.items())
            for name, target in order if turn % 2 == 0 else reversed(order):
                found[name].append(measure(place, target, connections=connections, seconds=ROUND_S))
        show(found, connections)
    (stored,) = ask("SELECT count(*) FROM tracking_click")
    (counted,) = ask("SELECT sum(valid + flagged) FROM tracking_click_day")
    print(f"  clicks stored: {stored}, in the rollups: {counted}")
    (size,) = ask(_SIZE)
    print(f"  bytes a click with its indexes, rollups apart: {size / stored:.1f} (at most 110)")


def show(found: dict[str, list[Round]], connections: int) -> None:
    rows = []
    base = statistics.median(one.rate for one in found["nginx map + log"])
    for name, rounds in found.items():
        rate = statistics.median(one.rate for one in rounds)
        spread = f"{min(one.rate for one in rounds):,.0f}-{max(one.rate for one in rounds):,.0f}"
        p50 = statistics.median(one.p50_ms for one in rounds)
        p99 = statistics.median(one.p99_ms for one in rounds)
        cpu = statistics.median(one.cpu_us for one in rounds)
        refused = sum(one.refused for one in rounds)
        numbers = (f"{rate / base:.3f}", f"{p50:.2f}", f"{p99:.2f}", f"{cpu:.1f}", refused)
        rows.append((name, f"{rate:,.0f}", spread, *numbers))
    header = (
        "redirects/s",
        "median",
        "min-max",
        "ratio",
        "p50 ms",
        "p99 ms",
        "CPU us each",
        "not 302",
    )
    table(f"{connections} connections, median of {ROUNDS} rounds of {ROUND_S} s", header, rows)


def measure(place: Path, target: Target, *, connections: int, seconds: int) -> Round:
    program = find("wrk")
    assert program is not None
    command = [program, "-t1", f"-c{connections}", f"-d{seconds}s", "--latency"]
    command += ["--timeout", "10s", "-s", str(place / "load.lua"), target.url]
    before = cpu_s(target)
    printed = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    target.settle()
    spent = cpu_s(target) - before

    def number(pattern: str, default: str = "") -> str:
        match = re.search(pattern, printed)
        assert match or default, printed
        return match[1] if match else default

    return Round(
        rate=float(number(r"Requests/sec:\s+([\d.]+)")),
        p50_ms=milliseconds(number(r"50%\s+([\d.]+\w+)")),
        p99_ms=milliseconds(number(r"99%\s+([\d.]+\w+)")),
        cpu_us=spent * 1e6 / max(int(number(r"(\d+) requests in")), 1),
        refused=int(number(r"Non-2xx or 3xx responses: (\d+)", "0")),
    )


def cpu_s(target: Target) -> float:
    """Seconds of CPU that the target's processes, children included, have used so far."""
    ticks = 0
    for pid in {one for root in target.processes for one in family(root)}:
        with suppress(FileNotFoundError, ProcessLookupError):
            fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
            ticks += int(fields[11]) + int(fields[12])
    return ticks / os.sysconf("SC_CLK_TCK")


def milliseconds(text_: str) -> float:
    match = re.fullmatch(r"([\d.]+)(us|ms|s)", text_)
    assert match, text_
    return float(match[1]) * {"us": 0.001, "ms": 1.0, "s": 1000.0}[match[2]]


@contextmanager
def product(place: Path) -> Iterator[Target]:
    """The edge with its shipper and a durable PostgreSQL, all on the server's core."""
    everywhere = os.sched_getaffinity(0)
    os.sched_setaffinity(0, {SERVER_CORE})
    postgres = EmbeddedPostgres(place / "data")
    postgres.start()
    try:
        migrate.upgrade(postgres.url())
        data = place / "edge"
        chosen = Settings(_env_file=None, secret_keys=(SECRET,), flowlink_data=data)  # type: ignore[call-arg]
        settings.use(chosen)
        db.connect(postgres.url())
        make_links(place)
        with edge(data, postgres.url(), cores={SERVER_CORE}) as (url, pid):
            yield Target(url, (pid, postgres.pid), all_stored)
    finally:
        db.disconnect()
        postgres.stop()
        os.sched_setaffinity(0, everywhere)


@contextmanager
def edge(
    data: Path, database_url: str, *, cores: set[int], processes: int = 1
) -> Iterator[tuple[str, int]]:
    """`flowlink edge` on these cores: its address, and the process that has all the others."""
    port = free_port()
    os.sched_setaffinity(0, cores)
    process = subprocess.Popen(
        [*EDGE, "--port", str(port), "--processes", str(processes)],
        env={
            "PATH": os.defpath,
            "HOME": str(data.parent),
            "DATABASE_URL": database_url,
            "SECRET_KEYS": SECRET,
            "FLOWLINK_DATA": str(data),
        },
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    os.sched_setaffinity(0, {LOAD_CORE})
    try:
        wait_for(port)
        yield f"http://127.0.0.1:{port}", process.pid
    finally:
        process.terminate()
        process.wait(15)


def side_by_side(place: Path) -> None:
    """One process and two, both free to use both cores as the load is, turn about.

    There is no third core for the load: so what tells is the CPU time that a click costs those who
    answer. If two cost as much as one, twice the cores answer twice the clicks.
    """
    url, cores = db.engine().url.render_as_string(hide_password=False), {SERVER_CORE, LOAD_CORE}
    found: dict[int, list[Round]] = {1: [], 2: []}
    with (
        edge(place / "one", url, cores=cores) as one,
        edge(place / "two", url, cores=cores, processes=2) as two,
    ):
        targets = {
            count: Target(address, tuple(sorted(family(pid))[1 : 1 + count]))
            for count, (address, pid) in ((1, one), (2, two))
        }
        for turn in range(ROUNDS):
            for count in (1, 2) if turn % 2 == 0 else (2, 1):
                found[count].append(measure(place, targets[count], connections=64, seconds=ROUND_S))
    rows = []
    linear = [a.cpu_us / b.cpu_us for a, b in zip(found[1], found[2], strict=True)]
    for count, rounds in found.items():
        rate = statistics.median(one.rate for one in rounds)
        cost = statistics.median(one.cpu_us for one in rounds)
        share = f"{statistics.median(linear):.2f}" if count == 2 else ""
        rows.append((f"{count} answering", f"{rate:,.0f}", f"{cost:.1f}", share))
    header = ("processes", "redirects/s, load included", "CPU us to answer", "of linear")
    table(f"64 connections, both cores, median of {ROUNDS} rounds of {ROUND_S} s", header, rows)


def all_stored() -> None:
    """Wait until what was answered is in PostgreSQL: its cost belongs to the clicks."""
    assert shipping.flush(wiring.journals(), new_store=wiring.new_store(), patience_s=120) == 0


def make_links(place: Path) -> None:
    """Ten thousand links of fifty partners, and the same codes for nginx and wrk."""
    registry.load()
    now = clock.now()
    codes = [names.random_code() for _ in range(LINKS)]
    with db.write() as session:
        tracking.seed(session, base_url="http://127.0.0.1", now=now)
        for number in range(50):
            user = identity.ensure_user(session, email=f"b{number}@example.org", now=now)
            partners.ensure_active(session, user_id=UserId(user.id), now=now)
        session.execute(
            text(
                "INSERT INTO tracking_link (code, partner_id, offer_id, destination, created_at)"
                " SELECT code, (SELECT id FROM partners_partner WHERE number = n % 50 + 1),"
                " (SELECT id FROM tracking_offer WHERE name = 'default'),"
                " 'https://shop' || n % 97 || '.example/p/' || n, :now"
                " FROM unnest(CAST(:codes AS text[])) WITH ORDINALITY AS c (code, n)"
            ),
            {"codes": codes, "now": now},
        )
        session.execute(text("ANALYZE tracking_link"))
    lines = [f"/l/{code} https://shop{n % 97}.example/p/{n};" for n, code in enumerate(codes, 1)]
    (place / "codes.map").write_text("\n".join(lines))
    (place / "codes.txt").write_text("\n".join(f"/l/{code}" for code in codes))
    (place / "load.lua").write_text(LUA.format(codes=place / "codes.txt"))


@contextmanager
def nginx(place: Path) -> Iterator[Target]:
    """One worker of nginx on the server's core."""
    port = free_port()
    (place / "nginx.conf").write_text(NGINX.format(folder=place, port=port))
    program = find("nginx")
    assert program is not None
    command = ["taskset", "-c", str(SERVER_CORE), program, "-c", str(place / "nginx.conf")]
    process = subprocess.Popen(
        [*command, "-e", str(place / "error.log")], stderr=subprocess.DEVNULL
    )
    try:
        wait_for(port)
        yield Target(f"http://127.0.0.1:{port}", (process.pid,))
    finally:
        process.terminate()
        process.wait(15)


def wait_for(port: int) -> None:
    for _ in range(400):
        try:
            with urlopen(f"http://127.0.0.1:{port}/l/nobody", timeout=5):
                return
        except HTTPError:
            return
        except (URLError, ConnectionError):
            time.sleep(0.05)
    raise TimeoutError("no answer")


def ask(query: str) -> tuple[int, ...]:
    with db.read() as session:
        return tuple(int(value) for value in session.execute(text(query)).one())


if __name__ == "__main__":
    with suppress(KeyboardInterrupt):
        main()
