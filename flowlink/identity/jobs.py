"""Housekeeping of identity."""

from datetime import datetime

from flowlink.identity import service
from flowlink.kernel import db, jobs


@jobs.job("identity_forget", cron="20 3 * * *")
def forget_ended(now: datetime) -> str:
    """Drop sign-in links and sessions that ended long ago."""
    with db.write() as session:
        return f"{service.forget_old(session, now=now)} ended links and sessions deleted"
