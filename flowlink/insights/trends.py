"""What the charts show: counts and amounts day by day, in UTC."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from typing import Any

from sqlalchemy import (
    ColumnElement,
    Executable,
    Select,
    String,
    cast,
    func,
    literal,
    select,
    text,
    union_all,
)
from sqlalchemy.orm import Session

from flowlink.billing import figures as billing
from flowlink.insights.figures import ASSIGNMENT_STATES
from flowlink.kernel.models import JobRun
from flowlink.kernel.money import MICRO_PER_CENT, Money
from flowlink.partners.models import Partner
from flowlink.payouts.case_models import Case, Reward
from flowlink.payouts.models import Accrual, Commission, State, Withdrawal
from flowlink.risk.models import Hold
from flowlink.tracking.models import Conversion, Postback, Result, Status
from flowlink.tracking.rollups import DayCount


@dataclass(frozen=True)
class Series:
    """The same days for several counts: one list a name, as long as `days`."""

    days: Sequence[date]
    values: Mapping[str, Sequence[int]]

    @property
    def labels(self) -> Sequence[str]:
        """The days as a chart's axis names them."""
        return [f"{day:%d/%m}" for day in self.days]

    def total(self, name: str) -> int:
        return sum(self.values[name])


@dataclass(frozen=True)
class Trends:
    """The charts of the monitoring page. Money is in millionths of a euro."""

    clicks: Series
    conversions: Series
    revenue: Series
    postbacks: Series
    paid: Series
    runs: Series
    joined: Series
    holds: Series
    teams: Series

    @property
    def per_click(self) -> Sequence[int]:
        """Revenue by valid clicks of each day, zero on days without clicks."""
        days = zip(self.revenue.values["revenue"], self.clicks.values["valid"], strict=True)
        return [gross // clicks if clicks else 0 for gross, clicks in days]


@dataclass(frozen=True)
class PartnerTrends:
    """The charts of one partner's earnings. Money is in millionths of a euro."""

    clicks: Series
    earned: Series


def monitoring(session: Session, *, now: datetime, days: int = 30) -> Trends:
    """The last `days` days, today included."""
    span, start = _span(now, days)
    gross = func.sum(Conversion.amount_micro).filter(Conversion.status == Status.APPROVED)
    sent = func.sum(Withdrawal.amount_minor * MICRO_PER_CENT)
    settled = Withdrawal.state == State.SETTLED
    sales = _daily(Conversion.occurred_at, start, cast(Conversion.status, String), func.count())
    posts = _daily(Postback.received_at, start, cast(Postback.result, String), func.count())
    earned = _daily(Conversion.occurred_at, start, literal("revenue"), gross)
    paid = _daily(Withdrawal.updated_at, start, literal("paid"), sent).where(settled)
    joined = _daily(Partner.created_at, start, literal("joined"), func.count())
    placed = _daily(Hold.created_at, start, literal("placed"), func.count())
    lifted = _daily(Hold.lifted_at, start, literal("lifted"), func.count())
    runs = _daily(JobRun.started_at, start, cast(JobRun.ok, String), func.count())
    return Trends(
        clicks=_clicks(session, span),
        conversions=_series(session, sales, span, [str(status) for status in Status]),
        revenue=_series(session, earned, span, ["revenue"]),
        postbacks=_series(session, posts, span, [str(result) for result in Result]),
        paid=_series(session, paid, span, ["paid"]),
        runs=_series(session, runs, span, ["true", "false"]),
        joined=_series(session, joined, span, ["joined"]),
        holds=_series(session, union_all(placed, lifted), span, ["placed", "lifted"]),
        teams=_teams(session, span, start),
    )


def of_partner(
    session: Session, *, partner_id: Any, number: int, now: datetime, days: int = 90
) -> PartnerTrends:
    """One partner's clicks; their share of the sales that were confirmed, and paid clicks."""
    span, start = _span(now, days)
    earned = (
        _daily(Conversion.occurred_at, start, literal("earned"), func.sum(Commission.share_micro))
        .join(Commission, Commission.conversion_id == Conversion.id)
        .where(Commission.partner_id == partner_id)
    )
    clicks = _daily(Accrual.hour, start, literal("clicks"), func.sum(Accrual.amount_micro)).where(
        Accrual.partner_id == partner_id
    )
    found = _series(session, union_all(earned, clicks), span, ["earned", "clicks"])
    both = zip(found.values["earned"], found.values["clicks"], strict=True)
    return PartnerTrends(
        clicks=_clicks(session, span, DayCount.partner == number),
        earned=Series(span, {"earned": [shares + paid for shares, paid in both]}),
    )


def beside(session: Session, *, partner_id: Any, now: datetime, days: int) -> Series:
    """What else a partner earned: accepted cases on the day of the decision, and what partners
    whom they brought gave them, on the day on which those earned it.
    """
    span, start = _span(now, days)
    granted, brought = func.sum(Case.granted_micro), func.sum(Reward.amount_micro)
    decided = _daily(Case.decided_at, start, literal("cases"), granted).where(
        Case.partner_id == partner_id, Case.granted_micro.is_not(None)
    )
    sales = (
        _daily(Conversion.occurred_at, start, literal("sales"), brought)
        .join(Reward, Reward.conversion_id == Conversion.id)
        .where(Reward.referrer_id == partner_id)
    )
    clicks = (
        _daily(Accrual.hour, start, literal("clicks"), brought)
        .join(Reward, Reward.accrual_id == Accrual.id)
        .where(Reward.referrer_id == partner_id)
    )
    names = ["cases", "sales", "clicks"]
    found = _series(session, union_all(decided, sales, clicks), span, names)
    return Series(span, {"beside": [sum(day) for day in zip(*found.values.values(), strict=True)]})


HEADER = [
    "day",
    "valid_clicks",
    "other_clicks",
    "conversions_pending",
    "conversions_approved",
    "conversions_rejected",
    "conversions_reversed",
    "revenue_eur",
    "paid_eur",
    "postbacks",
    "revenue_per_click_eur",
    "holds_placed",
    "holds_lifted",
    "jobs_ended_well",
    "jobs_failed",
    "partners_joined",
    "paid_by_teams_eur",
    *(f"assignments_{state}" for state in ASSIGNMENT_STATES),
]


def rows(shown: Trends, assignments: Mapping[str, int]) -> Iterator[Sequence[object]]:
    """The charts as rows of a CSV, one a day, under `HEADER`.

    `assignments` are counted by the state they are in now: they stand in the last day's row.
    """
    last = len(shown.clicks.days) - 1
    for place, day in enumerate(shown.clicks.days):
        counts = [values[place] for values in shown.clicks.values.values()]
        sales = [values[place] for values in shown.conversions.values.values()]
        posts = sum(values[place] for values in shown.postbacks.values.values())
        revenue = Money(shown.revenue.values["revenue"][place])
        paid = Money(shown.paid.values["paid"][place])
        states = [assignments[state] if place == last else "" for state in ASSIGNMENT_STATES]
        more = [Money(shown.per_click[place]), *_others(shown, place), *states]
        yield day.isoformat(), *counts, *sales, revenue, paid, posts, *more


def _others(shown: Trends, place: int) -> Iterator[object]:
    """What stands behind the sales in a day's row: holds, jobs, new partners, what teams paid."""
    for series in (shown.holds, shown.runs, shown.joined):
        yield from (values[place] for values in series.values.values())
    yield Money(shown.teams.values["paid"][place])


def _span(now: datetime, days: int) -> tuple[list[date], datetime]:
    span = [now.date() - timedelta(days=back) for back in reversed(range(days))]
    return span, datetime.combine(span[0], time.min, UTC)


def _daily(
    moment: Any, start: datetime, name: ColumnElement[str], figure: ColumnElement[Any]
) -> Select[Any]:
    """Rows of (day, name, figure) from `start` on."""
    day = func.date(moment)  # sessions run in UTC
    return select(day, name, figure).where(moment >= start).group_by(text("1"), text("2"))


def _series(
    session: Session, rows: Executable, span: Sequence[date], names: Sequence[str]
) -> Series:
    """The rows laid out along the days, zeros where nothing happened."""
    found = {(day, name): int(figure or 0) for day, name, figure in session.execute(rows)}
    return Series(span, {name: [found.get((day, name), 0) for day in span] for name in names})


def _teams(session: Session, span: Sequence[date], start: datetime) -> Series:
    """What teams paid, in millionths of a euro."""
    found = billing.paid_by_day(session, since=start)
    return Series(span, {"paid": [found[day].micro if day in found else 0 for day in span]})


def _clicks(session: Session, span: Sequence[date], *where: ColumnElement[bool]) -> Series:
    rows = (
        select(DayCount.day, func.sum(DayCount.valid), func.sum(DayCount.flagged))
        .where(DayCount.day >= span[0], *where)
        .group_by(DayCount.day)
    )
    found = {day: (int(valid), int(flagged)) for day, valid, flagged in session.execute(rows)}
    counts = [found.get(day, (0, 0)) for day in span]
    return Series(span, {"valid": [c[0] for c in counts], "flagged": [c[1] for c in counts]})
