"""Sessions and locks: what is read fresh, what waits in order, what cannot be written."""

import threading
from datetime import datetime

import pytest
from sqlalchemy import insert, select, update
from sqlalchemy.exc import DBAPIError
from sqlalchemy.orm import Session

from flowlink.kernel import db
from flowlink.kernel.models import RateLimit


def counter(key: str, now: datetime, count: int = 0) -> RateLimit:
    return RateLimit(key=key, window_start=now, count=count)


@pytest.mark.usefixtures("database")
def test_a_lock_reads_what_others_wrote_since(now: datetime) -> None:
    with db.write() as session:
        session.add(counter("a", now, 100))
    with db.write() as mine:
        held = mine.scalars(select(RateLimit)).one()
        with db.write() as other:
            other.execute(update(RateLimit).values(count=70))

        (fresh,) = db.lock(mine, RateLimit, RateLimit.key == "a")

        assert fresh is held
        assert fresh.count == 70


@pytest.mark.usefixtures("database")
def test_crossing_locks_never_wait_on_each_other(now: datetime) -> None:
    with db.write() as session:
        session.add_all([counter("a", now), counter("b", now)])
    wrong: list[DBAPIError] = []

    def cross(keys: list[str]) -> None:
        for _ in range(25):
            try:
                with db.write() as session:
                    for row in db.lock(session, RateLimit, RateLimit.key.in_(keys)):
                        row.count += 1
            except DBAPIError as error:
                wrong.append(error)

    threads = [
        threading.Thread(target=cross, args=(keys,)) for keys in (["a", "b"], ["b", "a"]) * 4
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    with db.read() as session:
        counts = session.scalars(select(RateLimit.count)).all()
    assert (wrong, counts) == ([], [200, 200])


def test_a_reading_session_writes_nothing(session: Session, now: datetime) -> None:
    def write_while_reading() -> None:
        with db.read() as reader:
            reader.execute(insert(RateLimit).values(key="a", window_start=now, count=1))

    with pytest.raises(DBAPIError, match="read-only"):
        write_while_reading()

    assert session.scalars(select(RateLimit)).all() == []


@pytest.mark.usefixtures("database")
def test_an_error_undoes_the_whole_transaction(now: datetime) -> None:
    def fail_half_way() -> None:
        with db.write() as session:
            session.add(counter("a", now))
            session.flush()
            raise RuntimeError

    with pytest.raises(RuntimeError):
        fail_half_way()

    with db.read() as session:
        assert session.scalars(select(RateLimit)).all() == []


@pytest.mark.usefixtures("database")
def test_a_named_lock_admits_one_at_a_time() -> None:
    inside, most = 0, 0
    guard = threading.Lock()

    def enter() -> None:
        nonlocal inside, most
        with db.write() as session:
            db.advisory_lock(session, "partner:1")
            with guard:
                inside += 1
                most = max(most, inside)
            threading.Event().wait(0.01)
            with guard:
                inside -= 1

    threads = [threading.Thread(target=enter) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert most == 1
