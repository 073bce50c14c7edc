"""Jobs: what the clock and the outbox start. Each is safe to run twice, for any time."""

import json
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, TypeVar

from sqlalchemy import select, text
from sqlalchemy.orm import Session, aliased

from flowlink.kernel import clock, db, logs
from flowlink.kernel.errors import NotFound
from flowlink.kernel.models import JobRun

BATCH = 500
QUEUE = "default"
K = TypeVar("K")


class UnknownJob(NotFound):
    message = "There is no job named %(name)s."


@dataclass(frozen=True, slots=True)
class Job:
    """Something the schedule runs. `cron` is in UTC; without one it only runs by hand."""

    name: str
    run: Callable[[datetime], str]
    cron: str | None
    retries: int


@dataclass(frozen=True, slots=True)
class Handler:
    """Something an event starts. A coalescing one does all that is due in one run."""

    name: str
    event: str
    run: Callable[[dict[str, Any], datetime], None]
    coalesce: bool
    retries: int


JOBS: dict[str, Job] = {}
HANDLERS: dict[str, Handler] = {}


def job(
    name: str, cron: str | None = None, retries: int = 5
) -> Callable[[Callable[[datetime], str]], Callable[[datetime], str]]:
    """Register `run(now) -> one line about what was done` under `name`."""

    def register(run: Callable[[datetime], str]) -> Callable[[datetime], str]:
        JOBS[name] = Job(name=name, run=run, cron=cron, retries=retries)
        return run

    return register


Handle = Callable[[dict[str, Any], datetime], None]


def handler(event: str, *, coalesce: bool = False, retries: int = 10) -> Callable[[Handle], Handle]:
    """Register `run(payload, now)` for an event. One event may have several handlers."""

    def register(run: Handle) -> Handle:
        name = f"{run.__module__.removeprefix('flowlink.')}.{run.__name__}"
        HANDLERS[name] = Handler(
            name=name, event=event, run=run, coalesce=coalesce, retries=retries
        )
        return run

    return register


def enqueue(session: Session, task: str, args: dict[str, Any], *, coalesce: bool = False) -> None:
    """Put a task on the queue in this transaction; a coalescing one only if none is due already.

    Two may still be queued at the same moment: the second finds nothing left to do.
    """
    due = text(
        "SELECT 1 FROM procrastinate_jobs WHERE task_name = :task AND status = 'todo'"
        " AND (scheduled_at IS NULL OR scheduled_at <= now()) LIMIT 1"
    )
    if coalesce and session.execute(due, {"task": task}).first():
        return
    defer = text(
        "SELECT procrastinate_defer_jobs_v1(ARRAY[ROW(:queue, :task, 0, NULL, NULL,"
        " CAST(:args AS jsonb), NULL)::procrastinate_job_to_defer_v1])"
    )
    session.execute(defer, {"queue": QUEUE, "task": task, "args": json.dumps(args)})


def deliver() -> int:
    """Turn waiting events into queued tasks, in one transaction; returns how many events."""
    take = text(
        "UPDATE kernel_event SET delivered_at = now() WHERE id IN ("
        "SELECT id FROM kernel_event WHERE delivered_at IS NULL ORDER BY id LIMIT :batch "
        "FOR UPDATE SKIP LOCKED) RETURNING id, name, payload"
    )
    with db.write() as session:
        events = sorted(session.execute(take, {"batch": BATCH}).all())
        for _, name, payload in events:
            for one in HANDLERS.values():
                if one.event == name:
                    args = {} if one.coalesce else {"payload": payload}
                    enqueue(session, one.name, args, coalesce=one.coalesce)
    return len(events)


def each(keys: Iterable[K], work: Callable[[K], object]) -> list[K]:
    """Do `work` for each key; returns those that failed. One failure stops nobody else's work.

    Each failure is logged; where it is to be seen is the caller's to say.
    """
    failed = []
    for key in keys:
        try:
            work(key)
        except Exception as error:  # noqa: BLE001
            logs.get().error("a part of a job failed", key=str(key)[:200], error=repr(error)[:300])
            failed.append(key)
    return failed


def run(name: str, at: datetime) -> str:
    """Run a job in the foreground for the time `at` and keep how it ended.

    :raises UnknownJob: nothing is registered under this name.
    """
    if name not in JOBS:
        raise UnknownJob(name=name)
    return _recorded(name, JOBS[name].run, at)


def failing(session: Session) -> Sequence[JobRun]:
    """The last run of each job that ended badly and has not run well since, by name."""
    later = aliased(JobRun)
    since = select(later.id).where(later.name == JobRun.name, later.id > JobRun.id)
    bad = select(JobRun).where(JobRun.ok.is_(False), ~since.exists())
    return session.scalars(bad.order_by(JobRun.name)).all()


def perform(task: str, args: dict[str, Any], now: datetime) -> None:
    """Run one queued task: a job or an event's handler."""
    if task in JOBS:
        run(task, now)
        return
    if task not in HANDLERS:
        raise UnknownJob(name=task)
    HANDLERS[task].run(args.get("payload", {}), now)


def _recorded(name: str, work: Callable[[datetime], str], at: datetime) -> str:
    record = JobRun(name=name, as_of=at, started_at=clock.now(), ok=False, result="")
    try:
        result = work(at)
    except Exception as error:
        _keep(record, ok=False, result=f"{type(error).__name__}: {error}")
        raise
    _keep(record, ok=True, result=result)
    return result


def _keep(record: JobRun, *, ok: bool, result: str) -> None:
    record.ok, record.result, record.ended_at = ok, result[:2000], clock.now()
    with db.write() as session:
        session.add(record)


def run_pending(now: datetime) -> int:
    """Do all that waits, events and queued tasks, in the calling thread; returns how many tasks.

    A task that fails is marked so, and its error comes out here.
    """
    done = 0
    while True:
        delivered = deliver()
        performed = _perform_next(now)
        done += performed
        if not delivered and not performed:
            return done


def _perform_next(now: datetime) -> int:
    fetch = text(
        "SELECT id, task_name, args FROM procrastinate_fetch_job_v2(NULL, NULL)"
        " WHERE id IS NOT NULL"
    )
    with db.write() as session:
        row = session.execute(fetch).first()
    if row is None:
        return 0
    try:
        perform(row.task_name, row.args, now)
    except Exception:
        _finish(row.id, "failed")
        raise
    _finish(row.id, "succeeded")
    return 1


def _finish(job_id: int, status: str) -> None:
    finish = text(
        "SELECT procrastinate_finish_job_v1(:id, CAST(:status AS procrastinate_job_status), false)"
    )
    with db.write() as session:
        session.execute(finish, {"id": job_id, "status": status})
