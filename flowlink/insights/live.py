"""The counters on top of the portal: read again every few seconds while somebody looks."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime

from sqlalchemy.orm import Session

from flowlink.insights import trends
from flowlink.kernel.money import Money
from flowlink.partners import queries as partners
from flowlink.partners.ids import PartnerId
from flowlink.payouts import queries as payouts
from flowlink.payouts.queries import Balances, Release
from flowlink.risk import queries as risk

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
    """What changes while one looks. Earned is all of it: sales, clicks, cases, partners brought."""

    today: Money
    month: Money
    clicks: int
    balances: Balances
    next_release: Release | None
    bars: Sequence[Bar]
    on_hold: bool
    at: datetime


def counters(session: Session, *, partner_id: PartnerId, now: datetime) -> Live:
    """Today (UTC), this month, the next release and what can be withdrawn."""
    partner = partners.get(session, partner_id)
    day = now.date()
    coming = payouts.releases(session, partner_id)
    days = max(DAYS, day.day)
    shown = trends.of_partner(
        session, partner_id=partner_id, number=partner.number, now=now, days=days
    )
    beside = trends.beside(session, partner_id=partner_id, now=now, days=days)
    both = zip(shown.earned.values["earned"], beside.values["beside"], strict=True)
    earned = [sum(pair) for pair in both]
    return Live(
        today=Money(earned[-1]),
        month=Money(sum(earned[-day.day :])),
        clicks=shown.clicks.values["valid"][-1],
        balances=payouts.balances(session, partner_id),
        next_release=coming[0] if coming else None,
        bars=_bars(shown.earned.days[-DAYS:], earned[-DAYS:]),
        on_hold=bool(risk.holds_of(session, partner_id)),
        at=now,
    )


def _bars(days: Sequence[date], values: Sequence[int]) -> Sequence[Bar]:
    most = max(*values, 1)
    pairs = zip(days, values, strict=True)
    return [Bar(day, Money(micro), max(micro * TALL // most, 1)) for day, micro in pairs]
