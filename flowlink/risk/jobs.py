"""What the clock and events start in risk."""

from datetime import datetime
from typing import Any
from uuid import UUID

from flowlink.kernel import db, jobs, policy as policies
from flowlink.risk import sweep, watches


@jobs.job(sweep.JOB, cron="*/10 * * * *")
def risk_sweep(now: datetime) -> str:
    """Run the velocity rule, look at busy traffic, and count what waits too long for a person."""
    done = sweep.run(now)
    if done.off:
        return f"switched off; {done.overdue} decisions overdue"
    return f"{done.placed} holds placed, {done.watched} clicks watched, {done.overdue} overdue"


@jobs.handler("watch.self_dealing")
def hold_self_dealing(payload: dict[str, Any], now: datetime) -> None:
    """Hold whoever clicks their own links in numbers."""
    with db.write() as session:
        watches.hold_self_dealing(
            session,
            watch_id=UUID(payload["watch_id"]),
            now=now,
            policy=policies.at(session, now),
        )
