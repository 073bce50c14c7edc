"""Posting the same facts into the ledger and into its rivals, on one server."""

import itertools
import statistics
import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path

from sqlalchemy import text

from bench import rivals
from flowlink.kernel import db, migrate
from flowlink.kernel.money import Money
from flowlink.kernel.postgres import EmbeddedPostgres
from flowlink.ledger import service as ledger
from flowlink.ledger.accounts import AccountKind, account
from flowlink.ledger.entries import Code, Entry, EntryKind, Transfer

ROUNDS = 5
SLICE_S = 1
PARTNERS = 1000
NOW = datetime(2026, 11, 21, tzinfo=UTC)

# Many small earnings of one account, after one that was posted: the rows that ledger_post() would
# write, written as a set by the role that owns them. The proof at the end counts them as any.
FILL = """
WITH first AS (
  SELECT * FROM ledger_transfer WHERE source = '{source}' AND leg = 1
), moved AS (
  UPDATE ledger_balance AS b SET balance = CASE b.account WHEN f.debit THEN f.debit_after
                                                          ELSE f.credit_after END * {last}
    FROM first AS f
   WHERE (b.account, b.shard) IN ((f.debit, f.debit_shard), (f.credit, f.credit_shard))
)
INSERT INTO ledger_transfer
  SELECT nextval('ledger_transfer_number'), uuidv7(), debit, credit, amount, debit_after * n,
         credit_after * n, at, effective_at, debit_shard, credit_shard, 1, code, kind,
         '{owner}-' || n, ref
    FROM first, generate_series({first}, {last}) AS n ORDER BY n
"""
FILLED = 500_000  # in one statement

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
            db.connect(postgres.url(), pool_size=32)
            for script in (rivals.USUAL, rivals.WORDY, rivals.BARE):
                as_owner(script)
            yield
        finally:
            db.disconnect()
            postgres.stop()


def as_owner(script: str) -> None:
    with db.engine().execution_options(isolation_level="AUTOCOMMIT").connect() as connection:
        connection.execute(text("SET ROLE NONE"))
        connection.exec_driver_sql(script)
        connection.execute(text("RESET ROLE"))


def alternate(measures: dict[str, Measure]) -> dict[str, float]:
    """The median of each, taken turn about so that a noisy neighbour disturbs all alike."""
    found: dict[str, list[float]] = {name: [] for name in measures}
    for _ in range(ROUNDS):
        for name, measure in measures.items():
            found[name].append(measure())
    return {name: statistics.median(values) for name, values in found.items()}


def make_entries(network: str, owners: Sequence[str], size: int) -> list[Entry]:
    """New earnings, all from one network's account, to one partner after another."""
    entries = []
    for number in itertools.islice(_sources, size):
        debit = account(AccountKind.NETWORK_RECEIVABLE, network)
        credit = account(AccountKind.AVAILABLE, owners[number % PARTNERS])
        line = Transfer(debit, credit, Money(120_000), Code.COMMISSION)
        entries.append(Entry(f"bench:{number}", EntryKind.CONVERSION, (line,), NOW))
    return entries


def post_entries(entries: Sequence[Entry]) -> None:
    with db.write() as session:
        outcomes = ledger.post_many(session, entries, NOW)
    assert {outcome.status for outcome in outcomes} == {ledger.Status.CREATED}


def fill(owner: str, count: int) -> None:
    """Put `count` transfers behind an owner's available balance, quickly."""
    entries = make_entries(f"{owner}-pays", [owner] * PARTNERS, 1)
    post_entries(entries)
    source = entries[0].source
    for done in range(1, count, FILLED):
        last = min(done + FILLED, count)
        as_owner(FILL.format(owner=owner, source=source, first=done + 1, last=last))
