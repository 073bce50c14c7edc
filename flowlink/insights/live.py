"""The counters on top of the portal: read again every few seconds while somebody looks."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime

from sqlalchemy import select
from sqlalchemy.orm import Session

from flowlink.insights import earnings, trends
from flowlink.kernel.money import Money
from flowlink.partners import queries as partners
from flowlink.partners.ids import PartnerId
from flowlink.partners.models import Partner
from flowlink.payouts import queries as payouts
from flowlink.payouts.queries import Balances, Release
from flowlink.tracking.rollups import DayCount

DAYS = 14
TALL = 36  # of the highest bar, in the picture's own units


@dataclass(frozen=True)
class Bar:
    """A day in the small picture of the last two weeks."""

    day: date
    earned: Money
    height: int


@dataclass(frozen=True)
class Live:
    """What changes while one looks."""

    today: Money
    month: Money
    clicks: int
    balances: Balances
    next_release: Release | None
    bars: Sequence[Bar]
    at: datetime


def counters(session: Session, *, partner_id: PartnerId, now: datetime) -> Live:
    """Today (UTC), this month, the next release and what can be withdrawn."""
    partner = partners.get(session, partner_id)
    day = now.date()
    coming = payouts.releases(session, partner_id)
    return Live(
        today=earnings.earned_since(session, partner_id=partner_id, start=day),
        month=earnings.earned_since(session, partner_id=partner_id, start=day.replace(day=1)),
        clicks=_clicks(session, partner, day),
        balances=payouts.balances(session, partner_id),
        next_release=coming[0] if coming else None,
        bars=_bars(session, partner, now),
        at=now,
    )


def _clicks(session: Session, partner: Partner, day: date) -> int:
    mine = DayCount.partner == partner.number, DayCount.day == day
    return session.scalar(select(DayCount.valid).where(*mine)) or 0


def _bars(session: Session, partner: Partner, now: datetime) -> Sequence[Bar]:
    shown = trends.of_partner(
        session, partner_id=partner.id, number=partner.number, now=now, days=DAYS
    )
    values = shown.earned.values["earned"]
    most = max(*values, 1)
    pairs = zip(shown.earned.days, values, strict=True)
    return [Bar(day, Money(micro), max(micro * TALL // most, 1)) for day, micro in pairs]
