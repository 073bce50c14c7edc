"""Entries a second and balance reads, against the usual design on the same server.

Run: python -m bench.ledger
With --full the balance is read with ten million transfers behind it instead of one million.
"""

import statistics
import sys
import time
from collections.abc import Callable, Sequence
from functools import partial

from sqlalchemy import text
from sqlalchemy.orm import Session

from bench import batches, posting, singles
from bench.posting import server
from bench.report import table
from flowlink.kernel import db
from flowlink.ledger import check, queries
from flowlink.ledger.accounts import Account, AccountKind, account

FEW, MANY, FULL = 10_000, 1_000_000, 10_000_000
READS = 2000
SUMS = 5

FILL_BARE = """
INSERT INTO bare_line (source, account, amount)
  SELECT 'fill:' || :id || ':' || n, :id, 120000 FROM generate_series(1, :count) AS n
"""
SUM = "SELECT sum(amount) FROM bare_line WHERE account = :id"


def duration(call: Callable[[], object], times: int) -> float:
    """Seconds of one call, the median of some."""
    found = []
    for _ in range(times):
        began = time.perf_counter()
        call()
        found.append(time.perf_counter() - began)
    return statistics.median(found)


def fill(owner: str, bare_id: int, count: int) -> None:
    with db.write() as session:
        session.execute(text(FILL_BARE), {"id": bare_id, "count": count})
    posting.fill(owner, count)


def reads(*, many: int) -> None:
    sizes = (("few", 1500, FEW), ("many", 1501, many))
    for owner, bare_id, count in sizes:
        fill(owner, bare_id, count)
    posting.as_owner("VACUUM ANALYZE")
    rows = []
    with db.read() as session:
        places = [account(AccountKind.AVAILABLE, owner) for owner, _, _ in sizes]
        taken = read_in_turn(session, places)
        for place, (_, bare_id, count) in zip(places, sizes, strict=True):
            assert queries.balance(session, place).micro == 120_000 * count
            assert session.scalar(text(SUM), {"id": bare_id}) == 120_000 * count
            sums = duration(partial(session.scalar, text(SUM), {"id": bare_id}), SUMS)
            ours = taken[place]
            told = (f"{ours * 1000:.3f} ms", f"{sums * 1000:.1f} ms", f"{sums / ours:,.0f} x")
            rows.append((f"{count:,}", *told))
    few, most = (taken[place] for place in places)
    rows.append(("many to few", f"{most / few:.2f} x", "", ""))
    table("Reading one balance", ["lines of the account", "ledger", "SUM over rows", "ratio"], rows)


def read_in_turn(session: Session, places: Sequence[Account]) -> dict[Account, float]:
    """Seconds of the median read of each, read by read, turn about."""
    taken: dict[Account, list[float]] = {place: [] for place in places}
    for _ in range(READS):
        for place, found in taken.items():
            began = time.perf_counter()
            queries.balance(session, place)
            found.append(time.perf_counter() - began)
    return {place: statistics.median(found) for place, found in taken.items()}


def prove() -> None:
    with db.read() as session:
        began = time.perf_counter()
        problems = check.problems(session)
        seconds = time.perf_counter() - began
        transfers = session.scalar(text("SELECT count(*) FROM ledger_transfer"))
    assert problems == [], problems
    rows = [(f"{transfers:,}", f"{seconds:.1f} s", "none")]
    table("Proof of the whole ledger", ["transfers", "time", "problems"], rows)


def main(*, many: int = MANY) -> None:
    with server():
        batches.written()
        batches.replays()
        batches.throughput()
        singles.measure()
        reads(many=many)
        prove()


if __name__ == "__main__":
    main(many=FULL if "--full" in sys.argv else MANY)
