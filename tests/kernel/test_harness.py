"""The fixtures keep their promises: what a test does is gone after it."""

import pytest
from sqlalchemy import text
from sqlalchemy.orm import Session

from flowlink.kernel import db, settings

COUNT = text("SELECT count(*) FROM kernel_event")
ADD = text("INSERT INTO kernel_event (name, payload) VALUES ('test.done', '{}')")


@pytest.mark.parametrize("turn", [1, 2])
def test_a_rolled_back_test_leaves_nothing(session: Session, turn: int) -> None:
    before = session.scalars(COUNT).one()

    with db.write() as inner:
        inner.execute(ADD)
    session.execute(ADD)

    assert (before, session.scalars(COUNT).one()) == (0, 2)


@pytest.mark.parametrize("turn", [1, 2])
def test_a_committing_test_has_a_database_of_its_own(database: str, turn: int) -> None:
    with db.write() as session:
        session.execute(ADD)

    with db.read() as session:
        assert session.scalars(COUNT).one() == 1


def test_a_session_that_reads_cannot_write_inside_a_test_either(session: Session) -> None:
    with pytest.raises(Exception, match="read-only transaction"), db.read() as reader:
        reader.execute(ADD)

    session.execute(ADD)
    assert session.scalars(COUNT).one() == 1


def test_the_settings_are_the_tests_own() -> None:
    assert settings.current().base_url == "http://testserver"
