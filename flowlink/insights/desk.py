"""What waits for a person: every queue of the house, how much lies in it, and since when."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import (
    ColumnElement,
    DateTime,
    Select,
    Text,
    cast,
    column,
    func,
    literal,
    select,
    table,
    union_all,
)
from sqlalchemy.orm import Session

from flowlink.kernel.models import JobRun
from flowlink.notify.models import Mail, MailState
from flowlink.partners.models import Partner, PartnerStatus
from flowlink.payouts import invoices
from flowlink.payouts.case_models import Case, CaseState, Dispute, DisputeState
from flowlink.payouts.models import State, Withdrawal
from flowlink.payouts.run_models import BankFile, BankLine, LineOutcome, Run, RunItem, RunState
from flowlink.risk.models import Hold
from flowlink.risk.watch_models import Watch, WatchState
from flowlink.tracking import journal_health
from flowlink.tracking.journal_models import EdgeState, JournalLoss, JournalRefusal, Unrecorded
from flowlink.tracking.models import Postback, Result

RECENT = journal_health.RECENT  # what cannot be put right is shown for so long
HOUR, DAY = timedelta(hours=1), timedelta(days=1)


@dataclass(frozen=True)
class Kind:
    """A queue: its name, where it is worked off, and how long a thing may lie in it."""

    name: str
    href: str
    patience: timedelta


@dataclass(frozen=True)
class Wait:
    """A queue that is not empty. Late: its oldest thing has waited longer than it should."""

    name: str
    href: str
    count: int
    oldest_at: datetime
    late: bool

    def age(self, now: datetime) -> timedelta:
        return max(now - self.oldest_at, timedelta())


# The order is that of urgency among those that are late, and again among those that are not:
# what is lost first, then money that somebody waits for, then what can be read at leisure.
KINDS = (
    Kind("clicks_unrecorded", "/admin/losses#unrecorded", timedelta()),
    Kind("edges_halted", "/admin/losses#edges", timedelta()),
    Kind("journal_losses", "/admin/losses", timedelta()),
    Kind("journal_refusals", "/admin/losses#refusals", timedelta()),
    Kind("edges_late", "/admin/losses#edges", journal_health.LATE),
    Kind("holds_overdue", "/ops/holds", timedelta()),
    Kind("watches_overdue", "/ops/watches", timedelta()),
    Kind("runs_troubled", "/ops/payouts/runs", timedelta()),
    Kind("bank_lines", "/ops/payouts/answers", DAY),
    Kind("withdrawals", "/ops/payouts/pending?state=requested", DAY),
    Kind("runs", "/ops/payouts/runs", DAY),
    Kind("tasks_failed", "/admin/jobs", HOUR),
    Kind("jobs_failed", "/admin/jobs", HOUR),
    Kind("mails_failed", "/admin/mails?state=failed", DAY),
    Kind("unread", "/admin/postbacks/quarantine", HOUR),
    Kind("quarantined", "/admin/postbacks/quarantine", DAY),
    Kind("orphans", "/admin/postbacks/quarantine", 7 * DAY),
    Kind("disputes", "/admin/disputes?state=open", 7 * DAY),
    Kind("cases", "/admin/cases", 3 * DAY),
    Kind("holds", "/ops/holds", 14 * DAY),
    Kind("watches", "/ops/watches", 14 * DAY),
    Kind("applications", "/admin/partners?status=pending", 2 * DAY),
    Kind("invoices", "/admin/papers", 30 * DAY),
)
NAMES = tuple(kind.name for kind in KINDS)


def waits(session: Session, *, now: datetime) -> Sequence[Wait]:
    """Every queue that holds something, the most urgent first."""
    rows = session.execute(union_all(*_queues(now)))
    found = {name: (count, oldest_at) for name, count, oldest_at in rows if count}
    shown = [
        Wait(kind.name, kind.href, count, oldest_at, now - oldest_at > kind.patience)
        for kind in KINDS
        if kind.name in found
        for count, oldest_at in [found[kind.name]]
    ]
    return sorted(shown, key=lambda wait: not wait.late)  # stable: else in the order of KINDS


def _queues(now: datetime) -> list[Select[Any]]:
    """One row a queue: its name, how much lies in it, and since when its oldest."""
    return [
        *_risk(now),
        *_paying(),
        *_arguments(),
        *_postbacks(now),
        *_house(now),
        *_journals(now),
    ]


def _risk(now: datetime) -> list[Select[Any]]:
    bound, watched = Hold.lifted_at.is_(None), Watch.state == WatchState.OPEN
    return [
        _queue("holds_overdue", Hold.created_at, bound, Hold.deadline < now),
        _queue("holds", Hold.created_at, bound, Hold.deadline >= now),
        _queue("watches_overdue", Watch.created_at, watched, Watch.deadline < now),
        _queue("watches", Watch.created_at, watched, Watch.deadline >= now),
    ]


def _paying() -> list[Select[Any]]:
    odd = (LineOutcome.UNMATCHED, LineOutcome.CONTRADICTION)
    lines = _queue(
        "bank_lines", BankFile.uploaded_at, BankLine.outcome.in_(odd), BankLine.looked_at.is_(None)
    )
    stuck = (
        select(Run.id, func.coalesce(Run.released_at, Run.made_at).label("at"))
        .outerjoin(RunItem, RunItem.run_id == Run.id)
        .outerjoin(Withdrawal, Withdrawal.id == RunItem.withdrawal_id)
        .where(
            Run.state == RunState.RELEASED,
            (Run.trouble != "") | ((RunItem.trouble != "") & (Withdrawal.state == State.SENT)),
        )
        .distinct()
        .subquery()
    )
    return [
        _queue("withdrawals", Withdrawal.created_at, Withdrawal.state == State.REQUESTED),
        _queue("runs", Run.made_at, Run.state == RunState.PROPOSED),
        _queue("runs_troubled", stuck.c.at),
        lines.select_from(BankLine).join(BankFile, BankFile.id == BankLine.file_id),
        _queue("invoices", Withdrawal.updated_at, invoices.lacks_invoice()),
    ]


def _arguments() -> list[Select[Any]]:
    return [
        _queue("cases", Case.created_at, Case.state == CaseState.OPEN),
        _queue("disputes", Dispute.opened_at, Dispute.state == DisputeState.OPEN),
        _queue("applications", Partner.created_at, Partner.status == PartnerStatus.PENDING),
    ]


def _postbacks(now: datetime) -> list[Select[Any]]:
    at = Postback.received_at
    minutes_ago = now - timedelta(minutes=5)  # until then its reading is on its way
    return [
        _queue("quarantined", at, Postback.result == Result.QUARANTINED),
        _queue("orphans", at, Postback.result == Result.ORPHAN),
        _queue("unread", at, Postback.result == Result.RECEIVED, at < minutes_ago),
    ]


def _house(now: datetime) -> list[Select[Any]]:
    since = now - RECENT
    later = JobRun.__table__.alias()
    went_well = (
        select(later.c.id).where(later.c.name == JobRun.name, later.c.id > JobRun.id).exists()
    )
    mail_failed = Mail.state == MailState.FAILED
    tasks = table("procrastinate_jobs", column("id"), column("status"))
    ends = table("procrastinate_events", column("job_id"), column("type"), column("at"))
    last = (
        select(tasks.c.id, func.max(ends.c.at).label("at"))
        .outerjoin(ends, (ends.c.job_id == tasks.c.id) & (cast(ends.c.type, Text) == "failed"))
        .where(cast(tasks.c.status, Text) == "failed")
        .group_by(tasks.c.id)
        .subquery()
    )
    return [
        _queue("tasks_failed", func.coalesce(last.c.at, now)),
        _queue("jobs_failed", JobRun.started_at, JobRun.ok.is_(False), ~went_well),
        _queue("mails_failed", Mail.created_at, mail_failed, Mail.created_at >= since),
    ]


def _journals(now: datetime) -> list[Select[Any]]:
    since = now - RECENT
    kept_nowhere = func.coalesce(func.sum(Unrecorded.count), 0)
    late = EdgeState.oldest_at < now - journal_health.LATE
    halted_at = func.coalesce(EdgeState.oldest_at, EdgeState.seen_at)
    unrecorded = select(literal("clicks_unrecorded"), kept_nowhere, func.min(Unrecorded.at))
    return [
        unrecorded.where(Unrecorded.at >= since),
        _queue("edges_halted", halted_at, EdgeState.error != ""),
        _queue("edges_late", EdgeState.oldest_at, EdgeState.error == "", late),
        _queue("journal_losses", JournalLoss.at, JournalLoss.at >= since),
        _queue("journal_refusals", JournalRefusal.at, JournalRefusal.at >= since),
    ]


def _queue(name: str, at: Any, *where: ColumnElement[bool]) -> Any:
    oldest = cast(func.min(at), DateTime(timezone=True))
    return select(literal(name), func.count(), oldest).where(*where)
