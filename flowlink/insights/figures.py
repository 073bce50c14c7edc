"""The operator's figures, for the monitoring page and `GET /api/admin/summary` (spec 6, 8)."""

from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy import ColumnElement, func, select
from sqlalchemy.orm import Session

from flowlink.kernel.models import JobRun
from flowlink.kernel.money import Money
from flowlink.ledger.accounts import AccountKind
from flowlink.ledger.models import AccountRow, BalanceRow
from flowlink.notify.models import Mail
from flowlink.partners.models import Partner, PartnerStatus
from flowlink.payouts.models import OPEN_STATES, State, Withdrawal
from flowlink.risk import queries as risk
from flowlink.tracking import queries as tracking
from flowlink.tracking.models import Conversion, Postback, Result, Status
from flowlink.tracking.rollups import DayCount

WINDOW = timedelta(days=7)
DAY = timedelta(days=1)


@dataclass(frozen=True)
class Summary:
    """The business at one moment. Money of partners is counted over all of them, in euros."""

    clicks_7d: int
    conversions_7d: int
    revenue_7d: Money
    available: Money
    reserved: Money
    held: Money
    pending: Money
    withdrawing: Money
    paid: Money
    holds: int
    postbacks_24h: int
    partners_active: int
    partners_waiting: int
    withdrawals_waiting: int
    quarantined: int
    job_failures_24h: int
    mails_failed_24h: int
    offer: tracking.CurrentOffer | None

    @property
    def epc_7d(self) -> Money:
        """Revenue of confirmed conversions for each valid click; zero without clicks."""
        if not self.clicks_7d:
            return Money.zero()
        return per(self.revenue_7d, self.clicks_7d)


def per(total: Money, count: int) -> Money:
    """`total / count`, rounded half even to the millionth."""
    return total.in_proportion(Money(1), Money(count))


def summary(session: Session, *, now: datetime) -> Summary:
    """Everything that the operator looks at first, computed from the records themselves."""
    since = now - WINDOW
    sold = _sold_since(session, since)
    owed = owed_to_partners(session)
    return Summary(
        clicks_7d=_clicks(session, since=since, now=now),
        conversions_7d=sold[0],
        revenue_7d=sold[1],
        available=owed[AccountKind.AVAILABLE],
        reserved=owed[AccountKind.RESERVE],
        held=owed[AccountKind.HELD],
        pending=owed[AccountKind.PENDING],
        withdrawing=owed[AccountKind.WITHDRAWING],
        paid=paid_out(session),
        holds=risk.open_count(session),
        postbacks_24h=_count(session, Postback.received_at >= now - DAY),
        partners_active=_count(session, Partner.status == PartnerStatus.ACTIVE),
        partners_waiting=_count(session, Partner.status == PartnerStatus.PENDING),
        withdrawals_waiting=_count(session, Withdrawal.state.in_(OPEN_STATES)),
        quarantined=_count(session, Postback.result == Result.QUARANTINED),
        job_failures_24h=_count(session, JobRun.ok.is_(False), JobRun.started_at >= now - DAY),
        mails_failed_24h=_count(session, Mail.state == "failed", Mail.created_at >= now - DAY),
        offer=tracking.current_offer(session, now),
    )


def owed_to_partners(session: Session) -> dict[AccountKind, Money]:
    """What is in the accounts of each kind, over all owners."""
    rows = (
        select(AccountRow.kind, func.sum(BalanceRow.balance))
        .join(BalanceRow, BalanceRow.account == AccountRow.number)
        .where(AccountRow.currency == "EUR")
        .group_by(AccountRow.kind)
    )
    totals = dict(session.execute(rows).all())
    return {kind: Money(int(totals.get(kind.value, 0))) for kind in AccountKind}


def paid_out(session: Session) -> Money:
    """What has left for partners for good."""
    settled = select(func.sum(Withdrawal.amount_minor)).where(
        Withdrawal.state == State.SETTLED, Withdrawal.currency == "EUR"
    )
    return Money.from_cents(int(session.scalar(settled) or 0))


def _sold_since(session: Session, since: datetime) -> tuple[int, Money]:
    """Confirmed conversions from `since` on, and what their buyers paid."""
    sold = select(func.count(), func.sum(Conversion.amount_micro)).where(
        Conversion.status == Status.APPROVED,
        Conversion.currency == "EUR",
        Conversion.occurred_at >= since,
    )
    count, gross = session.execute(sold).one()
    return count, Money(int(gross or 0))


def _clicks(session: Session, *, since: datetime, now: datetime) -> int:
    """Valid clicks of the last seven UTC days, today included."""
    counted = select(func.sum(DayCount.valid)).where(
        DayCount.day > since.date(), DayCount.day <= now.date()
    )
    return int(session.scalar(counted) or 0)


def _count(session: Session, *where: ColumnElement[bool]) -> int:
    return session.scalar(select(func.count()).where(*where)) or 0
