"""Posting the same facts into the ledger and into the usual design, on one server.

The usual design: two rows a transfer, row locks in sorted order, the balance on the account's row.
"""

import itertools
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from sqlalchemy import text

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
-- A batch in one call: all locks first, so that two batches do not wait for each other in a ring.
CREATE FUNCTION plain_batch(
  sources text[], debits bigint[], credits bigint[], amounts bigint[]) RETURNS void
LANGUAGE plpgsql AS $$
BEGIN
  PERFORM FROM plain_account WHERE id = ANY (debits || credits) ORDER BY id FOR UPDATE;
  FOR i IN 1..cardinality(sources) LOOP
    PERFORM plain_post(sources[i], debits[i], credits[i], amounts[i]);
  END LOOP;
END $$;
-- The same, but what is refused or known hinders nothing else: what a batch in the ledger promises.
CREATE FUNCTION plain_batch_each(
  sources text[], debits bigint[], credits bigint[], amounts bigint[]) RETURNS text[]
LANGUAGE plpgsql AS $$
DECLARE outcomes text[];
BEGIN
  PERFORM FROM plain_account WHERE id = ANY (debits || credits) ORDER BY id FOR UPDATE;
  FOR i IN 1..cardinality(sources) LOOP
    BEGIN
      PERFORM plain_post(sources[i], debits[i], credits[i], amounts[i]);
      outcomes[i] := 'created';
    EXCEPTION WHEN unique_violation THEN outcomes[i] := 'replay';
              WHEN check_violation THEN outcomes[i] := 'no_funds';
    END;
  END LOOP;
  RETURN outcomes;
END $$;
"""
LOCK = "SELECT id FROM plain_account WHERE id = ANY (:ids) ORDER BY id FOR UPDATE"
CHANGE = "UPDATE plain_account SET balance = balance + :amount WHERE id = :id"
WRITE = "INSERT INTO plain_line (source, account, amount) VALUES (:source, :id, :amount)"

# Many small earnings of one account, after one that was posted: the ledger's own rows, written in
# one statement by the role that owns them. The proof at the end holds for them as for all.
FILL = """
WITH first AS (
  SELECT t.* FROM ledger_transfer AS t JOIN ledger_account AS a ON a.number = t.credit
   WHERE a.owner = '{owner}'
), made AS MATERIALIZED (
  SELECT n, uuidv7() AS id FROM generate_series(2, {count}) AS n
), written AS (
  INSERT INTO ledger_entry (id, source, kind, effective_at, at, ref)
    SELECT id, '{owner}' || '-' || n, 'conversion', now(), now(), '{{}}' FROM made
), moved AS (
  UPDATE ledger_balance AS b SET balance = b.balance * {count} FROM first AS f
   WHERE (b.account, b.shard) IN ((f.debit, f.debit_shard), (f.credit, f.credit_shard))
)
INSERT INTO ledger_transfer (entry_id, leg, debit, credit, amount, debit_after, credit_after,
                             debit_shard, credit_shard, code)
  SELECT made.id, 1, debit, credit, amount, debit_after * n, credit_after * n,
         debit_shard, credit_shard, code
    FROM made, first ORDER BY n
"""

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


def make_entries(network: str, owners: Sequence[str], size: int) -> list[Entry]:
    """New earnings, all from one network's account, to one partner after another."""
    entries = []
    for number in itertools.islice(_sources, size):
        debit = account(AccountKind.NETWORK_RECEIVABLE, network)
        credit = account(AccountKind.AVAILABLE, owners[number % PARTNERS])
        line = Transfer(debit, credit, Money(120_000), Code.COMMISSION)
        entries.append(Entry(f"bench:{number}", EntryKind.CONVERSION, (line,), NOW))
    return entries


def post_entries(network: str, owners: Sequence[str], size: int) -> int:
    with db.write() as session:
        outcomes = ledger.post_many(session, make_entries(network, owners, size), NOW)
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


def post_plain_by(function: str, size: int) -> int:
    """The usual design with the whole batch in one call of a function."""
    numbers = list(itertools.islice(_sources, size))
    values = {
        "sources": [f"bench:{number}" for number in numbers],
        "debits": [1] * size,
        "credits": [2 + number % PARTNERS for number in numbers],
        "amounts": [120_000] * size,
    }
    with db.write() as session:
        session.execute(
            text(f"SELECT {function}(:sources, :debits, :credits, :amounts)"),
            values,
        )
    return size


def fill(owner: str, count: int) -> None:
    """Put `count` transfers behind an owner's available balance, quickly."""
    post_entries(f"{owner}-pays", [owner] * PARTNERS, 1)
    as_owner(FILL.format(owner=owner, count=count))
