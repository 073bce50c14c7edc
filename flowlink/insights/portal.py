"""What a partner sees first: today, this month, the next release, links, and what needs them."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy import func, or_, select
from sqlalchemy.orm import Session

from flowlink.insights import earnings
from flowlink.kernel.money import Money
from flowlink.partners import queries as partners
from flowlink.partners.ids import PartnerId
from flowlink.partners.models import Partner
from flowlink.payouts import queries as payouts
from flowlink.risk import queries as risk
from flowlink.risk.models import Hold
from flowlink.tracking import queries as tracking, service
from flowlink.tracking.models import Link, Offer
from flowlink.tracking.rollups import DayCount, LinkDayCount

SHOWN = 10
LATEST = 5


@dataclass(frozen=True)
class LinkLine:
    """A link and its valid clicks: of the last 30 days, and today."""

    link: Link
    offer: str
    url: str
    clicks_30d: int
    clicks_today: int


@dataclass(frozen=True)
class Portal:
    """The first page after signing in."""

    partner: Partner
    email: str
    earned_today: Money
    earned_month: Money
    clicks_today: int
    balances: payouts.Balances
    releases: Sequence[payouts.Release]
    links: Sequence[LinkLine]
    clicks: Sequence[tracking.ClickLine]
    sales: Sequence[earnings.Sale]
    holds: Sequence[Hold]
    offers: Sequence[Offer]
    offer: tracking.CurrentOffer | None
    has_method: bool
    stopped: Sequence[earnings.Stopped]

    @property
    def offer_choices(self) -> Sequence[tuple[str, str]]:
        """The open offers as a form offers them."""
        return [(offer.name, offer.name) for offer in self.offers]


def portal(session: Session, *, partner_id: PartnerId, now: datetime) -> Portal:
    """Everything on the portal, read at one moment."""
    partner = partners.get(session, partner_id)
    today = now.date()
    return Portal(
        partner=partner,
        email=partners.email_of(session, partner_id),
        earned_today=earnings.earned_since(session, partner_id=partner_id, start=today),
        earned_month=earnings.earned_since(
            session, partner_id=partner_id, start=today.replace(day=1)
        ),
        clicks_today=_clicks_today(session, partner, now),
        balances=payouts.balances(session, partner_id),
        releases=payouts.releases(session, partner_id),
        links=links(session, partner_id=partner_id, now=now, limit=SHOWN),
        clicks=tracking.clicks_of(session, partner_id=partner_id, limit=LATEST),
        sales=earnings.sales(session, partner_id=partner_id, limit=LATEST),
        holds=risk.holds_of(session, partner_id),
        offers=_offers(session, now),
        offer=tracking.current_offer(session, now),
        has_method=bool(payouts.methods(session, partner_id)),
        stopped=earnings.stopped(session, partner_id=partner_id, now=now),
    )


def links(
    session: Session, *, partner_id: PartnerId, now: datetime, limit: int
) -> Sequence[LinkLine]:
    """A partner's links that still lead somewhere, the newest first."""
    month_ago = now.date() - timedelta(days=30)
    recent = LinkDayCount.day > month_ago
    today = LinkDayCount.day == now.date()
    counted = (
        select(
            LinkDayCount.link,
            func.sum(LinkDayCount.valid).label("month"),
            func.sum(LinkDayCount.valid).filter(today).label("today"),
        )
        .join(Link, Link.number == LinkDayCount.link)
        .where(Link.partner_id == partner_id, recent)
        .group_by(LinkDayCount.link)
        .subquery()
    )
    rows = (
        select(
            Link,
            Offer.name,
            func.coalesce(counted.c.month, 0),
            func.coalesce(counted.c.today, 0),
        )
        .join(Offer, Offer.id == Link.offer_id)
        .outerjoin(counted, counted.c.link == Link.number)
        .where(Link.partner_id == partner_id, Link.disabled_at.is_(None))
        .order_by(Link.id.desc())
        .limit(limit)
    )
    return [
        LinkLine(link, offer, service.address(session, link), int(month), int(day))
        for link, offer, month, day in session.execute(rows)
    ]


def _clicks_today(session: Session, partner: Partner, now: datetime) -> int:
    counted = select(DayCount.valid).where(
        DayCount.partner == partner.number, DayCount.day == now.date()
    )
    return session.scalar(counted) or 0


def _offers(session: Session, now: datetime) -> Sequence[Offer]:
    going_on = or_(Offer.ends_at.is_(None), Offer.ends_at > now)
    return session.scalars(select(Offer).where(Offer.active, going_on).order_by(Offer.name)).all()
