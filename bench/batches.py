"""Batches and single calls through one shared hot account, from Python, against the usual design.

Beside the rates: what a replay costs in a batch, and how much is written for a transfer.
"""

import statistics
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from uuid import uuid4

from sqlalchemy import text

from bench import posting
from bench.posting import NOW, PARTNERS, ROUNDS, SLICE_S
from bench.report import table
from flowlink.kernel import db
from flowlink.ledger import service as ledger

BATCH = 100
CALLERS = (1, 8, 32)
WRITTEN = 50  # batches whose bytes are counted

Call = Callable[[], int]
Seen = tuple[float, float]  # done a second; the 99th percentile of a call, in milliseconds

LEDGER_SIZE = "ledger_transfer", "ledger_balance"
PLAIN_SIZE = "plain_line", "plain_account"


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


def throughput() -> None:
    """One hot account in every transfer, a thousand partners on the other side."""
    network, owners = str(uuid4()), [str(uuid4()) for _ in range(PARTNERS)]
    posting.post_entries(network, owners, PARTNERS)  # opens the accounts
    batches: dict[str, Call] = {
        "plain, each on its own": partial(posting.post_plain_by, "plain_batch_each", BATCH),
        "plain, all or nothing": partial(posting.post_plain_by, "plain_batch", BATCH),
        "plain, from the client": partial(posting.post_plain, BATCH),
    }
    ours = partial(posting.post_entries, network, owners, BATCH)
    against(f"Hot account, batches of {BATCH}", ours, batches, callers=(1, 8))
    singles: dict[str, Call] = {
        "plain, one function": partial(posting.post_plain_by, "plain_batch", 1),
        "plain, from the client": partial(posting.post_plain, 1),
    }
    ours = partial(posting.post_entries, network, owners, 1)
    against("Hot account, single calls", ours, singles, callers=CALLERS)


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
    network, owners = str(uuid4()), [str(uuid4()) for _ in range(PARTNERS)]
    posting.post_entries(network, owners, PARTNERS)
    calls = {
        "ledger": (partial(posting.post_entries, network, owners, BATCH), LEDGER_SIZE),
        "plain": (partial(posting.post_plain_by, "plain_batch", BATCH), PLAIN_SIZE),
    }
    found = {name: [bytes_of(*call) for _ in range(ROUNDS)] for name, call in calls.items()}
    rows = []
    for place, what in enumerate(("WAL", "disk")):
        ours, theirs = (statistics.median(each[place] for each in found[name]) for name in calls)
        rows.append((what, f"{ours:,.0f}", f"{theirs:,.0f}", f"{ours / theirs:.2f} x"))
    table(f"Bytes a transfer, batches of {BATCH}", ["", "ledger", "plain", "ratio"], rows)
