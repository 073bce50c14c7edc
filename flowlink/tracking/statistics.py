"""What the statistics pages show of a partner's or one link's clicks; all of it from rollups.

Hours and days are UTC. Bots stand apart from the other clicks that do not count.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta

from sqlalchemy import ColumnElement, func, select
from sqlalchemy.orm import InstrumentedAttribute, Session

from flowlink.tracking import countries
from flowlink.tracking.devices import Device
from flowlink.tracking.models import Link, Reason, Referrer
from flowlink.tracking.rollups import (
    HourCount,
    LinkDayCount,
    LinkHourCount,
    MinuteCount,
    OriginCount,
)

HOURS = 48
MOST = 20
LIVE_MINUTES = 10


@dataclass(frozen=True, slots=True)
class Slice:
    """The clicks of one kind: `name` is a day, an hour, a country, a device, a host, a reason."""

    name: str
    valid: int
    bots: int
    others: int


@dataclass(frozen=True, slots=True)
class Hour:
    """The clicks of an hour; hours without any are there too."""

    at: datetime
    valid: int
    flagged: int


@dataclass(frozen=True, slots=True)
class Statistics:
    """One page. `reasons` says why clicks did not count."""

    total: Slice
    hours: Sequence[Hour]
    days: Sequence[Slice]
    countries: Sequence[Slice]
    devices: Sequence[Slice]
    referrers: Sequence[Slice]
    reasons: Sequence[Slice]


@dataclass(frozen=True, slots=True)
class Live:
    """The counter at the head of the page."""

    today: int
    not_counted: int
    lately: int


def of_partner(session: Session, *, partner: int, days: int, now: datetime) -> Statistics:
    """The clicks on all links of the partner with this number."""
    hours = (HourCount.hour, HourCount.valid, HourCount.flagged, HourCount.partner == partner)
    return _statistics(session, [OriginCount.partner == partner], hours, days, now)


def of_link(session: Session, *, partner: int, link: int, days: int, now: datetime) -> Statistics:
    """The clicks on one link of that partner."""
    which = [OriginCount.partner == partner, OriginCount.link == link]
    columns = LinkHourCount.hour, LinkHourCount.valid, LinkHourCount.flagged
    return _statistics(session, which, (*columns, LinkHourCount.link == link), days, now)


def live_of_partner(session: Session, *, partner: int, now: datetime) -> Live:
    """Today's clicks of a partner, and how many there were in the last minutes."""
    today = now.astimezone(UTC).date()
    midnight = datetime(today.year, today.month, today.day, tzinfo=UTC)
    counted = select(func.sum(HourCount.valid), func.sum(HourCount.flagged)).where(
        HourCount.partner == partner, HourCount.hour >= midnight
    )
    lately = select(func.sum(MinuteCount.valid)).where(
        MinuteCount.partner == partner, MinuteCount.minute > now - timedelta(minutes=LIVE_MINUTES)
    )
    valid, flagged = session.execute(counted).one()
    return Live(int(valid or 0), int(flagged or 0), int(session.scalar(lately) or 0))


def live_of_link(session: Session, *, link: int, now: datetime) -> Live:
    """Today's clicks of a link, and how many there were in this hour."""
    today = now.astimezone(UTC).date()
    counts = session.get(LinkDayCount, (link, today))
    hour = now.astimezone(UTC).replace(minute=0, second=0, microsecond=0)
    lately = session.get(LinkHourCount, (link, hour))
    return Live(
        today=counts.valid if counts else 0,
        not_counted=counts.flagged if counts else 0,
        lately=lately.valid if lately else 0,
    )


def totals(session: Session, links: Sequence[Link]) -> dict[int, tuple[int, int]]:
    """All valid and other clicks of these links so far, by their numbers."""
    rows = session.execute(
        select(LinkDayCount.link, func.sum(LinkDayCount.valid), func.sum(LinkDayCount.flagged))
        .where(LinkDayCount.link.in_([link.number for link in links]))
        .group_by(LinkDayCount.link)
    )
    return {link: (int(valid), int(flagged)) for link, valid, flagged in rows}


_Hours = tuple[
    InstrumentedAttribute[datetime],
    InstrumentedAttribute[int],
    InstrumentedAttribute[int],
    ColumnElement[bool],
]


def _statistics(
    session: Session, which: list[ColumnElement[bool]], hours: _Hours, days: int, now: datetime
) -> Statistics:
    today = now.astimezone(UTC).date()
    first = today - timedelta(days=days - 1)
    within = [*which, OriginCount.day.between(first, today)]
    by_day = {one.name: one for one in _slices(session, within, OriginCount.day, str)}
    span = [str(first + timedelta(days=offset)) for offset in range(days)]
    by_reason = _slices(session, within, OriginCount.reason, _reason)
    return Statistics(
        total=_sum(by_reason),
        hours=_hours(session, hours, now),
        days=[by_day.get(day, Slice(day, 0, 0, 0)) for day in span],
        countries=_slices(session, within, OriginCount.country, countries.code)[:MOST],
        devices=_slices(session, within, OriginCount.device, _device),
        referrers=_referrers(session, within),
        reasons=by_reason,
    )


def _slices(
    session: Session,
    within: list[ColumnElement[bool]],
    key: InstrumentedAttribute[int] | InstrumentedAttribute[date],
    name: Callable[..., str],
) -> list[Slice]:
    rows = session.execute(
        select(key, *_counts()).where(*within).group_by(key).order_by(*_most_first(), key)
    )
    return [Slice(name(row[0]), int(row[1]), int(row[2]), int(row[3])) for row in rows]


def _referrers(session: Session, within: list[ColumnElement[bool]]) -> list[Slice]:
    counted = (
        select(OriginCount.referrer, *_counts())
        .where(*within)
        .group_by(OriginCount.referrer)
        .order_by(*_most_first(), OriginCount.referrer)
        .limit(MOST)
        .subquery()
    )
    rows = session.execute(
        select(Referrer.host, counted.c.valid, counted.c.bots, counted.c.others)
        .join(counted, counted.c.referrer == Referrer.id)
        .order_by(counted.c.valid.desc(), Referrer.host)
    )
    return [Slice(row[0], int(row[1]), int(row[2]), int(row[3])) for row in rows]


def _counts() -> tuple[ColumnElement[int], ColumnElement[int], ColumnElement[int]]:
    reason, count = OriginCount.reason, func.sum(OriginCount.count)
    machines = reason == Reason.BOT
    return (
        func.coalesce(count.filter(reason == Reason.VALID), 0).label("valid"),
        func.coalesce(count.filter(machines), 0).label("bots"),
        func.coalesce(count.filter(reason != Reason.VALID, ~machines), 0).label("others"),
    )


def _most_first() -> tuple[ColumnElement[int], ColumnElement[int]]:
    valid = func.sum(OriginCount.count).filter(OriginCount.reason == Reason.VALID)
    return func.coalesce(valid, 0).desc(), func.sum(OriginCount.count).desc()


def _hours(session: Session, hours: _Hours, now: datetime) -> list[Hour]:
    column, valid, flagged, which = hours
    last = now.astimezone(UTC).replace(minute=0, second=0, microsecond=0)
    first = last - timedelta(hours=HOURS - 1)
    rows = session.execute(select(column, valid, flagged).where(which, column.between(first, last)))
    known = {at.astimezone(UTC): (good, other) for at, good, other in rows}
    span = [first + timedelta(hours=offset) for offset in range(HOURS)]
    return [Hour(at, *known.get(at, (0, 0))) for at in span]


def _sum(slices: Sequence[Slice]) -> Slice:
    return Slice(
        name="total",
        valid=sum(one.valid for one in slices),
        bots=sum(one.bots for one in slices),
        others=sum(one.others for one in slices),
    )


def _device(kept: int) -> str:
    return Device(kept).name.lower()


def _reason(kept: int) -> str:
    return Reason(kept).name.lower()
