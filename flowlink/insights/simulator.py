"""What a time that is over would have cost under other terms, from what was counted then."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from enum import StrEnum
from uuid import UUID

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from flowlink.kernel.money import Money
from flowlink.kernel.policy import Policy
from flowlink.payouts.models import Accrual, Commission
from flowlink.payouts.screening import Room
from flowlink.tracking import payable
from flowlink.tracking.models import Conversion, Mode, Offer
from flowlink.tracking.offers import Terms
from flowlink.tracking.payable import PartnerDay

DAYS = 30
DAY = timedelta(days=1)


class Period(StrEnum):
    """Which time is looked at."""

    MONTH = "month"
    DAYS_30 = "days_30"


@dataclass(frozen=True)
class SimulatedDay:
    """A day under the terms: what was clicked and sold, how much of it pays, and what it costs."""

    day: date
    clicks: int
    paid: int
    sales: int
    gross: Money
    cost: Money


@dataclass(frozen=True)
class Simulation:
    """All days of the period, and beside them what partners have really been credited for it."""

    since: date
    until: date
    days: Sequence[SimulatedDay]
    real: Money

    @property
    def cost(self) -> Money:
        return sum((each.cost for each in self.days), Money.zero())

    @property
    def gross(self) -> Money:
        return sum((each.gross for each in self.days), Money.zero())

    @property
    def margin(self) -> Money:
        """What would have stayed of the confirmed sales."""
        return self.gross - self.cost

    @property
    def clicks(self) -> int:
        return sum(each.clicks for each in self.days)

    @property
    def paid(self) -> int:
        return sum(each.paid for each in self.days)

    @property
    def sales(self) -> int:
        return sum(each.sales for each in self.days)


HEADER = ["day", "valid_clicks", "paid_clicks", "sales", "revenue_eur", "cost_eur"]


def simulate(
    session: Session,
    *,
    offer: Offer,
    terms: Terms,
    period: Period,
    policy: Policy,
    now: datetime,
    budget: Money | None = None,
) -> Simulation:
    """The offer's last month, or last 30 whole days, as if `terms` had been in force in it.

    Caps and the budget begin with the period. Clicks come from the day counts, where every cap
    has the same effect as click by click: only who of several partners is paid may differ.
    """
    since, until = bounds(period, now)
    clicks = payable.partner_days(session, offer_id=offer.id, since=since, until=until)
    sales = payable.sale_days(session, offer_id=offer.id, since=since, until=until)
    room = Room(budget=budget)
    amounts = {each.day: each.amounts for each in sales}
    days = []
    for day in (since + DAY * number for number in range((until - since).days + 1)):
        mine = [each for each in clicks if each.day == day]
        paid = _paid(mine, terms, room)
        sold = amounts.get(day, ())
        days.append(
            SimulatedDay(
                day=day,
                clicks=sum(each.clicks for each in mine),
                paid=paid,
                sales=len(sold),
                gross=Money(sum(sold)),
                cost=_cost(paid, sold, terms, policy),
            )
        )
    return Simulation(since, until, days, _real(session, offer.id, since, until))


def bounds(period: Period, now: datetime) -> tuple[date, date]:
    """The first and the last day: of the month before this one, or of the 30 days before today."""
    today = now.astimezone(UTC).date()
    if period is Period.DAYS_30:
        return today - DAYS * DAY, today - DAY
    until = today.replace(day=1) - DAY
    return until.replace(day=1), until


def rows(found: Simulation) -> Iterator[Sequence[object]]:
    """A row of the CSV for each day, under `HEADER`."""
    for each in found.days:
        yield each.day.isoformat(), each.clicks, each.paid, each.sales, each.gross, each.cost


def _paid(clicks: Sequence[PartnerDay], terms: Terms, room: Room) -> int:
    """How many of a day's clicks would have been paid; the room remembers what they cost."""
    if terms.mode != Mode.CPC or terms.cpc is None:
        return 0
    room.next_day()
    paid = 0
    for each in clicks:
        fits = [
            max(left.micro, 0) // terms.cpc.micro for _, left in room.limits(terms, each.partner_id)
        ]
        number = min([each.clicks, *fits])
        room.spend(Money(terms.cpc.micro * number), each.partner_id)
        paid += number
    return paid


def _cost(paid: int, sold: Sequence[int], terms: Terms, policy: Policy) -> Money:
    if terms.cpc is not None:
        return Money(terms.cpc.micro * paid)
    share_bps = policy.partner_share_bps if terms.share_bps is None else terms.share_bps
    return sum((Money(amount).share(share_bps) for amount in sold), Money.zero())


def _real(session: Session, offer_id: UUID, since: date, until: date) -> Money:
    """What clicks and confirmed sales of that time have brought partners."""
    start = datetime.combine(since, time.min, UTC)
    end = datetime.combine(until, time.min, UTC) + DAY
    clicks = select(func.sum(Accrual.amount_micro)).where(
        Accrual.offer_id == offer_id, Accrual.hour >= start, Accrual.hour < end
    )
    shares = (
        select(func.sum(Commission.share_micro))
        .join(Conversion, Conversion.id == Commission.conversion_id)
        .where(
            Conversion.offer_id == offer_id,
            Conversion.occurred_at >= start,
            Conversion.occurred_at < end,
        )
    )
    return Money(int(session.scalar(clicks) or 0) + int(session.scalar(shares) or 0))
