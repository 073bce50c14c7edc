"""What was posted before entries and transfers shared a table is all there afterwards."""

from collections.abc import Iterator
from uuid import uuid4

import psycopg
import pytest
from alembic import command
from alembic.config import Config
from alembic.script import ScriptDirectory
from sqlalchemy import Connection, create_engine, text
from sqlalchemy.orm import Session

from flowlink.kernel import db, migrate
from flowlink.ledger import check, queries, service as ledger
from flowlink.ledger.entries import Entry
from flowlink.ledger.service import Status
from tests.cluster import Cluster
from tests.ledger.makers import NOW, available, entry, move, receivable, withdrawing

REVISION = "m1501"
KEPT = (
    "SELECT id, source, kind, effective_at, at, ref FROM ledger_entry ORDER BY id",
    """
    SELECT number, entry_id, leg, debit, credit, amount, debit_after, credit_after, debit_shard,
           credit_shard, code
      FROM ledger_transfer ORDER BY number
    """,
    "SELECT * FROM ledger_side ORDER BY number, amount",
    "SELECT account, sum(balance) FROM ledger_balance GROUP BY account ORDER BY account",
)


@pytest.fixture
def empty(cluster: Cluster) -> Iterator[Connection]:
    """A database without any schema."""
    with psycopg.connect(cluster.url("postgres"), autocommit=True) as connection:
        connection.execute("CREATE DATABASE moved")
    engine = create_engine(db.normal_url(cluster.url("moved")))
    try:
        with engine.connect() as connection:
            yield connection
    finally:
        engine.dispose()
        cluster.drop("moved")


def config(connection: Connection) -> Config:
    found = Config()
    found.set_main_option("script_location", str(migrate.VERSIONS.parent))
    found.attributes["connection"] = connection
    return found


def before(connection: Connection) -> str:
    revision = ScriptDirectory.from_config(config(connection)).get_revision(REVISION)
    assert revision is not None
    assert isinstance(revision.down_revision, str)
    return revision.down_revision


def history() -> list[Entry]:
    """Some entries of one and of several transfers; the last one is refused."""
    owner, network = uuid4(), receivable(uuid4())
    return [
        entry(move(network, available(owner), "10.00")),
        entry(move(network, available(owner), "1.00"), move(network, available(owner), "2.00")),
        entry(move(available(owner), withdrawing(owner), "3.50")),
        entry(move(available(owner), withdrawing(owner), "99.00")),
    ]


def posted(connection: Connection, entries: list[Entry]) -> list[ledger.Outcome]:
    with Session(connection) as session:
        found = ledger.post_many(session, entries, NOW)
        session.commit()
    return found


def kept(connection: Connection) -> list[list[tuple[object, ...]]]:
    found = [[tuple(row) for row in connection.execute(text(query))] for query in KEPT]
    connection.commit()
    return found


def test_nothing_is_lost_or_changed(empty: Connection) -> None:
    command.upgrade(config(empty), before(empty))
    entries = history()
    first = posted(empty, entries)
    assert [outcome.status for outcome in first] == [Status.CREATED] * 3 + [Status.NO_FUNDS]
    expected = kept(empty)

    command.upgrade(config(empty), REVISION)

    assert kept(empty) == expected
    again = posted(empty, entries)
    assert [outcome.status for outcome in again] == [Status.REPLAY] * 3 + [Status.NO_FUNDS]
    assert [each.entry_id for each in again] == [each.entry_id for each in first]
    more = entry(*entries[0].transfers)
    assert [outcome.status for outcome in posted(empty, [more])] == [Status.CREATED]
    with Session(empty) as session:
        assert check.problems(session) == []
        place = entries[0].transfers[0].credit
        lines = queries.lines(session, [place]).items
        assert [str(line.balance_after) for line in lines] == [
            "19.50 EUR", "9.50 EUR", "13.00 EUR", "11.00 EUR", "10.00 EUR",
        ]  # fmt: skip


def test_an_empty_ledger_moves_too(empty: Connection) -> None:
    command.upgrade(config(empty), REVISION)

    outcomes = posted(empty, history()[:1])

    assert [outcome.status for outcome in outcomes] == [Status.CREATED]
