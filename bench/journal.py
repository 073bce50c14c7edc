"""Durable appends a second to the click journal, against a file that grows and is synced.

Both on the same disk, turn about, behind the same group commit: only how the bytes go down differs.
Then what shipping costs: reading back, and storing with counts and position in PostgreSQL.

Run: python -m bench.journal [directory]
"""

import asyncio
import os
import secrets
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path

from bench.report import table
from flowlink.kernel import clock, db, migrate, settings
from flowlink.kernel.postgres import EmbeddedPostgres
from flowlink.kernel.settings import Settings
from flowlink.tracking import click_record, clickid, journal_format as form
from flowlink.tracking.click_store import ClickStore
from flowlink.tracking.clicks import Row
from flowlink.tracking.journal import Journal
from flowlink.tracking.journal_reader import Reader
from flowlink.tracking.journal_writer import Bounds, Writer
from flowlink.tracking.shipper import Pace, Shipper

ROUNDS = 5
ROUND_S = 2.0
SENDERS = (1, 64, 256)
OPEN_LOOP = 10_000
CLICKS = 200_000
RECORD = os.urandom(200)
BOUNDS = Bounds(free_bytes_min=0)

Figures = tuple[float, float, float, float]  # a second, p50 ms, p99 ms, CPU in microseconds


class Growing(Writer):
    """The same pen on a file that grows with each batch, as most logs do."""

    def __init__(self, root: Path, *, bounds: Bounds) -> None:
        super().__init__(root, bounds=bounds)
        flags = os.O_CREAT | os.O_WRONLY | os.O_APPEND
        self._growing = os.open(self.directory / "growing", flags, 0o600)

    def put(self, records: Sequence[bytes], *, size: int) -> None:
        os.write(self._growing, form.pack_frames(records, salt=b"salt", sequence=0))
        os.fsync(self._growing)

    def close(self) -> None:
        os.close(self._growing)
        super().close()


async def closed_loop(journal: Journal, senders: int) -> Figures:
    """So many senders, each with one record under way."""
    took: list[float] = []
    until = time.perf_counter() + ROUND_S

    async def sender() -> None:
        while (began := time.perf_counter()) < until:
            await journal.append(RECORD)
            took.append(time.perf_counter() - began)

    return await measured(asyncio.gather(*(sender() for _ in range(senders))), took)


async def open_loop(journal: Journal, rate: int) -> Figures:
    """So many records a second, come what may; timed from when each was due."""
    took: list[float] = []
    senders: set[asyncio.Task[None]] = set()

    async def sender(due: float) -> None:
        await journal.append(RECORD)
        took.append(time.perf_counter() - due)

    async def arrivals() -> None:
        began = time.perf_counter()
        for number in range(int(rate * ROUND_S)):
            due = began + number / rate
            if due - time.perf_counter() > 0.001:
                await asyncio.sleep(due - time.perf_counter())
            task = asyncio.create_task(sender(due))
            senders.add(task)
            task.add_done_callback(senders.discard)
        await asyncio.gather(*senders)

    return await measured(arrivals(), took)


async def measured(work: "asyncio.Future[object] | object", took: list[float]) -> Figures:
    """Wait for the work, and sum up."""
    began, cpu = time.perf_counter(), time.process_time()
    await work  # type: ignore[misc]
    seconds, cpu = time.perf_counter() - began, time.process_time() - cpu
    took.sort()
    p50, p99 = (took[int(len(took) * part)] * 1000 for part in (0.5, 0.99))
    return len(took) / seconds, p50, p99, cpu / len(took) * 1e6


async def one_round(root: Path, kind: type[Writer], senders: int) -> Figures:
    with tempfile.TemporaryDirectory(dir=root) as place:
        journal = Journal(kind(Path(place), bounds=BOUNDS), bounds=BOUNDS)
        await asyncio.sleep(1.5)  # the segment ahead is made meanwhile
        figures = await (
            closed_loop(journal, senders) if senders else open_loop(journal, OPEN_LOOP)
        )
        await journal.close()
        return figures


def appends(root: Path) -> None:
    rows = []
    for senders in (*SENDERS, 0):
        found: dict[type[Writer], list[Figures]] = {Writer: [], Growing: []}
        for number in range(ROUNDS):
            for kind in (Writer, Growing) if number % 2 else (Growing, Writer):
                found[kind].append(asyncio.run(one_round(root, kind, senders)))
        ratio = statistics.median(
            ours[0] / theirs[0] for ours, theirs in zip(found[Writer], found[Growing], strict=True)
        )
        for kind, name in ((Writer, "journal"), (Growing, "growing file")):
            rate, p50, p99, cpu = (
                statistics.median(column) for column in zip(*found[kind], strict=True)
            )
            load = f"{senders} senders" if senders else f"{OPEN_LOOP:,}/s open loop"
            shown = (f"{rate:,.0f}", f"{p50:.2f}", f"{p99:.2f}", f"{cpu:.1f}")
            rows.append((f"{load}, {name}", *shown, f"{ratio:.2f}" if kind is Writer else ""))
    header = ["records of 200 bytes", "per s", "p50 ms", "p99 ms", "CPU us", "ratio"]
    table(f"Durable appends, medians of {ROUNDS} alternating rounds", header, rows)


def fill(root: Path) -> Path:
    """A journal of believable clicks."""
    writer, maker = Writer(root, bounds=BOUNDS), clickid.Maker(1)
    agents = [
        f"Mozilla/5.0 (X11; Linux x86_64) Browser/{n} (KHTML, like Gecko)" for n in range(300)
    ]
    for _ in range(CLICKS // 200):
        now = clock.now()
        made = [
            click_record.pack(
                Row(
                    maker.next(now),
                    secrets.randbits(62),
                    n * 37 % 10_000,
                    n,
                    0,
                    0,
                    agents[n],
                    "a.example",
                )
            )
            for n in range(200)
        ]
        writer.put(made, size=sum(form.FRAME_BYTES + len(one) for one in made))
    writer.count()
    writer.close()
    return writer.directory


def timed(work: Callable[[], int]) -> tuple[float, float]:
    """How many a second, and the CPU of this process for each in microseconds."""
    began, cpu = time.perf_counter(), time.process_time()
    count = work()
    return count / (time.perf_counter() - began), (time.process_time() - cpu) / count * 1e6


def read(directory: Path) -> int:
    reader, count = Reader(directory), 0
    while records := reader.read().records:
        count += len(records)
    reader.close()
    return count


def ship(directory: Path) -> int:
    shipper = Shipper(directory, store=ClickStore(), pace=Pace())
    while shipper.progress.shipped < CLICKS:
        shipper.step()
    return shipper.progress.shipped


def shipping(root: Path) -> None:
    directory = fill(root / "journal")
    server = EmbeddedPostgres(root / "data")
    server.start()
    try:
        migrate.upgrade(server.url())
        db.connect(server.url())
        figures = {"read back": timed(lambda: read(directory))}
        figures["into PostgreSQL, with counts"] = timed(lambda: ship(directory))
    finally:
        db.disconnect()
        server.stop()
    rows = [(name, f"{rate:,.0f}", f"{cpu:.1f}") for name, (rate, cpu) in figures.items()]
    table(f"Shipping {CLICKS:,} clicks", ["what", "per s", "own CPU us"], rows)


def main() -> None:
    settings.use(Settings())
    with tempfile.TemporaryDirectory(dir=sys.argv[1] if len(sys.argv) > 1 else None) as place:
        appends(Path(place))
        shipping(Path(place))


if __name__ == "__main__":
    main()
