"""Housekeeping of the installation itself: stalled tasks, old rows, the audit of the ledger."""

from datetime import datetime, timedelta

from sqlalchemy import text

from flowlink.app import checks, clicks_archive
from flowlink.kernel import db, jobs, limits

STALLED_AFTER_S = 60
KEPT_DAYS = 30


class LedgerUnsound(Exception):
    """The nightly audit found something; the message lists all of it."""


@jobs.job("ledger_check", cron="30 3 * * *", retries=0)
def check_ledger(now: datetime) -> str:
    """Prove that every balance, lot and open payout is what its entries say.

    :raises LedgerUnsound: with every problem by name; the run then shows as failed.
    """
    with db.read() as session:
        problems = checks.problems(session)
    if problems:
        raise LedgerUnsound("\n".join(problems))
    return "clean"


@jobs.job("tasks_reap", cron="* * * * *")
def reap_tasks(now: datetime) -> str:
    """Queue again what a killed worker was doing: tasks are safe to repeat."""
    stalled = text(
        "SELECT task.id, procrastinate_retry_job_v2(task.id, now(), NULL, NULL, NULL)"
        " FROM procrastinate_jobs task LEFT JOIN procrastinate_workers worker"
        " ON worker.id = task.worker_id WHERE task.status = 'doing'"
        " AND coalesce(worker.last_heartbeat, (SELECT max(at) FROM procrastinate_events event"
        " WHERE event.job_id = task.id)) < now() - make_interval(secs => :seconds)"
    )
    with db.write() as session:
        count = len(session.execute(stalled, {"seconds": STALLED_AFTER_S}).all())
        session.execute(
            text("SELECT procrastinate_prune_stalled_workers_v1(:seconds)"),
            {"seconds": STALLED_AFTER_S},
        )
    return f"{count} stalled tasks queued again"


@jobs.job("old_rows_forget", cron="15 2 * * *")
def forget_old_rows(now: datetime) -> str:
    """Drop delivered events, finished tasks and limits' counters that nobody looks at any more."""
    before = {"before": now - timedelta(days=KEPT_DAYS)}
    events = text("DELETE FROM kernel_event WHERE delivered_at < :before")
    tasks = text(
        "DELETE FROM procrastinate_jobs task WHERE task.status = 'succeeded' AND NOT EXISTS"
        " (SELECT FROM procrastinate_events event WHERE event.job_id = task.id"
        " AND event.at >= :before)"
    )
    runs = text("DELETE FROM kernel_job_run WHERE started_at < :before AND ok")
    with db.write() as session:
        counts = [session.execute(old, before).rowcount for old in (events, tasks, runs)]  # type: ignore[attr-defined]
    counters = limits.forget_old(now)
    return "{} events, {} tasks, {} runs, {} counters".format(*counts, counters)


@jobs.job("click_archive", cron="10 4 * * *", retries=0)
def archive_clicks(now: datetime) -> str:
    """Put days of clicks away that are older than `CLICKS_KEEP_DAYS`, each in a Parquet file."""
    done = clicks_archive.run(now)
    clicks = sum(one.clicks for one in done)
    return f"{len(done)} days put away, {clicks} clicks"
