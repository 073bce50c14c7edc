"""What the clock and other modules' events start in payouts."""

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from flowlink.kernel import db, jobs, logs
from flowlink.partners.ids import PartnerId
from flowlink.payouts import accruals, commissions, holds, queries, reserve, rewards

BATCH = 500
RECENT = timedelta(days=2)  # how far back an event makes us look; the sweep looks at everything

log = logs.get("flowlink.payouts")


@jobs.job("reserve_release", cron="0 1 * * *")
def release_reserve(now: datetime) -> str:
    """Release every reserve lot whose day has come."""
    released = 0
    while True:
        with db.write() as session:
            count = reserve.release(session, now=now)
        if not count:
            return f"{released} reserve lots released"
        released += count


@jobs.job("commission_sweep", cron="*/10 * * * *")
def sweep_commissions(now: datetime) -> str:
    """Post whatever the events have missed, however old it is."""
    return f"{_post_due(now, since=None)} revisions posted"


@jobs.job("click_accrual", cron="7 * * * *")
def accrue_clicks(now: datetime) -> str:
    """Pay the clicks of every hour that is over, and those that came late to one before."""
    paid = zero = 0
    while True:
        with db.write() as session:
            done = accruals.accrue(session, now=now)
        if done is None:
            return f"{paid} clicks paid, {zero} earned nothing"
        paid += done.paid
        zero += done.zero


@jobs.handler("conversion.changed", coalesce=True)
def post_commissions(payload: dict[str, Any], now: datetime) -> None:
    """Post all that is due, not the one conversion that the event names."""
    _post_due(now, since=now - RECENT)


@jobs.job("referral_rewards", cron="*/5 * * * *")
def pay_referrals(now: datetime) -> str:
    """Bring up to date what partners get for those they brought."""
    settled = 0
    while True:
        with db.write() as session:
            count = rewards.settle(session, now=now)
        if not count:
            return f"{settled} rewards settled"
        settled += count


@jobs.handler("hold.lifted")
def give_held(payload: dict[str, Any], now: datetime) -> None:
    """Make available what the hold kept apart."""
    partner_id = PartnerId(UUID(payload["partner_id"]))
    with db.write() as session:
        hold_id = UUID(payload["hold_id"])
        holds.give_held(session, partner_id=partner_id, hold_id=hold_id, now=now)


def _post_due(now: datetime, *, since: datetime | None) -> int:
    """Batch after batch; what the ledger refuses is left behind alone, and stops nobody else's."""
    posted, after = 0, None
    while True:
        with db.read() as session:
            due = queries.unposted_conversions(session, limit=BATCH, since=since, after=after)
        if not due:
            return posted
        posted += _post_batch(due, now)
        after = due[-1]


def _post_batch(conversion_ids: Sequence[UUID], now: datetime) -> int:
    try:
        with db.write() as session:
            return commissions.post_conversions(session, conversion_ids=conversion_ids, now=now)
    except commissions.NotPosted as refusal:
        if len(conversion_ids) == 1:
            log.warning("a commission cannot be posted", refusal=str(refusal))
            return 0
    middle = len(conversion_ids) // 2
    halves = conversion_ids[:middle], conversion_ids[middle:]
    return sum(_post_batch(half, now) for half in halves)
