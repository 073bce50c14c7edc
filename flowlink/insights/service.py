"""What an operator does by hand: what the schedule does, and a line in the audit log."""

from datetime import datetime

from sqlalchemy import text
from sqlalchemy.orm import Session

from flowlink.kernel import audit, db, jobs
from flowlink.kernel.errors import Refused


class NotFailed(Refused):
    message = "This task is not among the failed ones any more."


def run_job(session: Session, *, name: str, actor: str, now: datetime, ip: str = "") -> None:
    """Queue the job for the next free worker.

    :raises jobs.UnknownJob: nothing is registered under this name.
    """
    if name not in jobs.JOBS:
        raise jobs.UnknownJob(name=name)
    jobs.enqueue(session, name, {})
    audit.record(session, actor, "ran job", name, now, ip)


def retry_task(session: Session, *, task_id: int, actor: str, now: datetime, ip: str = "") -> None:
    """Queue a failed task again.

    :raises NotFailed: it does not wait for a person: never existed, or was retried already.
    """
    db.advisory_lock(session, f"task:{task_id}")  # two people who press at once retry it once
    again = text(
        "SELECT task_name,"
        " procrastinate_retry_job_v2(id, CAST(:now AS timestamptz), NULL, NULL, NULL)"
        " FROM procrastinate_jobs WHERE id = :id AND status = 'failed'"
    )
    row = session.execute(again, {"id": task_id, "now": now}).first()
    if row is None:
        raise NotFailed
    audit.record(session, actor, "retried task", row.task_name, now, ip, task=task_id)
