"""Jobs by hand, and the proof of the ledger."""

from argparse import Namespace
from datetime import datetime
from typing import Any

from flowlink.app import opening
from flowlink.app.outcome import Failed, say
from flowlink.kernel import clock, db, jobs


def list_jobs(arguments: Namespace) -> None:
    """Print one line a job: name, schedule, when it last ran and how that ended."""
    from sqlalchemy import select
    from sqlalchemy.dialects.postgresql import distinct_on

    from flowlink.kernel.models import JobRun

    with opening.database(arguments), db.read() as session:
        latest = (
            select(JobRun).ext(distinct_on(JobRun.name)).order_by(JobRun.name, JobRun.id.desc())
        )
        runs = {run.name: run for run in session.scalars(latest)}
        for name, job in sorted(jobs.JOBS.items()):
            say("\t".join([name, job.cron or "by hand", _outcome(runs.get(name))]))


def run_job(arguments: Namespace) -> None:
    """Run one job in the foreground; its result is printed, its failure is the reason."""
    with opening.database(arguments):
        at = _moment(arguments.at) if arguments.at else clock.now()
        if arguments.name not in jobs.JOBS:
            raise Failed(f"there is no job named {arguments.name}: see `flowlink jobs list`")
        try:
            say(jobs.run(arguments.name, at))
        except Exception as error:
            raise Failed(f"{arguments.name} failed: {type(error).__name__}: {error}") from error


def check_ledger(arguments: Namespace) -> int:
    """Print what is wrong with the money, a line each; exit code 1 when anything is."""
    from flowlink.app import checks

    with opening.database(arguments), db.read() as session:
        problems = checks.problems(session)
    say("\n".join(problems) if problems else "the ledger is clean")
    return 1 if problems else 0


def _moment(text: str) -> datetime:
    try:
        return clock.in_utc(datetime.fromisoformat(text))
    except ValueError:
        raise Failed(f"{text!r} is not a time such as 2026-11-21T03:00:00Z") from None


def _outcome(run: Any) -> str:
    if run is None:
        return "never ran"
    return f"{'ok' if run.ok else 'FAILED'} {run.ended_at:%Y-%m-%dT%H:%M:%SZ} {run.result}"
