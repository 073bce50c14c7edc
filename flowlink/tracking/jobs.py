"""What tracking does by the clock: days ahead for clicks, old orphans tried again."""

from datetime import UTC, datetime, timedelta

from flowlink.kernel import db, jobs
from flowlink.tracking import housekeeping, postbacks, recount
from flowlink.tracking.models import Result

RECOUNTED_DAYS = 3


@jobs.job("click_partitions", cron="5 0,12 * * *")
def click_partitions(now: datetime) -> str:
    """Prepare the coming days, and forget what tells visitors of past days apart."""
    made = 0
    for day in housekeeping.days_ahead(now):
        with db.write() as session:  # one lock a transaction: clicks never wait for a week's worth
            made += housekeeping.ensure_partition(session, day=day)
    with db.write() as session:
        forgotten = housekeeping.forget_visitors(session, today=now.astimezone(UTC).date())
    return f"{made} days prepared, {forgotten} visitors forgotten"


class CountsDiffer(Exception):
    """The nightly recount found something; the message lists all of it."""


@jobs.job("click_recount", cron="40 3 * * *", retries=0)
def click_recount(now: datetime) -> str:
    """Prove the counts of the last days, late clicks included, against the clicks.

    :raises CountsDiffer: with every table and day; the run then shows as failed.
    """
    today = now.astimezone(UTC).date()
    found = []
    with db.read() as session:
        days = recount.days(session, since=today - timedelta(days=RECOUNTED_DAYS), until=today)
    for day in days:
        with db.read() as session:
            found += recount.differences(session, day=day, now=now)
    if found:
        raise CountsDiffer("\n".join(f"{one.day} {one.table}: {one.rows} rows" for one in found))
    return f"{len(days)} days counted, no difference"


@jobs.job("postback_rematch", cron="17 * * * *")
def postback_rematch(now: datetime) -> str:
    """Try the orphans of the last seven days again, and what an interruption left unread."""
    tried = matched = 0
    last = None
    while True:
        with db.read() as session:
            batch = postbacks.waiting(session, now=now, after=last)
        if not batch:
            return f"{matched} of {tried} orphans matched"
        for last in batch:
            with db.write() as session:
                result = postbacks.process(session, postback_id=last, now=now)
            tried += 1
            matched += result.result in {Result.OK, Result.DUPLICATE}
