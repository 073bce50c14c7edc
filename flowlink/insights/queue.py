"""What the jobs screen shows: the schedule, how each job ended, what waits and what failed."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from croniter import croniter  # type: ignore[import-untyped]
from sqlalchemy import func, select, text
from sqlalchemy.dialects.postgresql import distinct_on
from sqlalchemy.orm import Session

from flowlink.kernel import jobs
from flowlink.kernel.models import Event, JobRun


@dataclass(frozen=True)
class ScheduledJob:
    """A job, when it runs next, and how it ended last."""

    name: str
    about: str
    cron: str | None
    next_at: datetime | None
    last: JobRun | None


@dataclass(frozen=True)
class Listener:
    """What an event starts."""

    name: str
    event: str
    about: str


@dataclass(frozen=True)
class FailedTask:
    """A task that used up its attempts. It stays until somebody retries it."""

    task_id: int
    name: str
    args: dict[str, Any]
    attempts: int
    failed_at: datetime | None


@dataclass(frozen=True)
class Queue:
    """How much waits. `oldest_at` is the oldest event that no worker has taken yet."""

    events_waiting: int
    oldest_at: datetime | None
    tasks_waiting: int
    tasks_running: int
    tasks_failed: int


def schedule(session: Session, now: datetime) -> Sequence[ScheduledJob]:
    """Every registered job by name."""
    latest = select(JobRun).ext(distinct_on(JobRun.name)).order_by(JobRun.name, JobRun.id.desc())
    last = {run.name: run for run in session.scalars(latest)}
    return [
        ScheduledJob(
            name=name,
            about=_first_line(job.run.__doc__),
            cron=job.cron,
            next_at=croniter(job.cron, now).get_next(datetime) if job.cron else None,
            last=last.get(name),
        )
        for name, job in sorted(jobs.JOBS.items())
    ]


def ending(run: JobRun | None) -> tuple[datetime | None, bool | None, str]:
    """How a run went, for a row of a list."""
    return (run.started_at, run.ok, run.result) if run else (None, None, "")


def listeners() -> Sequence[Listener]:
    """Every registered handler by event."""
    found = [
        Listener(name=one.name, event=one.event, about=_first_line(one.run.__doc__))
        for one in jobs.HANDLERS.values()
    ]
    return sorted(found, key=lambda one: (one.event, one.name))


def waiting(session: Session) -> Queue:
    """What the queue holds now."""
    events = select(func.count(), func.min(Event.at)).where(Event.delivered_at.is_(None))
    event_count, oldest_at = session.execute(events).one()
    states = text("SELECT status::text, count(*) FROM procrastinate_jobs GROUP BY 1")
    tasks: dict[str, int] = dict(session.execute(states).all())
    return Queue(
        events_waiting=event_count,
        oldest_at=oldest_at,
        tasks_waiting=tasks.get("todo", 0),
        tasks_running=tasks.get("doing", 0),
        tasks_failed=tasks.get("failed", 0),
    )


def failed(session: Session, *, limit: int = 100) -> Sequence[FailedTask]:
    """The newest failures first."""
    rows = text(
        "SELECT task.id, task.task_name, task.args, task.attempts, max(event.at)"
        " FROM procrastinate_jobs task LEFT JOIN procrastinate_events event"
        " ON event.job_id = task.id AND event.type = 'failed'"
        " WHERE task.status = 'failed' GROUP BY task.id ORDER BY task.id DESC LIMIT :limit"
    )
    return [FailedTask(*row) for row in session.execute(rows, {"limit": limit})]


def runs(session: Session, *, name: str, limit: int = 50) -> Sequence[JobRun]:
    """How a job ended, the latest run first."""
    mine = select(JobRun).where(JobRun.name == name).order_by(JobRun.id.desc()).limit(limit)
    return session.scalars(mine).all()


def failures_since(session: Session, since: datetime) -> int:
    """Runs that failed, by the schedule or by hand."""
    bad = select(func.count()).where(JobRun.ok.is_(False), JobRun.started_at >= since)
    return session.scalar(bad) or 0


def _first_line(docstring: str | None) -> str:
    return (docstring or "").strip().partition("\n")[0]
