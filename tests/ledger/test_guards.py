"""What was posted stays: the database itself refuses every other way in, whoever tries."""

from collections.abc import Iterator
from uuid import uuid4

import psycopg
import pytest
from psycopg import errors, sql
from sqlalchemy import text
from sqlalchemy.exc import DBAPIError, ProgrammingError
from sqlalchemy.orm import Session

from flowlink.ledger import check, service as ledger
from tests.cluster import Cluster
from tests.ledger.makers import NOW, available, entry, has, move, partner_with, receivable

APPEND_ONLY = ["ledger_account", "ledger_transfer"]
TABLES = [
    *APPEND_ONLY,
    "ledger_account_kind",
    "ledger_balance",
    "ledger_currency",
    "ledger_posting_rule",
]
COLUMN = {
    "ledger_account": "owner",
    "ledger_account_kind": "floor",
    "ledger_balance": "balance",
    "ledger_currency": "number",
    "ledger_posting_rule": "debits",
    "ledger_transfer": "amount",
}
WRITES = ["UPDATE {0} SET {1} = {1}", "DELETE FROM {0}", "TRUNCATE {0} CASCADE"]
POST = text(
    """
    SELECT status FROM ledger_post(
      now(), '{network_receivable,network_receivable}', CAST(:owners AS text[]), '{EUR,EUR}',
      '{one,two}', '{correction,correction}', ARRAY[now(), now()],
      CAST('{"{}","{}"}' AS jsonb[]), CAST(:entries AS int[]), '{1,1}', '{2,2}', '{5,5}',
      '{correction,correction}')
    """
)


def ledger_is_empty(session: Session) -> bool:
    return not session.scalar(text("SELECT count(*) FROM ledger_entry"))


@pytest.fixture
def owner(cluster: Cluster) -> Iterator[psycopg.Connection]:
    """A connection as the role that owns the ledger."""
    with psycopg.connect(cluster.url("shared")) as connection:
        connection.execute("SET ROLE flowlink_ledger")
        yield connection
        connection.rollback()


@pytest.mark.parametrize("table", TABLES)
@pytest.mark.parametrize(
    "write", [*WRITES, "INSERT INTO {0} OVERRIDING SYSTEM VALUE SELECT * FROM {0}"]
)
def test_the_product_cannot_write_the_tables(session: Session, table: str, write: str) -> None:
    partner = partner_with(session, "10.00")

    with pytest.raises(ProgrammingError, match="permission denied"), session.begin_nested():
        session.execute(text(write.format(table, COLUMN[table])))

    assert has(session, available(partner)) == "10.00 EUR"


@pytest.mark.parametrize("table", APPEND_ONLY)
@pytest.mark.parametrize("write", WRITES)
def test_not_even_the_owner_changes_what_was_posted(
    owner: psycopg.Connection, table: str, write: str
) -> None:
    names = [sql.Identifier(name) for name in (table, COLUMN[table])]

    with pytest.raises(errors.InsufficientPrivilege, match="append-only"):
        owner.execute(sql.SQL(write).format(*names))


def test_the_product_cannot_open_accounts_by_itself(session: Session) -> None:
    opened = text("SELECT ledger_open(ARRAY['available'], ARRAY['me'], ARRAY['EUR'])")

    with (
        pytest.raises(ProgrammingError, match="denied for function ledger_open"),
        session.begin_nested(),
    ):
        session.execute(opened)


def test_the_product_cannot_use_up_the_account_numbers(session: Session) -> None:
    with pytest.raises(ProgrammingError, match="permission denied"), session.begin_nested():
        session.execute(text("SELECT nextval('ledger_serial')"))


def test_a_search_path_does_not_lead_the_posting_astray(session: Session) -> None:
    session.execute(text("CREATE TEMP TABLE ledger_balance (LIKE public.ledger_balance)"))
    session.execute(text("SET LOCAL search_path = pg_temp, public"))
    partner = uuid4()

    ledger.post(session, entry(move(receivable(uuid4()), available(partner), "1.00")), NOW)

    session.execute(text("SET LOCAL search_path = public"))
    assert session.scalar(text("SELECT count(*) FROM pg_temp.ledger_balance")) == 0
    session.execute(text("DROP TABLE pg_temp.ledger_balance"))
    assert has(session, available(partner)) == "1.00 EUR"


@pytest.mark.parametrize("entries", ["2, 1", "1, 3", "0, 1"])
def test_transfers_out_of_the_order_of_their_entries_are_an_error(
    session: Session, entries: str
) -> None:
    with pytest.raises(DBAPIError, match="order of their entries"), session.begin_nested():
        session.execute(POST, {"owners": "{n,p}", "entries": f"{{{entries}}}"})

    assert ledger_is_empty(session)


def test_an_account_listed_twice_is_an_error(session: Session) -> None:
    with pytest.raises(DBAPIError, match="listed twice"), session.begin_nested():
        session.execute(POST, {"owners": "{n,n}", "entries": "{1,2}"})

    assert ledger_is_empty(session)


def test_the_same_call_in_order_posts(session: Session) -> None:
    found = session.scalars(POST, {"owners": "{n,p}", "entries": "{1,2}"}).all()

    assert found == ["created", "created"]
    assert check.problems(session) == []


@pytest.mark.parametrize("write", ["UPDATE {0} SET source = source", "DELETE FROM {0}"])
def test_the_view_of_entries_is_no_way_in(
    session: Session, owner: psycopg.Connection, write: str
) -> None:
    view = sql.Identifier("ledger_entry")

    with pytest.raises(ProgrammingError, match="permission denied"), session.begin_nested():
        session.execute(text(write.format("ledger_entry")))
    with pytest.raises(errors.InsufficientPrivilege, match="append-only"):
        owner.execute(sql.SQL(write).format(view))


LINE = """
    INSERT INTO ledger_transfer VALUES
      (1, uuidv7(), {debit}, {credit}, {amount}, 0, 0, now(), now(), 0, 0, {leg}, 'x', 'x',
       {source}, '{{}}')
"""
SOUND = {"debit": 1978, "credit": 2978, "amount": 1, "leg": 1, "source": "test:raw"}


@pytest.mark.parametrize(
    "wrong",
    [
        {"credit": 1978},
        {"credit": 2840},
        {"amount": 0},
        {"source": ""},
        {"source": None},
        {"leg": 2},
    ],
)
def test_an_impossible_transfer_is_refused_by_its_table(
    owner: psycopg.Connection, wrong: dict[str, object]
) -> None:
    values = {name: sql.Literal(value) for name, value in (SOUND | wrong).items()}

    with pytest.raises(errors.CheckViolation):
        owner.execute(sql.SQL(LINE).format(**values))


def test_a_source_is_taken_once_by_the_table_itself(owner: psycopg.Connection) -> None:
    line = sql.SQL(LINE).format(**{name: sql.Literal(value) for name, value in SOUND.items()})
    owner.execute(line)

    with pytest.raises(errors.UniqueViolation, match="uq_ledger_transfer_source"):
        owner.execute(line)


def test_a_balance_beyond_its_bounds_is_refused_by_its_table(session: Session) -> None:
    partner = partner_with(session, "1.00")
    session.execute(text("SET LOCAL ROLE NONE"))

    with pytest.raises(DBAPIError, match="ck_ledger_balance_floor"), session.begin_nested():
        session.execute(text("UPDATE ledger_balance SET balance = -1 WHERE floor = 0"))
    with pytest.raises(DBAPIError, match="ck_ledger_balance_ceiling"), session.begin_nested():
        session.execute(text("UPDATE ledger_balance SET ceiling = balance - 1"))

    assert has(session, available(partner)) == "1.00 EUR"
