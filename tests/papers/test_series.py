"""Numbers without gap or double, also when many issue at once and some fail."""

from datetime import UTC, date, datetime
from threading import Barrier, Thread
from uuid import uuid4

import pytest
from sqlalchemy import text
from sqlalchemy.exc import DatabaseError
from sqlalchemy.orm import Session

from flowlink.kernel import db
from flowlink.kernel.money import Money
from flowlink.papers import queries, service, vat
from flowlink.papers.drawing import Sheet, Table
from flowlink.papers.models import Kind, Paper
from flowlink.papers.service import Draft

NOW = datetime(2026, 11, 21, 8, tzinfo=UTC)


def draft(source: str) -> Draft:
    return Draft(
        kind=Kind.SELF_BILLING,
        owner=uuid4(),
        subject=source,
        source=source,
        lang="fr",
        amounts=vat.split(Money.parse("12.00"), 2000),
        facts={},
    )


def drawn(number: str, day: date) -> Sheet:
    return Sheet("fr", number, [("Date", str(day))], "", ["Ada"], "", ["Bo"], [Table("", [], [])])


class Spoilt(Exception):
    pass


def spoilt(number: str, day: date) -> Sheet:
    raise Spoilt


def issue(session: Session, source: str) -> Paper:
    return service.issue(session, draft(source), sheet=drawn, now=NOW)


def test_a_paper_has_the_next_number_of_its_year(session: Session) -> None:
    first, second = issue(session, "a"), issue(session, "b")
    other = service.issue(session, draft("c"), sheet=drawn, now=datetime(2027, 1, 1, tzinfo=UTC))

    assert (first.number, second.number) == ("SB-2026-00001", "SB-2026-00002")
    assert other.number == "SB-2027-00001"
    assert queries.problems(session) == []


def test_the_same_source_issues_once(session: Session) -> None:
    first, again = issue(session, "a"), issue(session, "a")

    assert first.id == again.id
    assert queries.problems(session) == []


def test_many_at_once_and_failures_leave_no_gap(database: str) -> None:
    start = Barrier(8)

    def work(place: int) -> None:
        start.wait()
        for turn in range(5):
            sheet = spoilt if (place + turn) % 3 == 0 else drawn
            try:
                with db.write() as session:
                    made = draft(f"{place}:{turn}")
                    service.issue(session, made, sheet=sheet, now=NOW)
            except Spoilt:
                continue

    threads = [Thread(target=work, args=(place,)) for place in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    with db.read() as session:
        numbers = [paper.sequence for paper in queries.every(session, limit=100)]
        assert sorted(numbers) == list(range(1, len(numbers) + 1))
        assert 20 < len(numbers) < 40
        assert queries.problems(session) == []


def test_a_gap_is_found(session: Session) -> None:
    issue(session, "a")
    session.execute(text("UPDATE papers_series SET last = last + 1"))

    assert queries.problems(session) == [
        "series SB-2026 counts to 2, but has 1 papers up to number 1"
    ]


@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE papers_paper SET total_minor = 1",
        "DELETE FROM papers_paper",
        "TRUNCATE papers_paper CASCADE",
        "UPDATE papers_series SET last = last - 1",
        "UPDATE papers_series SET last = last + 2",
        "DELETE FROM papers_series",
        "UPDATE papers_company SET actor = ''",
    ],
)
def test_what_is_issued_never_changes(session: Session, statement: str) -> None:
    issue(session, "a")

    with pytest.raises(DatabaseError), session.begin_nested():
        session.execute(text(statement))

    assert session.execute(text("SELECT total_minor FROM papers_paper")).scalar() == 1200
