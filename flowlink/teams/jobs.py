"""What the clock starts in teams."""

from datetime import datetime

from flowlink.kernel import db, jobs
from flowlink.teams import service as teams


@jobs.job("teams_close", cron="20 2 * * *")
def close_teams(now: datetime) -> str:
    """End the deleted teams whose day has come."""
    with db.write() as session:
        closed = teams.close_due(session, now=now)
    return f"{closed} teams closed"
