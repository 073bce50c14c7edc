"""A partner's clicks as risk looks at them, and what they have in common."""

from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from statistics import median
from uuid import UUID

from sqlalchemy import ColumnElement, func, select
from sqlalchemy.orm import Session

from flowlink.identity.ids import UserId, actor_of
from flowlink.kernel.models import AuditRow
from flowlink.partners.models import Partner
from flowlink.tracking import clickid, origins
from flowlink.tracking.models import Click, Conversion, Link, Reason, Referrer, Salt, Status
from flowlink.tracking.rollups import HourCount, LinkDayCount

HOUR = timedelta(hours=1)
CLICKS_MAX = 20_000  # looked at together; a busier partner's window is shorter
RATE_DAYS = 30
ENOUGH = 300  # clicks, before a rate of sales means something
SIGNED_IN = timedelta(days=14)
_CONVERTS = (Status.PENDING, Status.APPROVED)


@dataclass(frozen=True, slots=True)
class Seen:
    """One click: who, through what, from where. All of them hashes of the day, or small numbers."""

    number: int
    at: datetime
    visitor: int
    link: int
    agent: int
    referrer: int
    reason: int
    origin: int

    @property
    def counts(self) -> bool:
        return self.reason == Reason.VALID

    @property
    def address(self) -> int:
        """The address's hash; of clicks from before there was one, the visitor's."""
        return origins.address(self.origin) if origins.is_known(self.origin) else self.visitor


@dataclass(frozen=True, slots=True)
class Past:
    """What a link was like before the time that is looked at."""

    clicks: int
    bare: float
    """Which share of its clicks came without a referrer."""


@dataclass(frozen=True)
class Traffic:
    """A partner's clicks of some hours, in their order, with what else is known of them."""

    partner_id: UUID
    clicks: Sequence[Seen]
    seconds: Mapping[int, float]
    """From each click that led to a sale, the seconds until it was reported."""
    rates: Mapping[int, float]
    """By link: which share of its clicks usually leads to a sale; nothing where nobody knows."""
    past: Mapping[int, Past]
    own: frozenset[int]
    """The neighborhoods from which the partner has signed in."""
    bare: int
    """The number under which the empty referrer is kept."""


def read(session: Session, *, partner: Partner, hour: datetime, hours: int = 48) -> Traffic:
    """The clicks of `partner` in the hours that end with `hour`; fewer hours where it is busy."""
    since, until = _busy_since(session, partner.number, hour, hours), hour + HOUR
    clicks = clicks_of(session, partner.number, since=since, until=until)
    links = {click.link for click in clicks}
    return Traffic(
        partner_id=partner.id,
        clicks=clicks,
        seconds=seconds_to_sale(session, clicks),
        rates=_rates(session, links, hour),
        past=_past(session, links, since),
        own=_own_networks(session, partner, until),
        bare=session.scalar(select(Referrer.id).where(Referrer.host == "")) or 0,
    )


def clicks_of(
    session: Session, partner: int, *, since: datetime, until: datetime
) -> Sequence[Seen]:
    """All clicks of a partner from `since` to before `until`, bots too, in their order."""
    rows = (
        select(
            Click.id,
            Click.visitor,
            Click.link,
            Click.agent,
            Click.referrer,
            Click.reason,
            Click.origin,
        )
        .where(
            Click.id >= clickid.floor(since),
            Click.id < clickid.floor(until),
            Click.partner == partner,
        )
        .order_by(Click.id)
    )
    return [
        Seen(row[0], clickid.at(row[0]), row[1], row[2], row[3], row[4], row[5], row[6])
        for row in session.execute(rows)
    ]


def seconds_to_sale(session: Session, clicks: Sequence[Seen]) -> dict[int, float]:
    """By click: how many seconds passed until its first sale, for those that have one."""
    if not clicks:
        return {}
    numbers = {click.number for click in clicks}
    rows = (
        select(Conversion.click_id, func.min(Conversion.occurred_at))
        .where(
            Conversion.link_id.in_(
                select(Link.id).where(Link.number.in_({click.link for click in clicks}))
            ),
            Conversion.click_id.between(clicks[0].number, clicks[-1].number),
        )
        .group_by(Conversion.click_id)
    )
    return {
        number: max((at - clickid.at(number)).total_seconds(), 0.0)
        for number, at in session.execute(rows)
        if number in numbers
    }


def evidence(clicks: Sequence[Seen], seconds: Mapping[int, float]) -> dict[str, object]:
    """What anybody can check who doubts a decision: counts and times, nobody's identity."""
    known = [click for click in clicks if origins.is_known(click.origin)]
    hosted = sum(origins.from_datacenter(click.origin) for click in known)
    facts = {
        "clicks": len(clicks),
        "valid": sum(click.counts for click in clicks),
        "from": clicks[0].at.isoformat(timespec="seconds"),
        "to": clicks[-1].at.isoformat(timespec="seconds"),
        "ip_hashes": len({click.address for click in clicks}),
        "networks": len({origins.network(click.origin) for click in known}),
        "user_agents": len({click.agent for click in clicks}),
        "datacenter_share": percent(hosted, len(known)),
        "conversions": sum(click.number in seconds for click in clicks),
    }
    times = sorted(seconds[click.number] for click in clicks if click.number in seconds)
    few = [int(times[0]), int(median(times)), int(times[-1])] if times else []
    return facts | {"click_to_conversion_s": few}


def percent(part: int, whole: int) -> str:
    return f"{part * 100 // whole if whole else 0} %"


def most_common(words: Collection[int]) -> int:
    """How often the most frequent one occurs."""
    return Counter(words).most_common(1)[0][1] if words else 0


def _busy_since(session: Session, partner: int, hour: datetime, hours: int) -> datetime:
    """From when on no more clicks than we look at together; `hour` itself is always in it."""
    counted = select(HourCount.hour, HourCount.valid + HourCount.flagged).where(
        HourCount.partner == partner,
        HourCount.hour > hour - timedelta(hours=hours),
        HourCount.hour <= hour,
    )
    since, total = hour, 0
    for at, count in session.execute(counted.order_by(HourCount.hour.desc())):
        total += count
        if total > CLICKS_MAX and at < hour:
            break
        since = min(since, at)
    return since


def _rates(session: Session, links: Collection[int], hour: datetime) -> dict[int, float]:
    """By link: sales a click before this day, its own or its offer's, whichever is more.

    The offer's is that of its links that sell at all: those that never did are no measure.
    """
    day = hour.astimezone(UTC).date()
    offers = _offers(session, Link.number.in_(links))
    siblings = _offers(session, Link.offer_id.in_(set(offers.values())))
    every = _converted(session, siblings, day)
    rates = {}
    for link in links:
        selling = [pair for one, pair in every.items() if siblings[one] == offers[link] and pair[1]]
        clicks, sales = sum(pair[0] for pair in selling), sum(pair[1] for pair in selling)
        usual = sales / clicks if clicks >= ENOUGH else 0.0
        mine, sold = every.get(link, (0, 0))
        rates[link] = max(sold / mine if mine >= ENOUGH else 0.0, usual)
    return rates


def _offers(session: Session, where: ColumnElement[bool]) -> dict[int, UUID]:
    found = session.execute(select(Link.number, Link.offer_id).where(where))
    return {number: offer_id for number, offer_id in found}  # noqa: C416


def _converted(session: Session, links: Collection[int], day: date) -> dict[int, tuple[int, int]]:
    """By link: its valid clicks and its sales in the days before `day`."""
    since = day - timedelta(days=RATE_DAYS)
    clicks = (
        select(LinkDayCount.link, func.sum(LinkDayCount.valid))
        .where(LinkDayCount.link.in_(links), LinkDayCount.day >= since, LinkDayCount.day < day)
        .group_by(LinkDayCount.link)
    )
    sold = (
        select(Link.number, func.count(Conversion.id))
        .join(Conversion, Conversion.link_id == Link.id)
        .where(
            Link.number.in_(links),
            Conversion.status.in_(_CONVERTS),
            Conversion.occurred_at >= since,
            Conversion.occurred_at < day,
        )
        .group_by(Link.number)
    )
    sales = {link: int(count) for link, count in session.execute(sold)}
    return {link: (int(count), sales.get(link, 0)) for link, count in session.execute(clicks)}


def _past(session: Session, links: Collection[int], until: datetime) -> dict[int, Past]:
    """By link: of its last clicks before `until`, how many there are and how many came bare."""
    if not links:
        return {}
    rows = (
        select(
            Click.link,
            func.count(),
            func.count().filter(Referrer.host == ""),
        )
        .join(Referrer, Referrer.id == Click.referrer)
        .where(
            Click.id >= clickid.floor(until - timedelta(days=3)),
            Click.id < clickid.floor(until),
            Click.link.in_(links),
            Click.reason == Reason.VALID,
        )
        .group_by(Click.link)
    )
    return {link: Past(count, bare / count) for link, count, bare in session.execute(rows)}


def _own_networks(session: Session, partner: Partner, until: datetime) -> frozenset[int]:
    """Where the partner has lately been signed in, as today's and yesterday's clicks name it."""
    actor = actor_of(UserId(partner.user_id))
    places = select(AuditRow.ip).where(
        AuditRow.actor == actor,
        AuditRow.at > until - SIGNED_IN,
        AuditRow.at < until,
    )
    found = [ip for ip in session.scalars(places.distinct()) if origins.is_public(ip)]
    salts = session.scalars(select(Salt.salt).order_by(Salt.day.desc()).limit(3)).all()
    return frozenset(origins.network_on(ip, salt) for ip in found for salt in salts)
