"""Batches and single calls through one shared hot account, from Python, against the rivals.

All get the same entries, made as they go. Beside the rates: what a replay costs in a batch, and
how much is written for a transfer.
"""

import statistics
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from uuid import uuid4

from sqlalchemy import text

from bench import posting
from bench.posting import NOW, PARTNERS, ROUNDS, SLICE_S
from bench.report import table
from bench.rivals import TABLES, rival
from flowlink.kernel import db
from flowlink.ledger import service as ledger
from flowlink.ledger.entries import Entry

BATCH = 100
CALLERS = (1, 8, 32)
WRITTEN = 50  # batches whose bytes are counted

Call = Callable[[], int]
Seen = tuple[float, float]  # done a second; the 99th percentile of a call, in milliseconds

LEDGER_TABLES = ("ledger_transfer", "ledger_balance")


def play(call: Call, callers: int) -> Seen:
    """`callers` threads, each with a connection of its own, for one slice."""

    def one(_: int) -> tuple[int, list[float]]:
        done, taken, began = 0, [], time.perf_counter()
        while (start := time.perf_counter()) - began < SLICE_S:
            done += call()
            taken.append((time.perf_counter() - start) * 1000)
        return done, taken

    with ThreadPoolExecutor(callers) as pool:
        began = time.perf_counter()
        found = list(pool.map(one, range(callers)))
        seconds = time.perf_counter() - began
    taken = sorted(each for _, times in found for each in times)
    return sum(done for done, _ in found) / seconds, taken[len(taken) * 99 // 100]


def play_all(calls: dict[str, Call], callers: int) -> dict[str, Seen]:
    """The median of each, taken turn about."""
    found: dict[str, list[Seen]] = {name: [] for name in calls}
    for _ in range(ROUNDS):
        for name, call in calls.items():
            found[name].append(play(call, callers))
    return {
        name: (statistics.median(each[0] for each in seen), statistics.median(p for _, p in seen))
        for name, seen in found.items()
    }


def against(title: str, ours: Call, rivals: dict[str, Call], *, callers: tuple[int, ...]) -> None:
    rows = []
    for count in callers:
        found = play_all({"ledger": ours} | rivals, count)
        rate, late = found["ledger"]
        for name, (other, others_late) in found.items():
            mine = name == "ledger"
            faster, later = f"{rate / other:.2f} x", f"{late / others_late:.2f} x"
            row = (f"{count} callers, {name}", f"{other:,.0f}", "" if mine else faster)
            rows.append((*row, f"{others_late:.1f} ms", "" if mine else later))
    table(title, ["", "transfers a second", "ledger is", "p99", "ledger's is"], rows)


def calls(functions: dict[str, str], size: int) -> tuple[Call, dict[str, Call]]:
    """What posts `size` new entries into the ledger, and the same by each of these functions."""
    network, owners = str(uuid4()), [str(uuid4()) for _ in range(PARTNERS)]
    posting.post_entries(posting.make_entries(network, owners, PARTNERS))  # opens the accounts

    def call(post: Callable[[Sequence[Entry]], None]) -> int:
        post(posting.make_entries(network, owners, size))
        return size

    theirs: dict[str, Call] = {
        name: partial(call, rival(one, owners)) for name, one in functions.items()
    }
    return partial(call, posting.post_entries), theirs


def throughput() -> None:
    """One hot account in every transfer, a thousand partners on the other side."""
    batches = {
        "usual": "usual_batch",
        "usual, each on its own": "usual_batch_each",
        "wordy": "wordy_batch",
        "bare": "bare_batch",
    }
    against(f"Hot account, batches of {BATCH}", *calls(batches, BATCH), callers=(1, 8))
    singles = {name: f"{name}_batch" for name in TABLES}
    against("Hot account, single calls from Python", *calls(singles, 1), callers=CALLERS)


def replays() -> None:
    """A batch of which one entry in a hundred was posted before."""
    network, owners = str(uuid4()), [str(uuid4()) for _ in range(PARTNERS)]
    known = posting.make_entries(network, owners, PARTNERS)
    with db.write() as session:
        ledger.post_many(session, known, NOW)
    taken: dict[int, list[float]] = {0: [], 1: []}
    for turn in range(200):
        repeated = turn % 2
        entries = posting.make_entries(network, owners, BATCH - repeated) + known[:repeated]
        with db.write() as session:
            began = time.perf_counter()
            outcomes = ledger.post_many(session, entries, NOW)
        taken[repeated].append((time.perf_counter() - began) * 1000)
        again = sum(outcome.status is ledger.Status.REPLAY for outcome in outcomes)
        assert again == repeated
    fresh, mixed = (statistics.median(taken[repeated]) for repeated in (0, 1))
    rows = [(f"{fresh:.2f} ms", f"{mixed:.2f} ms", f"{mixed / fresh:.2f} x")]
    table(f"A batch of {BATCH} with a replay in it", ["all new", "1 % replays", "ratio"], rows)


def bytes_of(call: Call, tables: tuple[str, ...]) -> tuple[float, float]:
    """Bytes of WAL and of tables with their indexes that one transfer takes."""
    size = " + ".join(f"pg_total_relation_size('{name}')" for name in tables)
    query = text(f"SELECT pg_current_wal_insert_lsn() - '0/0'::pg_lsn, {size}")
    posting.as_owner("CHECKPOINT")
    with db.read() as session:
        wal, disk = session.execute(query).one()
    done = sum(call() for _ in range(WRITTEN))
    with db.read() as session:
        wal_after, disk_after = session.execute(query).one()
    return float(wal_after - wal) / done, (disk_after - disk) / done


def written() -> None:
    ours, theirs = calls({name: f"{name}_batch" for name in TABLES}, BATCH)
    tables = {"ledger": LEDGER_TABLES} | TABLES
    found: dict[str, list[tuple[float, float]]] = {name: [] for name in tables}
    for _ in range(ROUNDS):
        for name, call in ({"ledger": ours} | theirs).items():
            found[name].append(bytes_of(call, tables[name]))
    rows = []
    for place, what in enumerate(("WAL", "disk")):
        size = {name: statistics.median(each[place] for each in found[name]) for name in found}
        for name in theirs:
            ratio = f"{size['ledger'] / size[name]:.2f} x"
            rows.append((f"{what}, {name}", f"{size['ledger']:,.0f}", f"{size[name]:,.0f}", ratio))
    table(f"Bytes a transfer, batches of {BATCH}", ["", "ledger", "rival", "ratio"], rows)
