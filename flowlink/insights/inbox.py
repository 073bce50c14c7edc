"""Reads of what arrives from networks, and of what they are: postbacks, networks, offers."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from urllib.parse import parse_qsl, urlencode
from uuid import UUID

from sqlalchemy import func, or_, select
from sqlalchemy.orm import Session

from flowlink.kernel.money import Money
from flowlink.tracking import budgets, networks as registry, postbacks as tracking
from flowlink.tracking.models import Conversion, Link, Network, Offer, Postback, Stop
from flowlink.tracking.postbacks import PostbackIn, Preview
from flowlink.tracking.rollups import LinkDayCount

WEEK = timedelta(days=7)


@dataclass(frozen=True)
class PostbackLine:
    """A postback as the log shows it."""

    postback_id: UUID
    at: datetime
    network: str | None
    method: str
    query: str
    address: str
    result: str
    reason: str | None
    conversion_id: UUID | None


@dataclass(frozen=True)
class PostbackPage:
    """One postback whole: the raw request as it came, its key taken out, and what it led to."""

    line: PostbackLine
    fields: Sequence[tuple[str, str]]
    content_type: str
    body: str
    key_ok: bool
    attempts: int
    handled_at: datetime | None
    revision: int | None
    conversion: Conversion | None


@dataclass(frozen=True)
class NetworkLine:
    """A network and how lively it is."""

    network: Network
    offers: int
    postbacks_24h: int
    waiting_24h: int
    last_at: datetime | None


@dataclass(frozen=True)
class OfferLine:
    """An offer and how it does; clicks and conversions of the last 7 days."""

    offer: Offer
    network: str
    links: int
    clicks_7d: int
    conversions_7d: int
    gross_7d: Money
    left: Money
    stopped: Stop | None


def postbacks(
    session: Session,
    *,
    result: str = "",
    network: str = "",
    query: str = "",
    before: UUID | None = None,
    limit: int = 50,
) -> Sequence[PostbackLine]:
    """The newest first; `query` is part of what was sent or of the address it came from."""
    rows = select(Postback, Network.name).outerjoin(Network, Network.id == Postback.network_id)
    if result:
        rows = rows.where(Postback.result == result)
    if network:
        rows = rows.where(Network.name == network)
    if query:
        columns = (Postback.query, Postback.address, Postback.reason)
        rows = rows.where(or_(*(column.icontains(query, autoescape=True) for column in columns)))
    if before is not None:
        rows = rows.where(Postback.id < before)
    found = session.execute(rows.order_by(Postback.id.desc()).limit(limit))
    return [_line(postback, name) for postback, name in found]


def postback(session: Session, postback_id: UUID) -> PostbackPage:
    """:raises tracking.UnknownPostback:"""
    rows = select(Postback, Network.name).outerjoin(Network, Network.id == Postback.network_id)
    found = session.execute(rows.where(Postback.id == postback_id)).one_or_none()
    if found is None:
        raise tracking.UnknownPostback
    row, name = found
    return PostbackPage(
        line=_line(row, name),
        fields=parse_qsl(row.query, keep_blank_values=True, errors="replace"),
        content_type=row.content_type,
        body=row.body.decode("utf-8", "backslashreplace"),
        key_ok=row.key_ok,
        attempts=row.attempts,
        handled_at=row.handled_at,
        revision=row.revision,
        conversion=session.get(Conversion, row.conversion_id) if row.conversion_id else None,
    )


def rehearse(session: Session, *, network: str, said: Mapping[str, str], now: datetime) -> Preview:
    """What would come of a postback of this network with these values, without any effect.

    :raises UnknownNetwork: there is none of this name.
    """
    found = registry.named(session, network)
    fields = {found.fields[name]: value for name, value in said.items() if value}
    query = urlencode({"network": found.name, "key": registry.key_of(found)} | fields)
    sender = found.addresses[0].partition("/")[0] if found.addresses else ""
    return tracking.preview(session, request=PostbackIn("GET", query, address=sender), now=now)


def network_names(session: Session) -> Sequence[str]:
    return session.scalars(select(Network.name).order_by(Network.name)).all()


def networks(session: Session, *, since: datetime) -> Sequence[NetworkLine]:
    """By name; counts since `since`, which the screen calls 24 hours."""
    offers = (
        select(Offer.network_id, func.count().label("count")).group_by(Offer.network_id).subquery()
    )
    waiting = func.count().filter(Postback.result.in_(["orphan", "quarantined"]))
    recent = (
        select(Postback.network_id, func.count().label("count"), waiting.label("waiting"))
        .where(Postback.received_at >= since)
        .group_by(Postback.network_id)
        .subquery()
    )
    last_at = (
        select(Postback.received_at)
        .where(Postback.network_id == Network.id)
        .order_by(Postback.id.desc())
        .limit(1)
        .scalar_subquery()
    )
    rows = (
        select(
            Network,
            func.coalesce(offers.c.count, 0),
            func.coalesce(recent.c.count, 0),
            func.coalesce(recent.c.waiting, 0),
            last_at,
        )
        .outerjoin(offers, offers.c.network_id == Network.id)
        .outerjoin(recent, recent.c.network_id == Network.id)
        .order_by(Network.name)
    )
    return [NetworkLine(*row) for row in session.execute(rows)]


def offers(session: Session, *, now: datetime) -> Sequence[OfferLine]:
    """By name."""
    since = now - WEEK
    clicks = (
        select(Link.offer_id, func.sum(LinkDayCount.valid).label("count"))
        .join(LinkDayCount, LinkDayCount.link == Link.number)
        .where(LinkDayCount.day > since.date(), LinkDayCount.day <= now.date())
        .group_by(Link.offer_id)
        .subquery()
    )
    links = (
        select(Link.offer_id, func.count().label("count"))
        .where(Link.disabled_at.is_(None))
        .group_by(Link.offer_id)
        .subquery()
    )
    sold = (
        select(
            Conversion.offer_id,
            func.count().label("count"),
            func.sum(Conversion.amount_micro).label("gross"),
        )
        .where(Conversion.status == "approved", Conversion.occurred_at >= since)
        .group_by(Conversion.offer_id)
        .subquery()
    )
    counts = (links.c.count, clicks.c.count, sold.c.count, sold.c.gross)
    rows = select(Offer, Network.name, *(func.coalesce(count, 0) for count in counts))
    rows = rows.join(Network, Network.id == Offer.network_id)
    for part in (links, clicks, sold):
        rows = rows.outerjoin(part, part.c.offer_id == Offer.id)
    found = session.execute(rows.order_by(Offer.name)).all()
    left = budgets.left(session, [row[0].id for row in found])
    return [
        OfferLine(
            offer=offer,
            network=name,
            links=live,
            clicks_7d=int(clicked),
            conversions_7d=conversions,
            gross_7d=Money(int(gross), offer.currency),
            left=left[offer.id],
            stopped=budgets.stop_of(offer, left=left[offer.id], now=now),
        )
        for offer, name, live, clicked, conversions, gross in found
    ]


def _line(postback: Postback, network: str | None) -> PostbackLine:
    return PostbackLine(
        postback_id=postback.id,
        at=postback.received_at,
        network=network,
        method=postback.method,
        query=postback.query,
        address=postback.address,
        result=str(postback.result),
        reason=postback.reason,
        conversion_id=postback.conversion_id,
    )
