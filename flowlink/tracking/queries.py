"""Reads of tracking. Figures come from the rollups, never from the clicks themselves.

Lists go newest first; `before` is the key of the last row shown.
"""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from uuid import UUID

from sqlalchemy import ColumnElement, Row, Select, func, select
from sqlalchemy.orm import Session

from flowlink.kernel import policy
from flowlink.kernel.errors import NotFound
from flowlink.kernel.money import Money
from flowlink.partners.ids import PartnerId
from flowlink.partners.models import Partner
from flowlink.tracking import budgets, clickid, offers
from flowlink.tracking.clickid import ClickRef
from flowlink.tracking.models import (
    Agent,
    Click,
    Conversion,
    ConversionRevision,
    Link,
    Mode,
    Network,
    Offer,
    Postback,
    Reason,
    Referrer,
    Status,
    Stop,
)
from flowlink.tracking.rollups import DayCount, HourCount, LinkDayCount

EPC_DAYS = 7


class UnknownConversion(NotFound):
    message = "There is no such conversion."


@dataclass(frozen=True, slots=True)
class Terms:
    mode: Mode


@dataclass(frozen=True, slots=True)
class CurrentOffer:
    """What we promise a new partner now. A revshare headline is an estimate (spec 3)."""

    offer_id: UUID
    name: str
    headline_cpc: Money
    epc_7d: Money | None
    terms: Terms
    share_bps: int
    is_estimate: bool
    stopped: Stop | None
    """Why it pays no clicks now, if so; its links still lead to where they do."""


@dataclass(frozen=True, slots=True)
class LinkLine:
    """A link with all its clicks and conversions so far."""

    link: Link
    offer: str
    valid: int
    flagged: int
    conversions: int


@dataclass(frozen=True, slots=True)
class ClickLine:
    """One click as people see it; `reason` says why it does not count, if so."""

    token: str
    number: int
    at: datetime
    code: str
    agent: str
    referrer: str
    reason: Reason


@dataclass(frozen=True, slots=True)
class DayLine:
    """A day's clicks; days without any are there too."""

    day: date
    valid: int
    flagged: int


@dataclass(frozen=True, slots=True)
class Trail:
    """What is known of a conversion: its click, its postbacks, its revisions, oldest first."""

    conversion: Conversion
    network: Network
    offer: Offer
    link: Link
    click: ClickLine | None
    postbacks: Sequence[Postback]
    revisions: Sequence[ConversionRevision]


def current_offer(session: Session, now: datetime) -> CurrentOffer | None:
    """The offer that new links get, and its headline: the cpc rate, or share x EPC (spec 3)."""
    offer = offers.current(session, now=now)
    if offer is None:
        return None
    numbers = policy.at(session, now)
    epc = epc_7d(session, network_id=offer.network_id, now=now)
    share_bps = numbers.partner_share_bps if offer.share_bps is None else offer.share_bps
    by_share = (numbers.default_epc if epc is None else epc).share(share_bps)
    return CurrentOffer(
        offer_id=offer.id,
        name=offer.name,
        headline_cpc=by_share if offer.cpc_micro is None else Money(offer.cpc_micro),
        epc_7d=epc,
        terms=Terms(Mode(offer.mode)),
        share_bps=share_bps,
        is_estimate=offer.cpc_micro is None,
        stopped=budgets.stop_of(offer, left=budgets.left(session, [offer.id])[offer.id], now=now),
    )


def epc_7d(session: Session, *, network_id: UUID, now: datetime) -> Money | None:
    """A network's approved gross by its valid clicks, in seven UTC days; None without any."""
    today = now.astimezone(UTC).date()
    before = today - timedelta(days=EPC_DAYS)
    gross = session.scalar(
        select(func.sum(Conversion.amount_micro)).where(
            Conversion.network_id == network_id,
            Conversion.status == Status.APPROVED,
            Conversion.occurred_at >= datetime.combine(before + timedelta(days=1), time.min, UTC),
            Conversion.occurred_at <= now,
        )
    )
    clicks = session.scalar(
        select(func.sum(LinkDayCount.valid))
        .join(Link, Link.number == LinkDayCount.link)
        .join(Offer, Offer.id == Link.offer_id)
        .where(
            Offer.network_id == network_id,
            LinkDayCount.day > before,
            LinkDayCount.day <= today,
        )
    )
    if not gross or not clicks:
        return None
    return Money(1).in_proportion(Money(int(gross)), Money(int(clicks)))


def links_of(
    session: Session, *, partner_id: PartnerId, before: UUID | None = None, limit: int = 50
) -> Sequence[LinkLine]:
    """A partner's links with their counts."""
    counted = (
        select(func.coalesce(func.sum(LinkDayCount.valid), 0).label("valid"))
        .add_columns(func.coalesce(func.sum(LinkDayCount.flagged), 0).label("flagged"))
        .where(LinkDayCount.link == Link.number)
        .lateral()
    )
    converted = select(func.count()).where(Conversion.link_id == Link.id).scalar_subquery()
    rows = (
        select(Link, Offer.name, counted.c.valid, counted.c.flagged, converted)
        .join(Offer, Offer.id == Link.offer_id)
        .join(counted, counted.c.valid >= 0)
        .where(Link.partner_id == partner_id)
        .order_by(Link.id.desc())
        .limit(limit)
    )
    if before is not None:
        rows = rows.where(Link.id < before)
    return [LinkLine(*row) for row in session.execute(rows)]


def clicks_of(
    session: Session, *, partner_id: PartnerId, before: int | None = None, limit: int = 20
) -> Sequence[ClickLine]:
    """A partner's clicks. Hours without any are skipped by their counts; no index is needed."""
    number = session.scalar(select(Partner.number).where(Partner.id == partner_id))
    hours = select(HourCount.hour, HourCount.valid + HourCount.flagged).where(
        HourCount.partner == number
    )
    if before is not None:
        hours = hours.where(HourCount.hour <= clickid.at(before))
    found: list[ClickLine] = []
    for hour, _ in session.execute(hours.order_by(HourCount.hour.desc()).limit(limit + 1)):
        within = (
            _clicks()
            .where(Click.partner == number, *_in_hour(hour, before))
            .order_by(Click.id.desc())
            .limit(limit - len(found))
        )
        found += [_click_line(row) for row in session.execute(within)]
        if len(found) == limit:
            break
    return found


def click(session: Session, ref: ClickRef) -> ClickLine | None:
    """One click, found on its day by the number alone; None while its row is not there."""
    row = session.execute(_clicks().where(Click.id == ref.number)).first()
    return _click_line(row) if row else None


def clicks_per_day(
    session: Session, *, partner_id: PartnerId, since: date, until: date
) -> Sequence[DayLine]:
    """A partner's clicks of each UTC day from `since` to `until`, both included."""
    number = select(Partner.number).where(Partner.id == partner_id).scalar_subquery()
    rows = session.execute(
        select(DayCount.day, DayCount.valid, DayCount.flagged).where(
            DayCount.partner == number, DayCount.day.between(since, until)
        )
    )
    counts = {day: (valid, flagged) for day, valid, flagged in rows}
    days = [since + timedelta(days=offset) for offset in range((until - since).days + 1)]
    return [DayLine(day, *counts.get(day, (0, 0))) for day in days]


def conversion(session: Session, conversion_id: UUID) -> Conversion:
    """:raises UnknownConversion:"""
    found = session.get(Conversion, conversion_id)
    if found is None:
        raise UnknownConversion
    return found


def token_of(conversion: Conversion, link: Link, partner: int) -> str | None:
    """The click id under which the network knows the conversion's click."""
    number = conversion.click_id
    return None if number is None else clickid.token(ClickRef(number, link.number, partner))


def conversions_of(
    session: Session, *, partner_id: PartnerId, before: UUID | None = None, limit: int = 50
) -> Sequence[Conversion]:
    """A partner's conversions."""
    rows = select(Conversion).where(Conversion.partner_id == partner_id)
    if before is not None:
        rows = rows.where(Conversion.id < before)
    return session.scalars(rows.order_by(Conversion.id.desc()).limit(limit)).all()


def links_by_id(session: Session, keys: Collection[UUID]) -> Mapping[UUID, Link]:
    return {link.id: link for link in session.scalars(select(Link).where(Link.id.in_(keys)))}


def networks(session: Session) -> Sequence[Network]:
    """All networks by name."""
    return session.scalars(select(Network).order_by(Network.name)).all()


def all_offers(session: Session) -> Sequence[tuple[Offer, Network]]:
    """All offers with their networks, newest first."""
    rows = select(Offer, Network).join(Network, Network.id == Offer.network_id)
    return [(row[0], row[1]) for row in session.execute(rows.order_by(Offer.id.desc()))]


def revisions_after(
    session: Session, *, at: datetime, limit: int = 500
) -> Sequence[ConversionRevision]:
    """Revisions made since `at`, in their order; which of them are posted, payouts knows."""
    rows = select(ConversionRevision).where(ConversionRevision.at >= at)
    by_time = ConversionRevision.at, ConversionRevision.conversion_id, ConversionRevision.revision
    return session.scalars(rows.order_by(*by_time).limit(limit)).all()


def postbacks(
    session: Session,
    *,
    network_id: UUID | None = None,
    result: str | None = None,
    before: UUID | None = None,
    limit: int = 50,
) -> Sequence[tuple[Postback, str | None]]:
    """The inbox with the networks' names, all of it or one network's or one result's."""
    rows = select(Postback, Network.name).outerjoin(Network, Network.id == Postback.network_id)
    if network_id is not None:
        rows = rows.where(Postback.network_id == network_id)
    if result is not None:
        rows = rows.where(Postback.result == result)
    if before is not None:
        rows = rows.where(Postback.id < before)
    found = session.execute(rows.order_by(Postback.id.desc()).limit(limit))
    return [(row[0], row[1]) for row in found]


def trail(session: Session, conversion_id: UUID) -> Trail:
    """Everything that made a conversion what it is.

    :raises UnknownConversion:
    """
    found = conversion(session, conversion_id)
    link = session.get_one(Link, found.link_id)
    ref = None if found.click_id is None else ClickRef(found.click_id, link.number, 0)
    sent = select(Postback).where(Postback.conversion_id == found.id).order_by(Postback.id)
    steps = select(ConversionRevision).where(ConversionRevision.conversion_id == found.id)
    return Trail(
        conversion=found,
        network=session.get_one(Network, found.network_id),
        offer=session.get_one(Offer, found.offer_id),
        link=link,
        click=None if ref is None else click(session, ref),
        postbacks=session.scalars(sent).all(),
        revisions=session.scalars(steps.order_by(ConversionRevision.revision)).all(),
    )


def _clicks() -> Select[int, int, int, int, str, str, str]:
    return (
        select(
            Click.id,
            Click.link,
            Click.partner,
            Click.reason,
            Link.code,
            Agent.text,
            Referrer.host,
        )
        .join(Link, Link.number == Click.link)
        .join(Agent, Agent.id == Click.agent)
        .join(Referrer, Referrer.id == Click.referrer)
    )


def _in_hour(hour: datetime, before: int | None) -> list[ColumnElement[bool]]:
    until = clickid.floor(hour + timedelta(hours=1))
    return [Click.id >= clickid.floor(hour), Click.id < min(until, before or until)]


def _click_line(row: Row[int, int, int, int, str, str, str]) -> ClickLine:
    number, link, partner, reason, code, agent, referrer = row
    return ClickLine(
        token=clickid.token(ClickRef(number, link, partner)),
        number=number,
        at=clickid.at(number),
        code=code,
        agent=agent,
        referrer=referrer,
        reason=Reason(reason),
    )
