"""What the statistics pages show of a partner's or one link's clicks; all of it from rollups.

Hours and days are UTC. Bots stand apart from the other clicks that do not count.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from sqlalchemy import ColumnElement, Select, func, select, tuple_
from sqlalchemy.orm import InstrumentedAttribute, Session
from sqlalchemy.sql.selectable import Subquery

from flowlink.tracking import countries, folding
from flowlink.tracking.devices import Device
from flowlink.tracking.models import Link, Reason, Referrer
from flowlink.tracking.rollups import HourCount, LinkDayCount, MinuteCount

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
    hours = select(HourCount.hour, HourCount.valid, HourCount.flagged)
    mine = hours.where(HourCount.partner == partner, _lately(HourCount.hour, now))
    origin = folding.origins()
    return _statistics(session, origin, [origin.c.partner == partner], mine, days, now)


def of_link(session: Session, *, partner: int, link: int, days: int, now: datetime) -> Statistics:
    """The clicks on one link of that partner."""
    origin, each = folding.origins(), folding.link_hours().c
    hours = select(each.hour, func.sum(each.valid), func.sum(each.flagged)).group_by(each.hour)
    which = [origin.c.partner == partner, origin.c.link == link]
    mine = hours.where(each.link == link, _lately(each.hour, now))
    return _statistics(session, origin, which, mine, days, now)


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
    each = folding.link_hours().c
    lately = select(func.sum(each.valid)).where(each.link == link, each.hour == hour)
    return Live(
        today=counts.valid if counts else 0,
        not_counted=counts.flagged if counts else 0,
        lately=int(session.scalar(lately) or 0),
    )


def totals(session: Session, links: Sequence[Link]) -> dict[int, tuple[int, int]]:
    """All valid and other clicks of these links so far, by their numbers."""
    rows = session.execute(
        select(LinkDayCount.link, func.sum(LinkDayCount.valid), func.sum(LinkDayCount.flagged))
        .where(LinkDayCount.link.in_([link.number for link in links]))
        .group_by(LinkDayCount.link)
    )
    return {link: (int(valid), int(flagged)) for link, valid, flagged in rows}


_Hours = Select[datetime, int, int]
_KEYS = ("day", "country", "device", "referrer", "reason")


def _statistics(
    session: Session,
    origin: Subquery,
    which: list[ColumnElement[bool]],
    hours: _Hours,
    days: int,
    now: datetime,
) -> Statistics:
    today = now.astimezone(UTC).date()
    first = today - timedelta(days=days - 1)
    found = _slices(session, origin, [*which, origin.c.day.between(first, today)])
    by_day = {one.name: one for one in _named(found["day"], str)}
    span = [str(first + timedelta(days=offset)) for offset in range(days)]
    by_reason = _named(found["reason"], _reason)
    return Statistics(
        total=_sum(by_reason),
        hours=_hours(session, hours, now),
        days=[by_day.get(day, Slice(day, 0, 0, 0)) for day in span],
        countries=_named(found["country"][:MOST], countries.code),
        devices=_named(found["device"], _device),
        referrers=_referrers(session, found["referrer"][:MOST]),
        reasons=by_reason,
    )


_Found = tuple[Any, int, int, int]


def _slices(
    session: Session, origin: Subquery, within: list[ColumnElement[bool]]
) -> dict[str, list[_Found]]:
    """The counts by each key, the most valid first; all keys in one reading."""
    keys = [origin.c[name] for name in _KEYS]
    reason, count = origin.c.reason, func.sum(origin.c.count)
    machines = reason == Reason.BOT
    counts = (
        count.filter(reason == Reason.VALID),
        count.filter(machines),
        count.filter(reason != Reason.VALID, ~machines),
    )
    each = func.grouping_sets(*(tuple_(key) for key in keys))
    found: dict[str, list[_Found]] = {name: [] for name in _KEYS}
    for row in session.execute(select(*keys, *counts).where(*within).group_by(each)):
        name, key = next(one for one in zip(_KEYS, row, strict=False) if one[1] is not None)
        valid, bots, others = (int(given or 0) for given in row[len(_KEYS) :])
        found[name].append((key, valid, bots, others))
    for slices in found.values():
        slices.sort(key=lambda one: (-one[1], -sum(one[1:]), one[0]))
    return found


def _named(slices: Sequence[_Found], name: Callable[..., str]) -> list[Slice]:
    return [Slice(name(key), *counts) for key, *counts in slices if any(counts)]


def _referrers(session: Session, slices: Sequence[_Found]) -> list[Slice]:
    rows = select(Referrer.id, Referrer.host).where(Referrer.id.in_([one[0] for one in slices]))
    hosts: dict[int, str] = dict(session.execute(rows).all())
    return _named(slices, hosts.__getitem__)


def _lately(hour: ColumnElement[datetime] | InstrumentedAttribute[datetime], now: datetime) -> Any:
    last = now.astimezone(UTC).replace(minute=0, second=0, microsecond=0)
    return hour.between(last - timedelta(hours=HOURS - 1), last)


def _hours(session: Session, hours: _Hours, now: datetime) -> list[Hour]:
    first = now.astimezone(UTC).replace(minute=0, second=0, microsecond=0)
    first -= timedelta(hours=HOURS - 1)
    known = {
        at.astimezone(UTC): (int(valid), int(flagged))
        for at, valid, flagged in session.execute(hours)
    }
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
