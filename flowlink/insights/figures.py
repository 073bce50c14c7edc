"""The operator's figures, for the monitoring page and `GET /api/admin/summary` (spec 6, 8)."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, time, timedelta

from sqlalchemy import ColumnElement, func, select
from sqlalchemy.orm import Session

from flowlink.kernel.money import Money
from flowlink.ledger.accounts import AccountKind
from flowlink.ledger.models import AccountRow, BalanceRow
from flowlink.partners.models import Partner, PartnerStatus
from flowlink.payouts.models import State, Withdrawal
from flowlink.risk import queries as risk
from flowlink.tracking import queries as tracking
from flowlink.tracking.models import Conversion, Postback, Status
from flowlink.tracking.rollups import DayCount, HourCount

WINDOW = timedelta(days=7)
DAY = timedelta(days=1)
ASSIGNMENT_STATES = ("pending", "approved", "posted", "failed", "skipped")


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
    assignments: Mapping[str, int]
    holds: int
    postbacks_24h: int
    partners_active: int
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


def window_start(now: datetime) -> datetime:
    """Where the seven days begin: at a full hour, since clicks are counted by the hour."""
    return (now - WINDOW).astimezone(UTC).replace(minute=0, second=0, microsecond=0)


def summary(session: Session, *, now: datetime) -> Summary:
    """Everything that the operator looks at first, computed from the records themselves."""
    since = window_start(now)
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
        assignments=assignments(),
        holds=risk.open_count(session),
        postbacks_24h=_count(session, Postback.received_at >= now - DAY),
        partners_active=_count(session, Partner.status == PartnerStatus.ACTIVE),
        offer=tracking.current_offer(session, now),
    )


def assignments() -> Mapping[str, int]:
    """Assignments of content by state. Nothing assigns content yet, so the set counted is empty."""
    made: Sequence[str] = ()
    return {state: made.count(state) for state in ASSIGNMENT_STATES}


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
    """Valid clicks from `since`, a full hour, on: whole UTC days and the first one's rest."""
    first = since.astimezone(UTC).date()
    days = select(func.sum(DayCount.valid)).where(
        DayCount.day > first, DayCount.day <= now.astimezone(UTC).date()
    )
    there = select(DayCount.partner).where(DayCount.day == first)
    hours = select(func.sum(HourCount.valid)).where(
        HourCount.partner.in_(there),
        HourCount.hour >= since,
        HourCount.hour < datetime.combine(first + DAY, time.min, UTC),
    )
    return int(session.scalar(days) or 0) + int(session.scalar(hours) or 0)


def _count(session: Session, *where: ColumnElement[bool]) -> int:
    return session.scalar(select(func.count()).where(*where)) or 0
