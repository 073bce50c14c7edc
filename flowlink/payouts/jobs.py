"""What the clock and other modules' events start in payouts."""

from collections.abc import Callable, Sequence
from datetime import datetime, timedelta
from functools import partial
from typing import Any
from uuid import UUID

from sqlalchemy.orm import Session

from flowlink.kernel import db, inbound, jobs, logs, policy as policies
from flowlink.partners.ids import PartnerId
from flowlink.payouts import (
    accruals,
    commission_queries,
    commissions,
    holds,
    invoices,
    kinship,
    paypal,
    paypal_runs,
    reserve,
    rewards,
    runs,
    settling,
)
from flowlink.payouts.models import POLICY, Rail

BATCH = 500
NAMED_MAX = 10
RECENT = timedelta(days=2)  # how far back an event makes us look; the sweep looks at everything

log = logs.get("flowlink.payouts")


class PapersFailed(Exception):
    """Some papers could not be written; the others were."""


class PayoutsFailed(Exception):
    """What PayPal says of some runs or events could not be applied; the rest was."""


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
    """Pay the clicks of every hour that is over, and those that came late to one before.

    Then those about which people have decided: what a budget could not pay before, it may now.
    """
    paid = zero = put_by = 0
    while True:
        with db.write() as session:
            done = accruals.accrue(session, now=now)
        if done is None:
            break
        paid, zero, put_by = paid + done.paid, zero + done.zero, put_by + done.waiting
    with db.write() as session:
        settled = settling.settle(session, now=now)
    later = f", {put_by} wait for a person" if put_by else ""
    decided = f", {settled} settled by a person's word" if settled else ""
    return f"{paid} clicks paid, {zero} earned nothing{later}{decided}"


@jobs.job("kinship_check", cron="40 3 * * *")
def check_kinship(now: datetime) -> str:
    """Watch partners who share their payout details or their mailbox with another one."""
    with db.write() as session:
        told = kinship.report(session, now=now, policy=policies.at(session, now))
    return f"{told} partners share an account"


@jobs.job("papers_issue", cron="*/10 * * * *")
def issue_papers(now: datetime) -> str:
    """Write the invoices of payouts that arrived, and credit notes of those that came back.

    Each in a transaction of its own: one that fails stops no other, also not those of later runs.

    :raises PapersFailed: with their names; the run then shows as failed.
    """
    issued, unissued = _each_paper(invoices.waiting_after, partial(_issue, now))
    credited, uncredited = _each_paper(invoices.returned_after, partial(_take_back, now))
    done = f"{issued} invoices and {credited} credit notes issued"
    if failed := [invoices.subject(key) for key in unissued] + [f"credit:{k}" for k in uncredited]:
        raise PapersFailed(f"{done}, {len(failed)} failed: {', '.join(failed[:NAMED_MAX])}")
    return done


@jobs.job("payout_run_propose", cron="0 6 * * 1")
def propose_runs(now: datetime) -> str:
    """Propose the week's runs, one for each rail that is set up; a person releases them."""
    return "; ".join(_propose(rail, now) for rail in Rail)


@jobs.job("payout_sweep", cron="*/5 * * * *")
def sweep_payouts(now: datetime) -> str:
    """Ask PayPal about every run and event that is due, however it came to be left open."""
    return _ask_paypal(now, runs_first=True)


@jobs.handler("payout_run.released", coalesce=True)
def send_runs(payload: dict[str, Any], now: datetime) -> None:
    """Hand over what was released, at once."""
    _ask_paypal(now, runs_first=True)


@jobs.handler("provider.event", coalesce=True)
def handle_provider_events(payload: dict[str, Any], now: datetime) -> None:
    """Handle all of PayPal's events that wait; other providers' are other modules'."""
    _ask_paypal(now, runs_first=False)


@jobs.handler("hold.placed")
def leave_out_held(payload: dict[str, Any], now: datetime) -> None:
    """Take the held partner out of the runs that nobody has released yet."""
    with db.write() as session:
        partner_id = PartnerId(UUID(payload["partner_id"]))
        runs.leave_out(session, partner_id=partner_id, actor="hold", now=now)


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


@jobs.handler("watch.decided")
def settle_watched(payload: dict[str, Any], now: datetime) -> None:
    """Pay, or let go, what the decision was about."""
    with db.write() as session:
        settling.settle(session, now=now, watch_id=UUID(payload["watch_id"]))


def _each_paper(
    following: Callable[[Session, UUID | None], Sequence[UUID]], write: Callable[[UUID], bool]
) -> tuple[int, list[UUID]]:
    """Batch after batch, past those that fail: how many were written, and which failed."""
    written, failed, after = 0, list[UUID](), None

    def one(key: UUID) -> None:
        nonlocal written
        written += write(key)

    while True:
        with db.read() as session:
            due = following(session, after)
        if not due:
            return written, failed
        failed += jobs.each(due, one)
        after = due[-1]


def _issue(now: datetime, withdrawal_id: UUID) -> bool:
    with db.write() as session:
        return invoices.issue(session, withdrawal_id=withdrawal_id, now=now) is not None


def _take_back(now: datetime, paper_id: UUID) -> bool:
    with db.write() as session:
        return invoices.take_back(session, paper_id=paper_id, now=now)


def _post_due(now: datetime, *, since: datetime | None) -> int:
    """Batch after batch; what the ledger refuses is left behind alone, and stops nobody else's."""
    posted, after = 0, None
    while True:
        with db.read() as session:
            due = commission_queries.unposted_conversions(
                session, limit=BATCH, since=since, after=after
            )
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


def _propose(rail: Rail, now: datetime) -> str:
    try:
        with db.write() as session:
            run = runs.propose(session, rail=rail, actor=POLICY, now=now)
            return f"{rail}: {run.item_count} withdrawals, {run.total}"
    except (runs.RailNotSetUp, runs.NothingToPay) as refusal:
        return f"{rail}: {refusal}"


def _ask_paypal(now: datetime, *, runs_first: bool) -> str:
    """Runs and events that are due; in which order is the caller's to say.

    What fails in a way that nobody thought of is put off, stops nothing else, and is named.

    :raises PayoutsFailed:
    """
    steps = (_drive_due, _handle_due) if runs_first else (_handle_due, _drive_due)
    client, failed = paypal.configured(), list[str]()
    counts = {step: step(client, now, failed) for step in steps}
    done = f"{counts[_drive_due]} runs asked about, {counts[_handle_due]} events handled"
    if failed:
        raise PayoutsFailed(f"{done}, {len(failed)} failed: {', '.join(failed[:NAMED_MAX])}")
    return done


def _drive_due(client: paypal.Payouts, now: datetime, failed: list[str]) -> int:
    with db.read() as session:
        found = paypal_runs.due(session, now=now)
    bad = jobs.each(found, lambda key: paypal_runs.drive(client, run_id=key, now=now))
    for run_id in bad:
        paypal_runs.put_off(run_id=run_id, now=now)
        failed.append(f"run:{run_id}")
    return len(found) - len(bad)


def _handle_due(client: paypal.Payouts, now: datetime, failed: list[str]) -> int:
    handled = 0
    while True:
        with db.read() as session:
            found = inbound.due(session, provider=paypal_runs.PROVIDER, now=now)
        if not found:
            return handled
        bad = jobs.each(found, lambda key: paypal_runs.handle(client, event_key=key, now=now))
        for event_key in bad:
            paypal_runs.put_off_event(event_key=event_key, now=now)
            failed.append(f"event:{event_key}")
        handled += len(found) - len(bad)
