"""Jobs and events: what is due runs once, failures are seen, rolled-back facts wake nobody."""

from collections.abc import Generator
from datetime import datetime
from typing import Any

import pytest
from sqlalchemy import select, text
from sqlalchemy.orm import Session

from flowlink.kernel import events, jobs, settings, worker
from flowlink.kernel.models import JobRun

Seen = list[tuple[str, dict[str, Any]]]


@pytest.fixture
def seen() -> Generator[Seen]:
    """Two handlers of one event, and what they were called with."""
    calls: Seen = []
    kept_jobs, kept_handlers = dict(jobs.JOBS), dict(jobs.HANDLERS)

    @jobs.handler("lamp.lit")
    def each(payload: dict[str, Any], now: datetime) -> None:
        calls.append(("each", payload))

    @jobs.handler("lamp.lit", coalesce=True)
    def together(payload: dict[str, Any], now: datetime) -> None:
        calls.append(("together", payload))

    @jobs.handler("lamp.broken")
    def fails(payload: dict[str, Any], now: datetime) -> None:
        raise RuntimeError(payload["why"])

    @jobs.job("polish", cron="0 3 * * *")
    def polish(now: datetime) -> str:
        calls.append(("polish", {"at": now}))
        return "3 lamps polished"

    @jobs.job("drop")
    def drop(now: datetime) -> str:
        raise ValueError("glass everywhere")

    yield calls
    jobs.JOBS.clear()
    jobs.JOBS.update(kept_jobs)
    jobs.HANDLERS.clear()
    jobs.HANDLERS.update(kept_handlers)


def test_events_reach_every_handler_and_coalescing_ones_once(
    session: Session, now: datetime, seen: Seen
) -> None:
    for room in ("hall", "cellar"):
        events.emit(session, "lamp.lit", {"room": room})
    session.flush()

    done = jobs.run_pending(now)

    each = [payload["room"] for name, payload in seen if name == "each"]
    assert (done, each, seen.count(("together", {}))) == (3, ["hall", "cellar"], 1)
    assert jobs.run_pending(now) == 0


def test_a_fact_that_is_rolled_back_wakes_nobody(
    session: Session, now: datetime, seen: Seen
) -> None:
    with session.begin_nested() as savepoint:
        events.emit(session, "lamp.lit", {"room": "hall"})
        session.flush()
        savepoint.rollback()

    assert jobs.run_pending(now) == 0
    assert seen == []


def test_a_handler_that_fails_is_marked_and_heard(
    session: Session, now: datetime, seen: Seen
) -> None:
    events.emit(session, "lamp.broken", {"why": "no oil"})
    session.flush()

    with pytest.raises(RuntimeError, match="no oil"):
        jobs.run_pending(now)

    states = session.scalars(text("SELECT status::text FROM procrastinate_jobs")).all()
    assert states == ["failed"]


def test_a_run_by_hand_keeps_its_result(session: Session, now: datetime, seen: Seen) -> None:
    assert jobs.run("polish", now) == "3 lamps polished"

    run = session.scalars(select(JobRun)).one()
    assert (run.name, run.ok, run.result, run.as_of) == ("polish", True, "3 lamps polished", now)


def test_a_failed_run_keeps_its_reason(session: Session, now: datetime, seen: Seen) -> None:
    with pytest.raises(ValueError, match="glass"):
        jobs.run("drop", now)

    run = session.scalars(select(JobRun)).one()
    assert (run.ok, run.result) == (False, "ValueError: glass everywhere")


def test_a_job_fails_until_it_has_run_well_again(
    session: Session, now: datetime, seen: Seen
) -> None:
    with pytest.raises(ValueError, match="glass"):
        jobs.run("drop", now)
    jobs.run("polish", now)
    failing = [(run.name, run.result) for run in jobs.failing(session)]
    jobs.job("drop")(lambda _: "nothing to drop")
    jobs.run("drop", now)

    assert failing == [("drop", "ValueError: glass everywhere")]
    assert jobs.failing(session) == []


def test_an_unknown_name_is_refused(session: Session, now: datetime, seen: Seen) -> None:
    with pytest.raises(jobs.UnknownJob):
        jobs.run("sing", now)
    with pytest.raises(jobs.UnknownJob):
        jobs.perform("sing", {}, now)


def test_a_queued_job_runs_for_the_time_it_is_given(
    session: Session, now: datetime, seen: Seen
) -> None:
    jobs.enqueue(session, "polish", {})
    session.flush()

    jobs.run_pending(now)

    assert seen == [("polish", {"at": now})]


@pytest.mark.parametrize(("offset_s", "expected"), [(86400, ["polish"]), (0, [])])
def test_a_moved_clock_brings_the_whole_schedule_at_once(
    session: Session,
    now: datetime,
    seen: Seen,
    monkeypatch: pytest.MonkeyPatch,
    offset_s: int,
    expected: list[str],
) -> None:
    moved = settings.current().model_copy(update={"flowlink_clock_offset_s": offset_s})
    monkeypatch.setattr(settings, "_in_use", [moved])
    for name in jobs.JOBS.keys() - {"polish", "drop"}:
        del jobs.JOBS[name]

    worker.catch_up()
    jobs.run_pending(now)

    assert [name for name, _ in seen] == expected
