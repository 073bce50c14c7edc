"""What is seen of journals: by the operator, by monitoring, on the command line."""

from datetime import datetime, timedelta
from pathlib import Path

import pytest
from sqlalchemy.orm import Session

from flowlink.app import diagnosis, health as figures
from flowlink.kernel import clock, db
from flowlink.tracking import (
    click_record,
    clickid,
    journal_health,
    journal_repair,
    segment,
    shipping,
    wiring,
)
from flowlink.tracking.clicks import Row
from flowlink.tracking.journal_models import EdgeState, JournalLoss, Unrecorded
from flowlink.tracking.journal_writer import Writer
from flowlink.tracking.segment import Taken
from tests.tracking.journals import TINY, written
from tests.tracking.makers import ask, committed_shop


def records(count: int, *, at: datetime) -> list[bytes]:
    """Clicks of one visitor each."""
    maker = clickid.Maker(900)
    return [
        click_record.pack(Row(maker.next(at), number, 1, 1, 0, 0, 0, "Firefox", ""))
        for number in range(count)
    ]


def make_journal(found: list[bytes]) -> Path:
    writer = Writer(wiring.journals(), bounds=TINY)
    for record in found:
        written(writer, [record])
    writer.close()
    return writer.directory


@pytest.mark.usefixtures("database")
def test_what_waits_is_told_until_it_is_shipped() -> None:
    committed_shop()
    early = clock.now() - timedelta(minutes=3)
    make_journal(records(5, at=early))

    (before,) = shipping.survey(wiring.journals())
    shipping.tell([before], now=clock.now())
    with db.read() as session:
        seen = journal_health.health(session, now=clock.now())
    text = bytes(figures.metrics().body).decode()

    assert (before.backlog.records, before.error) == (5, "")
    assert before.oldest_at is not None
    assert abs(before.oldest_at - early) < timedelta(seconds=1)
    assert (seen.waiting, seen.late, seen.is_well) == (5, 1, False)
    assert f'flowlink_journal_records{{edge="{before.edge}"' in text
    assert shipping.flush(wiring.journals(), new_store=wiring.new_store(), patience_s=20) == 0
    assert ask("SELECT count(*) FROM tracking_click") == [(5,)]


@pytest.mark.usefixtures("database")
def test_a_replaced_journal_stands_still_until_a_person_accepts_it() -> None:
    committed_shop()
    found = records(6, at=clock.now())
    directory = make_journal(found[:4])
    shipping.flush(wiring.journals(), new_store=wiring.new_store(), patience_s=20)
    edge = segment.edge_of(directory)
    for one in segment.listed(directory, edge=edge):
        segment.remove(one)
    make_journal(found)

    (halted,) = shipping.survey(wiring.journals())
    with db.write() as session:
        done = journal_repair.accept(session, directory=directory)
    (after,) = shipping.survey(wiring.journals())

    assert "no segment" in halted.error
    assert (done.stored, done.known, done.unreadable) == (2, 4, 0)
    assert (after.error, after.backlog.records) == ("", 0)
    assert ask("SELECT count(*), count(DISTINCT id) FROM tracking_click") == [(6, 6)]
    assert ask("SELECT sum(valid + flagged) FROM tracking_click_day") == [(6,)]


@pytest.mark.usefixtures("database")
def test_a_journal_in_use_is_not_accepted() -> None:
    directory = make_journal(records(1, at=clock.now()))

    with (
        segment.held(directory / "shipping"),
        pytest.raises(Taken),
        db.write() as session,
    ):
        journal_repair.accept(session, directory=directory)

    assert ask("SELECT count(*) FROM tracking_click") == [(1,)]


def test_losses_of_the_week_are_counted_and_older_ones_are_not(
    session: Session, now: datetime
) -> None:
    for days, records_ in ((1, 3), (1, None), (30, 9)):
        session.add(
            JournalLoss(
                edge="e",
                number=1,
                start_offset=0,
                end_offset=9,
                damage="corrupt",
                records=records_,
                at=now - timedelta(days=days),
            )
        )
    session.add(Unrecorded(day=now.date(), edge="e", count=7, at=now))
    state = {"host": "h", "directory": "/j", "backlog_bytes": 0, "backlog_records": 0}
    session.add(EdgeState(edge="e", **state, oldest_at=None, error="replaced", seen_at=now))
    session.flush()

    seen = journal_health.health(session, now=now)

    assert (seen.damages, seen.lost, seen.unrecorded, seen.halted) == (2, 3, 7, 1)
    assert not seen.is_well


@pytest.mark.usefixtures("database")
def test_the_doctor_looks_at_journals() -> None:
    committed_shop()
    make_journal(records(2, at=clock.now() - timedelta(hours=1)))

    found = list(diagnosis._journals())

    assert not found[0].well
    assert "2 clicks" in found[0].text
    assert [one.well for one in found[1:]] == [True, True, True]
