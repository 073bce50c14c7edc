"""A batch that fails leaves nothing behind, neither in the database nor in the store's memory."""

from typing import LiteralString

import psycopg
import pytest

from flowlink.kernel import clock, db
from flowlink.tracking import click_record, clickid
from flowlink.tracking.click_store import ClickStore
from flowlink.tracking.clicks import Row
from flowlink.tracking.journal_reader import Batch
from flowlink.tracking.segment import START, Position
from flowlink.tracking.shipper import Away, Refused
from tests.tracking.makers import ask

FAIL = """
CREATE FUNCTION fail() RETURNS trigger LANGUAGE plpgsql AS
$$ BEGIN RAISE EXCEPTION 'no' USING ERRCODE = '{code}'; END $$;
CREATE TRIGGER fail AFTER INSERT ON tracking_click EXECUTE FUNCTION fail()
"""
NOTE = """
CREATE TABLE noted (setting text);
CREATE FUNCTION note() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER AS
$$ BEGIN INSERT INTO noted VALUES (current_setting('synchronous_commit')); RETURN NULL; END $$;
CREATE TRIGGER note AFTER INSERT ON tracking_journal_position EXECUTE FUNCTION note()
"""
OFF = """
DO $$ BEGIN
EXECUTE format('ALTER DATABASE %I SET synchronous_commit = off', current_database());
END $$
"""


def run(url: str, statement: LiteralString) -> None:
    """As the owner of the tables."""
    with psycopg.connect(db.conninfo(url)) as connection:
        connection.execute(statement)


def batch() -> Batch:
    number = clickid.Maker(3).next(clock.now())
    row = Row(number, 1, 1, 1, 0, 0, 0, "A browser never seen", "never.example")
    return Batch(Position(1 << 32, 5000, 1), [click_record.pack(row)])


@pytest.mark.parametrize(("code", "error"), [("57014", Away), ("22023", Refused)])
def test_words_of_a_batch_that_failed_are_not_remembered(
    database: str, code: LiteralString, error: type[Exception]
) -> None:
    store, given = ClickStore(), batch()
    run(database, FAIL.format(code=code))
    with pytest.raises(error):
        store.take(given, edge="e" * 16, after=START)
    run(database, "DROP TRIGGER fail ON tracking_click; DROP FUNCTION fail()")

    store.take(given, edge="e" * 16, after=START)

    assert ask(
        "SELECT a.text, r.host FROM tracking_click c"
        " JOIN tracking_agent a ON a.id = c.agent JOIN tracking_referrer r ON r.id = c.referrer"
    ) == [("A browser never seen", "never.example")]


def test_a_position_is_on_the_disk_whatever_the_database_is_told_of_commits(database: str) -> None:
    run(database, NOTE)
    run(database, OFF)
    db.engine().dispose()
    assert ask("SHOW synchronous_commit") == [("off",)]

    ClickStore().take(batch(), edge="e" * 16, after=START)

    assert ask("SELECT setting FROM noted") == [("on",)]
