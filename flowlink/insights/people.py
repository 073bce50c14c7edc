"""Reads of the operator's partner pages."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from uuid import UUID

from sqlalchemy import func, or_, select
from sqlalchemy.orm import Session

from flowlink.identity.models import User
from flowlink.insights import earnings
from flowlink.insights.earnings import SHOWN, Sale
from flowlink.partners import queries as partners
from flowlink.partners.ids import PartnerId
from flowlink.partners.models import Partner
from flowlink.payouts import queries as payouts
from flowlink.risk.models import Hold
from flowlink.tracking.models import Link
from flowlink.tracking.rollups import DayCount


@dataclass(frozen=True)
class PartnerLine:
    """A partner in the list; clicks of the last 30 days."""

    partner: Partner
    email: str
    clicks_30d: int
    links: int
    on_hold: bool


@dataclass(frozen=True)
class PartnerPage:
    """All about one partner."""

    partner: Partner
    email: str
    balances: payouts.Balances
    clicks_30d: int
    links: Sequence[Link]
    sales: Sequence[Sale]
    withdrawals: Sequence[payouts.WithdrawalLine]
    holds: Sequence[Hold]


def partner_lines(
    session: Session,
    *,
    now: datetime,
    query: str = "",
    status: str = "",
    before: UUID | None = None,
    limit: int = 50,
) -> Sequence[PartnerLine]:
    """The newest first; `query` is part of an address, a handle or an opaque name."""
    held = select(Hold.id).where(Hold.partner_id == Partner.id, Hold.lifted_at.is_(None)).exists()
    links = (
        select(func.count())
        .where(Link.partner_id == Partner.id, Link.disabled_at.is_(None))
        .scalar_subquery()
    )
    clicks = (
        select(func.coalesce(func.sum(DayCount.valid), 0))
        .where(DayCount.partner == Partner.number, DayCount.day > _month_before(now).date())
        .scalar_subquery()
    )
    rows = select(Partner, User.email, clicks, links, held).join(User, User.id == Partner.user_id)
    if query:
        columns = (User.email, Partner.handle, Partner.alias)
        rows = rows.where(or_(*(column.icontains(query, autoescape=True) for column in columns)))
    if status:
        rows = rows.where(Partner.status == status)
    if before is not None:
        rows = rows.where(Partner.id < before)
    found = session.execute(rows.order_by(Partner.id.desc()).limit(limit))
    return [
        PartnerLine(partner=partner, email=email, clicks_30d=int(count), links=own, on_hold=on_hold)
        for partner, email, count, own, on_hold in found
    ]


def partner_page(session: Session, *, partner_id: PartnerId, now: datetime) -> PartnerPage:
    """:raises UnknownPartner:"""
    partner = partners.get(session, partner_id)
    links = select(Link).where(Link.partner_id == partner_id).order_by(Link.id.desc()).limit(SHOWN)
    holds = select(Hold).where(Hold.partner_id == partner_id).order_by(Hold.id.desc()).limit(SHOWN)
    return PartnerPage(
        partner=partner,
        email=partners.email_of(session, partner_id),
        balances=payouts.balances(session, partner_id),
        clicks_30d=_clicks_since(session, partner, _month_before(now)),
        links=session.scalars(links).all(),
        sales=earnings.sales(session, partner_id=partner_id, limit=SHOWN),
        withdrawals=payouts.withdrawals(session, partner_id, limit=SHOWN),
        holds=session.scalars(holds).all(),
    )


def _clicks_since(session: Session, partner: Partner, since: datetime) -> int:
    counted = select(func.sum(DayCount.valid)).where(
        DayCount.partner == partner.number, DayCount.day > since.date()
    )
    return int(session.scalar(counted) or 0)


def _month_before(now: datetime) -> datetime:
    return now - timedelta(days=30)
