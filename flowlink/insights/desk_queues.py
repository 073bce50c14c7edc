"""Where things wait for a person: each queue, its patience, and how its things are found."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import (
    BigInteger,
    DateTime,
    Select,
    Text,
    cast,
    column,
    func,
    literal,
    select,
    table,
)
from sqlalchemy.orm import aliased

from flowlink.identity.models import User
from flowlink.kernel.models import JobRun
from flowlink.notify.ids import MAIL
from flowlink.notify.models import Mail, MailState
from flowlink.partners import ids as partner_ids
from flowlink.partners.models import Partner, PartnerStatus
from flowlink.payouts import debt_queries, invoices, runs
from flowlink.payouts.case_models import Case, CaseState, Dispute, DisputeState
from flowlink.payouts.ids import BANK_LINE, CASE, DISPUTE, PREFIX as WITHDRAWAL
from flowlink.payouts.models import State, Withdrawal
from flowlink.payouts.run_models import BankFile, BankLine, LineOutcome, Run, RunItem, RunState
from flowlink.risk import watches
from flowlink.risk.models import Hold
from flowlink.risk.watch_models import Watch, WatchState
from flowlink.tracking import journal_health
from flowlink.tracking.ids import POSTBACK
from flowlink.tracking.journal_models import EdgeState, JournalLoss, JournalRefusal, Unrecorded
from flowlink.tracking.models import Network, Postback, Result

RECENT = journal_health.RECENT  # what cannot be put right is shown for so long
HOUR, DAY = timedelta(hours=1), timedelta(days=1)


@dataclass(frozen=True)
class Kind:
    """A queue: its name, where it is worked off, and how long a thing may lie in it.

    `thing` is the address of a thing's own page, `prefix` that of its public id.
    """

    name: str
    href: str
    patience: timedelta = timedelta()
    thing: str = ""
    prefix: str = ""


_PARTNER = {"thing": "/admin/partners/", "prefix": partner_ids.PREFIX}
_POSTBACK = {"thing": "/admin/postbacks/", "prefix": POSTBACK}
_WATCH = {"thing": "/ops/watches?watch=", "prefix": watches.PREFIX}
_WITHDRAWAL = {"thing": "/ops/payouts/pending?withdrawal=", "prefix": WITHDRAWAL}
_DISPUTE = {"thing": "/admin/disputes?dispute=", "prefix": DISPUTE}
_BANK_LINE = {"thing": "/ops/payouts/answers?line=", "prefix": BANK_LINE}
_RUN = {"thing": "/ops/payouts/runs/", "prefix": runs.PREFIX}

# The order is that of urgency among those that are late, and again among those that are not:
# what is lost first, then money that somebody waits for, then what can be read at leisure.
# Holds and watched clicks carry deadlines of their own.
KINDS = (
    Kind("clicks_unrecorded", "/admin/losses#unrecorded"),
    Kind("edges_halted", "/admin/losses#edges"),
    Kind("journal_losses", "/admin/losses#damages"),
    Kind("journal_refusals", "/admin/losses#refusals"),
    Kind("edges_late", "/admin/losses#edges", journal_health.LATE),
    Kind("holds", "/ops/holds", timedelta(), **_PARTNER),
    Kind("watches", "/ops/watches", timedelta(), **_WATCH),
    Kind("runs_troubled", "/ops/payouts/runs", timedelta(), **_RUN),
    Kind("bank_lines", "/ops/payouts/answers", DAY, **_BANK_LINE),
    Kind("withdrawals", "/ops/payouts/pending?state=requested", DAY, **_WITHDRAWAL),
    Kind("withdrawals_stopped", "/ops/payouts/pending?state=approved", DAY, **_WITHDRAWAL),
    Kind("runs", "/ops/payouts/runs", DAY, **_RUN),
    Kind("tasks_failed", "/admin/jobs", HOUR, thing="/admin/jobs#task-"),
    Kind("jobs_failed", "/admin/jobs", HOUR, thing="/admin/jobs/"),
    Kind("mails_failed", "/admin/mails?state=failed", DAY, thing="/admin/mails/", prefix=MAIL),
    Kind("unread", "/admin/postbacks/quarantine", HOUR, **_POSTBACK),
    Kind("quarantined", "/admin/postbacks/quarantine", DAY, **_POSTBACK),
    Kind("orphans", "/admin/postbacks/quarantine", 7 * DAY, **_POSTBACK),
    Kind("disputes", "/admin/disputes?state=open", 7 * DAY, **_DISPUTE),
    Kind("cases", "/admin/cases", 3 * DAY, thing="/admin/cases/", prefix=CASE),
    Kind("applications", "/admin/partners?status=pending", 2 * DAY, **_PARTNER),
    Kind("invoices", "/admin/papers", 30 * DAY, **_PARTNER),
)
BY_NAME: Mapping[str, Kind] = {kind.name: kind for kind in KINDS}


def queues(now: datetime) -> list[Select[Any]]:
    """All that waits, one row a thing: queue, label, target, at, due, weight."""
    return [
        *_risk(),
        *_paying(),
        *_arguments(),
        *_postbacks(now),
        *_house(now),
        *_journals(now),
    ]


def _things(
    name: str, at: Any, label: Any, target: Any = "", *, due: Any = None, weight: Any = 1
) -> Any:
    """`weight` is how many a row stands for; `due` is until when somebody should have looked."""
    patience = BY_NAME[name].patience
    return select(
        literal(name).label("queue"),
        cast(label, Text).label("label"),
        cast(target, Text).label("target"),
        cast(at, DateTime(timezone=True)).label("at"),
        cast(at + patience if due is None else due, DateTime(timezone=True)).label("due"),
        cast(weight, BigInteger).label("weight"),
    )


def _of_partner(found: Select[Any], row: Any) -> Select[Any]:
    """With the address of the partner whom `row` is about."""
    joined = found.select_from(row).join(Partner, Partner.id == row.partner_id)
    return joined.join(User, User.id == Partner.user_id)


def _risk() -> list[Select[Any]]:
    holds = _things("holds", Hold.created_at, User.email, Hold.partner_id, due=Hold.deadline)
    watches = _things("watches", Watch.created_at, User.email, Watch.id, due=Watch.deadline)
    return [
        _of_partner(holds, Hold).where(Hold.lifted_at.is_(None)),
        _of_partner(watches, Watch).where(Watch.state == WatchState.OPEN),
    ]


def _paying() -> list[Select[Any]]:
    odd = (LineOutcome.UNMATCHED, LineOutcome.CONTRADICTION)
    named = func.coalesce(func.nullif(BankLine.end_to_end_id, ""), BankFile.name)
    lines = _things("bank_lines", BankFile.uploaded_at, named, BankLine.id).select_from(BankLine)
    asked = _things("withdrawals", Withdrawal.created_at, User.email, Withdrawal.id)
    stopped = _things("withdrawals_stopped", Withdrawal.updated_at, User.email, Withdrawal.id)
    unseen = debt_queries.owed() > Withdrawal.debt_seen_micro
    unwritten = _things("invoices", Withdrawal.updated_at, User.email, Withdrawal.partner_id)
    return [
        _of_partner(asked, Withdrawal).where(Withdrawal.state == State.REQUESTED),
        _of_partner(stopped, Withdrawal).where(Withdrawal.state == State.APPROVED, unseen),
        _things("runs", Run.made_at, Run.rail, Run.id).where(Run.state == RunState.PROPOSED),
        _troubled(),
        lines.join(BankFile, BankFile.id == BankLine.file_id).where(
            BankLine.outcome.in_(odd), BankLine.looked_at.is_(None)
        ),
        _of_partner(unwritten, Withdrawal).where(invoices.lacks_invoice()),
    ]


def _troubled() -> Select[Any]:
    """Runs that were refused, or of which a payment was and is still on its way."""
    on_its_way = (
        select(RunItem.run_id)
        .join(Withdrawal, Withdrawal.id == RunItem.withdrawal_id)
        .where(RunItem.run_id == Run.id, RunItem.trouble != "", Withdrawal.state == State.SENT)
        .exists()
    )
    since = func.coalesce(Run.released_at, Run.made_at)
    stuck: Select[Any] = _things("runs_troubled", since, Run.rail, Run.id)
    return stuck.where(Run.state == RunState.RELEASED, (Run.trouble != "") | on_its_way)


def _arguments() -> list[Select[Any]]:
    cases = _things("cases", Case.created_at, User.email, Case.id)
    disputes = _things("disputes", Dispute.opened_at, Dispute.reference, Dispute.id)
    waiting = _things("applications", Partner.created_at, User.email, Partner.id)
    return [
        _of_partner(cases, Case).where(Case.state == CaseState.OPEN),
        disputes.where(Dispute.state == DisputeState.OPEN),
        waiting.join(User, User.id == Partner.user_id).where(
            Partner.status == PartnerStatus.PENDING
        ),
    ]


def _postbacks(now: datetime) -> list[Select[Any]]:
    at = Postback.received_at
    minutes_ago = now - timedelta(minutes=5)  # until then its reading is on its way
    states = {
        "quarantined": Postback.result == Result.QUARANTINED,
        "orphans": Postback.result == Result.ORPHAN,
        "unread": (Postback.result == Result.RECEIVED) & (at < minutes_ago),
    }
    return [
        _things(name, at, Network.name, Postback.id)
        .select_from(Postback)
        .outerjoin(Network, Network.id == Postback.network_id)
        .where(where)
        for name, where in states.items()
    ]


def _house(now: datetime) -> list[Select[Any]]:
    later = aliased(JobRun)
    went_on = select(later.id).where(later.name == JobRun.name, later.id > JobRun.id).exists()
    failed = _things("jobs_failed", JobRun.started_at, JobRun.name, JobRun.name)
    mails = _things("mails_failed", Mail.created_at, Mail.to_address, Mail.id)
    return [
        _tasks(now),
        failed.where(JobRun.ok.is_(False), ~went_on),
        mails.where(Mail.state == MailState.FAILED, Mail.created_at >= now - RECENT),
    ]


def _tasks(now: datetime) -> Select[Any]:
    """Tasks that used up their attempts, since their last failure."""
    tasks = table("procrastinate_jobs", column("id"), column("status"), column("task_name"))
    ends = table("procrastinate_events", column("job_id"), column("type"), column("at"))
    last = (
        select(func.max(ends.c.at))
        .where(ends.c.job_id == tasks.c.id, cast(ends.c.type, Text) == "failed")
        .scalar_subquery()
    )
    since = func.coalesce(last, now)
    failed: Select[Any] = _things("tasks_failed", since, tasks.c.task_name, tasks.c.id)
    return failed.where(cast(tasks.c.status, Text) == "failed")


def _journals(now: datetime) -> list[Select[Any]]:
    since = now - RECENT
    halted_at = func.coalesce(EdgeState.oldest_at, EdgeState.seen_at)
    sent_on = _things("clicks_unrecorded", Unrecorded.at, Unrecorded.edge, weight=Unrecorded.count)
    late = EdgeState.oldest_at < now - journal_health.LATE
    return [
        sent_on.where(Unrecorded.at >= since),
        _things("edges_halted", halted_at, EdgeState.edge).where(EdgeState.error != ""),
        _things("edges_late", EdgeState.oldest_at, EdgeState.edge).where(
            EdgeState.error == "", late
        ),
        _things("journal_losses", JournalLoss.at, JournalLoss.edge).where(JournalLoss.at >= since),
        _things("journal_refusals", JournalRefusal.at, JournalRefusal.edge).where(
            JournalRefusal.at >= since
        ),
    ]
