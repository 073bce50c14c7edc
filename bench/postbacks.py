"""Postbacks a second: stored, deduplicated, matched to their click and made conversions.

Ours beside the one-by-one path (each postback in two transactions of its own, on eight threads),
turn about, server, PostgreSQL and load together on two cores. Every postback is another sale; the
same one ten thousand times comes last.

Run: python -m bench.postbacks
"""

import gc
import os
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from bench.redirect import SECRET, Round, Target, ask, cpu_s, find, make_links, measure, wait_for
from bench.report import table
from flowlink.app import registry, server
from flowlink.kernel import clock, db, logs, migrate, settings
from flowlink.kernel.postgres import EmbeddedPostgres
from flowlink.kernel.settings import Settings
from flowlink.tracking import clickid, edge, intake, networks
from flowlink.tracking.clickid import ClickRef, Maker
from flowlink.tracking.edge_postbacks import Inbox
from flowlink.tracking.intake import Intake
from flowlink.tracking.postbacks import PostbackIn, PostbackResult
from tests.factories import free_port

ROUNDS = 5
ROUND_S = 5
CONNECTIONS = 256
CLICKS = 20_000
TARGET = 8_000
IDENTICAL = 10_000
OURS, RIVAL = "batches", "one by one"

LUA = """
local lines = {{}}
for line in io.lines("{clicks}") do lines[#lines + 1] = line end
local at, mark = 0, tostring(os.time()) .. tostring(math.random(1e9)) .. tostring({{}}):sub(8)
function request()
  at = at + 1
  return wrk.format("GET", lines[at % #lines + 1] .. "&txn_id=" .. mark .. at)
end
"""


class OneByOne(Intake):
    """What batches are compared with: the path that takes one postback after the other."""

    has_room = False  # the lane is for batches

    def __init__(self) -> None:
        super().__init__()
        self._threads = ThreadPoolExecutor(8)

    async def take(self, request: PostbackIn) -> PostbackResult:
        return await self.loop.run_in_executor(self._threads, intake.alone, request)


class RivalInbox(Inbox):
    """Takes all postbacks one by one."""

    def batches(self) -> Intake:
        if self._intake is None:
            self._intake = OneByOne()
        return self._intake


@dataclass(frozen=True)
class Served:
    """One of the two, and the network's key."""

    name: str
    target: Target

    @property
    def database(self) -> Target:
        """PostgreSQL alone."""
        return Target(self.target.url, self.target.processes[1:])


def main() -> None:
    if find("wrk") is None:
        print("skipped: wrk is not installed (apt-get install wrk)")
        return
    with tempfile.TemporaryDirectory() as folder:
        place = Path(folder)
        place.chmod(0o755)
        with (
            database(place) as postgres,
            serving(place, postgres, OURS) as ours,
            serving(place, postgres, RIVAL) as rival,
        ):
            compare(place, [Served(OURS, ours), Served(RIVAL, rival)])
            repeat(place, ours)


def compare(place: Path, served: list[Served]) -> None:
    """Measure both turn about and print medians and their ratio."""
    found: dict[str, list[Round]] = {one.name: [] for one in served}
    stored: dict[str, list[float]] = {one.name: [] for one in served}
    for one in served:
        measure(place, one.target, connections=CONNECTIONS, seconds=1)
    for turn in range(ROUNDS):
        for one in served if turn % 2 == 0 else reversed(served):
            (before,) = ask("SELECT count(*) FROM tracking_conversion")
            used = cpu_s(one.database)
            seen = measure(place, one.target, connections=CONNECTIONS, seconds=ROUND_S)
            used = cpu_s(one.database) - used
            (after,) = ask("SELECT count(*) FROM tracking_conversion")
            assert seen.refused == 0, f"{seen.refused} postbacks were refused"
            assert after - before >= seen.rate * ROUND_S * 0.99, "an answer without a conversion"
            found[one.name].append(seen)
            stored[one.name].append(used * 1e6 / (after - before))
    rows = []
    base = statistics.median(one.rate for one in found[RIVAL])
    for name, rounds in found.items():
        rate = statistics.median(one.rate for one in rounds)
        spread = f"{min(one.rate for one in rounds):,.0f}-{max(one.rate for one in rounds):,.0f}"
        p50 = statistics.median(one.p50_ms for one in rounds)
        p99 = statistics.median(one.p99_ms for one in rounds)
        cpu = statistics.median(one.cpu_us for one in rounds)
        theirs = statistics.median(stored[name])
        numbers = (f"{rate / base:.1f}", f"{p50:.1f}", f"{p99:.1f}", f"{cpu:.0f}", f"{theirs:.0f}")
        rows.append((name, f"{rate:,.0f}", spread, *numbers))
    cost = ("CPU us each", "PostgreSQL's part")
    header = ("postbacks/s", "median", "min-max", "ratio", "p50 ms", "p99 ms", *cost)
    title = f"{CONNECTIONS} connections, median of {ROUNDS} rounds of {ROUND_S} s"
    table(f"{title}, target {TARGET:,}", header, rows)
    (kept,) = ask("SELECT count(*) FROM tracking_postback")
    (made,) = ask("SELECT count(*) FROM tracking_conversion")
    print(f"  postbacks stored: {kept}, conversions: {made}")


def repeat(place: Path, target: Target) -> None:
    """The same postback again and again: one conversion."""
    query = (place / "clicks.txt").read_text().splitlines()[0] + "&txn_id=again"
    (place / "load.lua").write_text(f'request = function() return wrk.format("GET", "{query}") end')
    again = "WHERE txn_id = 'again'"
    kept = 0
    while kept < IDENTICAL:
        measure(place, target, connections=CONNECTIONS, seconds=2)
        (kept,) = ask("SELECT count(*) FROM tracking_postback WHERE query LIKE '%txn_id=again'")
    (made,) = ask(f"SELECT count(*) FROM tracking_conversion {again}")
    print(f"  identical postbacks: {kept:,}, conversions made of them: {made}")


@contextmanager
def database(place: Path) -> Iterator[EmbeddedPostgres]:
    """A durable PostgreSQL with links, and clicks that sales can be told of."""
    postgres = EmbeddedPostgres(place / "data")
    postgres.start()
    try:
        migrate.upgrade(postgres.url())
        settings.use(Settings(_env_file=None, secret_keys=(SECRET,)))  # type: ignore[call-arg]
        db.connect(postgres.url())
        make_links(place)
        make_clicks(place)
        yield postgres
    finally:
        db.disconnect()
        postgres.stop()


def make_clicks(place: Path) -> None:
    """Requests of the network `direct` about clicks on many links."""
    now, maker = clock.now(), Maker(1)
    with db.read() as session:
        key = networks.key_of(networks.named(session, "direct"))
    (links,) = ask("SELECT count(*) FROM tracking_link")
    with (place / "clicks.txt").open("w") as out:
        for number in range(CLICKS):
            ref = ClickRef(maker.next(now), number % links + 1, number % 50 + 1)
            query = f"network=direct&key={key}&subid={clickid.token(ref)}"
            amount = f"{number * 37 % 20_000 / 100:.2f}"
            out.write(f"/aff/postback?{query}&amount={amount}&currency=EUR&status=approved\n")
    (place / "load.lua").write_text(LUA.format(clicks=place / "clicks.txt"))


@contextmanager
def serving(place: Path, postgres: EmbeddedPostgres, name: str) -> Iterator[Target]:
    """One process with this way of taking postbacks."""
    port = free_port()
    process = subprocess.Popen(
        [sys.executable, "-m", "bench.postbacks", name, str(port)],
        env={
            "PATH": os.defpath,
            "HOME": str(place),
            "DATABASE_URL": postgres.url(),
            "SECRET_KEYS": SECRET,
            "FLOWLINK_DATA": str(place / f"edge {name}"),
        },
    )
    try:
        wait_for(port)
        yield Target(f"http://127.0.0.1:{port}", (process.pid, postgres.pid))
    finally:
        process.terminate()
        process.wait(15)


def serve(name: str, port: int) -> None:
    """What `serving` runs."""
    settings.use(settings.load())
    logs.configure()
    registry.load()
    db.connect(settings.current().database_url)
    gc.freeze()
    if name == RIVAL:
        edge.app.inbox = RivalInbox()
    server.Server(server.config(edge.app)).run(sockets=[server.listen("127.0.0.1", port)])


if __name__ == "__main__":
    with suppress(KeyboardInterrupt):
        if len(sys.argv) > 1:
            serve(sys.argv[1], int(sys.argv[2]))
        else:
            main()
