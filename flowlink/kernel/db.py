"""The database: sessions, transactions, locks. Nothing else commits, rolls back or locks."""

import json
from collections.abc import Collection, Generator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from typing import Annotated, Any, ClassVar, TypeVar
from uuid import UUID

from psycopg.conninfo import make_conninfo
from sqlalchemy import (
    URL,
    ColumnElement,
    Connection,
    DateTime,
    Engine,
    MetaData,
    Text,
    create_engine,
    make_url,
    select,
    text,
)
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.orm import (
    DeclarativeBase,
    Session,
    mapped_column,
    sessionmaker,
)

APP_ROLE = "flowlink_app"
_OPTIONS = f"-c role={APP_ROLE} -c timezone=UTC -c idle_in_transaction_session_timeout=60s"
_COUNTER_BITS, _COUNTER_AT = 20, 42  # in the 62 random bits that end a UUIDv7
_NEW_KEY = text("SELECT uuidv7()")
_LOCK_NAMES = text(
    "SELECT pg_advisory_xact_lock(key) FROM (SELECT DISTINCT hashtextextended(name, 0) AS key"
    " FROM json_array_elements_text(CAST(:names AS json)) AS name ORDER BY key) AS keys"
)
_NAMES = {
    "ix": "ix_%(table_name)s_%(column_0_N_name)s",
    "uq": "uq_%(table_name)s_%(column_0_N_name)s",
    "ck": "ck_%(table_name)s_%(constraint_name)s",
    "fk": "fk_%(table_name)s_%(column_0_N_name)s",
    "pk": "pk_%(table_name)s",
}


class Base(DeclarativeBase):
    """What every table's class extends."""

    metadata = MetaData(naming_convention=_NAMES)
    type_annotation_map: ClassVar[dict[Any, Any]] = {
        str: Text,
        dict[str, Any]: JSONB,
        datetime: DateTime(timezone=True),
    }


Key = Annotated[UUID, mapped_column(primary_key=True, server_default=text("uuidv7()"))]
T = TypeVar("T", bound=Base)


@dataclass(slots=True)
class _Process:
    """What this process is connected to."""

    engine: Engine | None = None
    sessions: sessionmaker[Session] | None = None


_process = _Process()


def normal_url(url: str) -> str:
    """`url` with the one driver we use, whatever it was written with."""
    return make_url(url).set(drivername="postgresql+psycopg").render_as_string(hide_password=False)


def connect(url: str, *, pool_size: int = 10) -> None:
    """Choose the database of this process. Connections are opened when they are needed."""
    disconnect()
    _process.engine = create_engine(
        normal_url(url),
        pool_size=pool_size,
        max_overflow=10,
        pool_pre_ping=True,
        connect_args={"options": _OPTIONS, "connect_timeout": 10},
    )
    _process.sessions = sessionmaker(_process.engine, expire_on_commit=False)


def disconnect() -> None:
    """Close every connection of this process."""
    if _process.engine is not None:
        _process.engine.dispose()
    _process.engine = _process.sessions = None


def is_connected() -> bool:
    """Whether this process has a database, up or not."""
    return _process.engine is not None


def engine() -> Engine:
    """The engine of this process; `connect` has to come first."""
    assert _process.engine is not None, "db.connect() comes first"
    return _process.engine


def conninfo(url: str | URL, *, without: str = "", **more: str) -> str:
    """What libpq itself needs to reach `url`: it does not read all that a URL builder writes.

    `without` names a part to leave out, such as a password that goes another way.
    """
    parts = make_url(url)
    rest = {name: value for name, value in parts.query.items() if isinstance(value, str)}
    plain = {
        "dbname": parts.database,
        "user": parts.username,
        "password": parts.password,
        "host": parts.host,
        "port": parts.port,
    }
    given = {name: value for name, value in plain.items() if value is not None}
    given.pop(without, None)
    return make_conninfo("", **(rest | given | more))


def dsn() -> str:
    """What psycopg itself needs to reach the same database in the same role."""
    return conninfo(engine().url, options=_OPTIONS)


def _open() -> Session:
    assert _process.sessions is not None, "db.connect() comes first"
    return _process.sessions()


@contextmanager
def write() -> Generator[Session]:
    """A session whose transaction is committed at the end, or rolled back by any error."""
    with _open() as session, session.begin():
        yield session


@contextmanager
def read() -> Generator[Session]:
    """A session whose transaction can write nothing."""
    with _open() as session, session.begin():
        session.execute(text("SET TRANSACTION READ ONLY"))
        yield session


@contextmanager
def bound_to(connection: Connection) -> Generator[None]:
    """Let every session of this process live inside the caller's transaction, to be undone."""
    before = _process.sessions
    _process.sessions = sessionmaker(
        connection, expire_on_commit=False, join_transaction_mode="create_savepoint"
    )
    try:
        yield
    finally:
        _process.sessions = before


def lock(session: Session, model: type[T], *where: ColumnElement[bool]) -> Sequence[T]:
    """Lock rows until the transaction ends, in key order, and read them afresh.

    One order everywhere: two transactions never wait on each other. And without
    populate_existing the ORM would hand back what it loaded before the lock was held, so
    that the caller would write a stale balance over a newer one.
    """
    key = model.__mapper__.primary_key
    rows = select(model).where(*where).order_by(*key).with_for_update(of=model.__table__)
    return session.scalars(rows.execution_options(populate_existing=True)).all()


def advisory_lock(session: Session, name: str) -> None:
    """Lock a name until the transaction ends: for what has no row yet."""
    session.execute(
        text("SELECT pg_advisory_xact_lock(hashtextextended(:name, 0))"), {"name": name}
    )


def advisory_locks(session: Session, names: Collection[str]) -> None:
    """Lock many names until the transaction ends, in one order everywhere."""
    session.execute(_LOCK_NAMES, {"names": json.dumps(list(names))})


def new_keys(session: Session, count: int) -> Sequence[UUID]:
    """Keys for rows that are written in one go, in growing order.

    One UUIDv7 of PostgreSQL's, and a counter in front of its random bits (RFC 9562, 6.2): to draw
    each key takes longer than to write its row. 42 random bits stay, of one fraction of a
    millisecond.
    """
    assert count >> _COUNTER_BITS == 0
    first: UUID = session.execute(_NEW_KEY).scalar_one()
    start = first.int & ~(((1 << _COUNTER_BITS) - 1) << _COUNTER_AT)
    return [UUID(int=start | number << _COUNTER_AT) for number in range(count)]
