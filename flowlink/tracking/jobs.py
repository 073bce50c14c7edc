"""What tracking does by the clock: days ahead for clicks, old orphans tried again."""

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

from flowlink.kernel import db, jobs
from flowlink.tracking import folding, housekeeping, postbacks, recount, replays, reports
from flowlink.tracking.ids import PostbackId
from flowlink.tracking.models import Result
from flowlink.tracking.postbacks import PostbackResult
from flowlink.tracking.replays import Chosen

RECOUNTED_DAYS = 3


@jobs.job("click_partitions", cron="5 0,12 * * *")
def click_partitions(now: datetime) -> str:
    """Prepare the coming days, and forget what tells visitors of past days apart."""
    made = 0
    for day in housekeeping.days_ahead(now):
        with db.write() as session:  # one lock a transaction: clicks never wait for a week's worth
            made += housekeeping.ensure_partition(session, day=day)
    with db.write() as session:
        housekeeping.forget_visitors(session, today=now.astimezone(UTC).date())
    with db.write() as session:
        forgotten = housekeeping.forget_counts(session, today=now.astimezone(UTC).date())
    return f"{made} days prepared, {forgotten} old counts forgotten"


@jobs.job("click_fold", cron="* * * * *")
def click_fold(now: datetime) -> str:
    """Count where the clicks of the last minute came from, and pack what is of past days."""
    batches = clicks = 0
    while True:
        with db.write() as session:
            found = folding.fold(session)
        batches, clicks = batches + found[0], clicks + found[1]
        if found[0] < folding.BATCHES:
            break
    with db.read() as session:
        over = folding.unpacked(session, today=now.astimezone(UTC).date())
    for day in over:
        with db.write() as session:
            folding.pack(session, day=day)
    return f"{clicks} clicks of {batches} batches, {len(over)} days packed"


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
    tried = matched = failed = 0
    last = None
    while True:
        with db.read() as session:
            batch = postbacks.waiting(session, now=now, after=last)
        if not batch:
            unread = f", {failed} could not be read" if failed else ""
            return f"{matched} of {tried} orphans matched{unread}"
        results, failures = _read_again(batch, now)
        tried, failed, last = tried + len(batch), failed + failures, batch[-1]
        matched += sum(one.result in {Result.OK, Result.DUPLICATE} for one in results)


@jobs.job("postback_forget", cron="10 4 * * *")
def postback_forget(now: datetime) -> str:
    """Drop what strangers sent more than a month ago: it showed no key and moved nothing."""
    forgotten = 0
    while True:
        with db.write() as session:
            count = postbacks.forget_strangers(session, now=now)
        if not count:
            return f"{forgotten} postbacks of strangers forgotten"
        forgotten += count


@jobs.job("report_resume", cron="*/10 * * * *")
def report_resume(now: datetime) -> str:
    """Go on with reports whose booking was interrupted."""
    with db.read() as session:
        unfinished = reports.running(session)
    booked = sum(_book_report(report_id, now) for report_id in unfinished)
    return f"{booked} rows of {len(unfinished)} reports booked"


@jobs.handler("report.started")
def import_report(payload: dict[str, Any], now: datetime) -> None:
    """Book every row of the report."""
    _book_report(UUID(payload["report_id"]), now)


@jobs.handler("postbacks.kept")
def read_kept(payload: dict[str, Any], now: datetime) -> None:
    """Read what edges without a database took, in the order in which it was stored."""
    until = PostbackId(UUID(payload["until"]))
    while True:
        with db.read() as session:
            batch = postbacks.unread(session, until=until)
        if not batch:
            return
        _read_again(batch, now)


@jobs.handler("network.taught")
def replay_word(payload: dict[str, Any], now: datetime) -> None:
    """Read everything again that waited for the word."""
    _replay(Chosen.of({"result": Result.QUARANTINED.value, **payload}), now)


@jobs.handler("postbacks.replay_asked")
def replay_chosen(payload: dict[str, Any], now: datetime) -> None:
    """Read everything again that matches."""
    _replay(Chosen.of(payload), now)


def _book_report(report_id: UUID, now: datetime) -> int:
    """Batch after batch, each in its own transaction: what is booked stays booked."""
    booked = 0
    while True:
        with db.write() as session:
            count = reports.book_batch(session, report_id=report_id, now=now)
        if not count:
            return booked
        booked += count


def _replay(chosen: Chosen, now: datetime) -> None:
    after = None
    while True:
        with db.read() as session:
            batch = replays.batch(session, chosen=chosen, after=after, until=now)
        if not batch:
            return
        _read_again(batch, now)
        after = batch[-1]


def _read_again(batch: Sequence[PostbackId], now: datetime) -> tuple[list[PostbackResult], int]:
    """Read them in one transaction; if that fails each in its own. Who fails alone is marked."""
    results: list[PostbackResult] = []

    def read(some: Sequence[PostbackId]) -> None:
        with db.write() as session:
            done = postbacks.process_all(session, postback_ids=some, now=now)
        results.extend(done)

    if not jobs.each([batch], read):
        return results, 0
    failed = jobs.each([[one] for one in batch], read)
    with db.write() as session:
        for [one] in failed:
            postbacks.mark_failed(session, postback_id=one, now=now)
    return results, len(failed)
