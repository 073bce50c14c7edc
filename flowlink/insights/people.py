"""Reads of the operator's partner pages."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from uuid import UUID

from sqlalchemy import ColumnElement, Text, cast, func, or_, select
from sqlalchemy.orm import Session

from flowlink.identity.models import User
from flowlink.insights import earnings
from flowlink.insights.earnings import SHOWN, Sale
from flowlink.kernel.errors import NotFound
from flowlink.kernel.money import Money
from flowlink.ledger.accounts import AccountKind
from flowlink.ledger.models import AccountRow, BalanceRow
from flowlink.partners import ids as partner_ids, queries as partners
from flowlink.partners.group_models import Group, Membership
from flowlink.partners.ids import PartnerId
from flowlink.partners.models import Partner, PartnerStatus
from flowlink.payouts import queries as payouts
from flowlink.risk.models import Hold
from flowlink.tracking.models import Link
from flowlink.tracking.rollups import DayCount

_HELD = select(Hold.id).where(Hold.partner_id == Partner.id, Hold.lifted_at.is_(None)).exists()
_GROUP_NOW = (
    select(Membership.group_id)
    .where(Membership.partner_id == Partner.id)
    .order_by(Membership.id.desc())
    .limit(1)
    .scalar_subquery()
)


@dataclass(frozen=True)
class Wanted:
    """Which partners: `query` is part of an address or a name, or a whole id; None means any."""

    query: str = ""
    status: PartnerStatus | None = None
    group: UUID | None = None
    in_no_group: bool = False
    on_hold: bool | None = None


@dataclass(frozen=True)
class PartnerLine:
    """A partner in the list; clicks of the last 30 days."""

    partner: Partner
    email: str
    clicks_30d: int
    links: int
    on_hold: bool
    group: str | None
    available: Money


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
    wanted: Wanted,
    before: UUID | None = None,
    limit: int = 50,
) -> Sequence[PartnerLine]:
    """The newest first."""
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
    available = (
        select(func.sum(BalanceRow.balance))
        .join(AccountRow, AccountRow.number == BalanceRow.account)
        .where(
            AccountRow.kind == AccountKind.AVAILABLE.value,
            AccountRow.owner == cast(Partner.id, Text),
            AccountRow.currency == "EUR",
        )
        .scalar_subquery()
    )
    name = select(Group.name).where(Group.id == _GROUP_NOW).scalar_subquery()
    rows = select(Partner, User.email, clicks, links, _HELD, name, available)
    rows = rows.join(User, User.id == Partner.user_id).where(*_matches(wanted))
    if before is not None:
        rows = rows.where(Partner.id < before)
    found = session.execute(rows.order_by(Partner.id.desc()).limit(limit))
    return [
        PartnerLine(
            partner=partner,
            email=email,
            clicks_30d=int(count),
            links=own,
            on_hold=on_hold,
            group=group,
            available=Money(int(micro or 0)),
        )
        for partner, email, count, own, on_hold, group, micro in found
    ]


def matching(session: Session, *, wanted: Wanted, limit: int) -> list[PartnerId]:
    """The newest first."""
    rows = select(Partner.id).join(User, User.id == Partner.user_id).where(*_matches(wanted))
    return [
        PartnerId(key) for key in session.scalars(rows.order_by(Partner.id.desc()).limit(limit))
    ]


def _matches(wanted: Wanted) -> Iterator[ColumnElement[bool]]:
    if wanted.query:
        columns = (User.email, Partner.handle, Partner.alias)
        found = [column.icontains(wanted.query, autoescape=True) for column in columns]
        yield or_(*found, Partner.id == _key_in(wanted.query))
    if wanted.status is not None:
        yield Partner.status == wanted.status
    if wanted.group is not None:
        yield _GROUP_NOW.in_([wanted.group])
    if wanted.in_no_group:
        yield _GROUP_NOW.is_(None)
    if wanted.on_hold is not None:
        yield _HELD if wanted.on_hold else ~_HELD


def _key_in(query: str) -> UUID | None:
    """The partner whose id was typed whole."""
    try:
        return partner_ids.parse(query.strip())
    except NotFound:
        return None


def partner_page(session: Session, *, partner_id: PartnerId, now: datetime) -> PartnerPage:
    """:raises UnknownPartner:"""
    partner = partners.get(session, partner_id)
    return PartnerPage(
        partner=partner,
        email=partners.email_of(session, partner_id),
        balances=payouts.balances(session, partner_id),
        clicks_30d=_clicks_since(session, partner, _month_before(now)),
        links=links(session, partner_id, limit=SHOWN),
        sales=earnings.sales(session, partner_id=partner_id, limit=SHOWN),
        withdrawals=payouts.withdrawals(session, partner_id, limit=SHOWN),
        holds=holds(session, partner_id, limit=SHOWN),
    )


def links(session: Session, partner_id: PartnerId, *, limit: int) -> Sequence[Link]:
    """The newest first."""
    rows = select(Link).where(Link.partner_id == partner_id).order_by(Link.id.desc())
    return session.scalars(rows.limit(limit)).all()


def holds(session: Session, partner_id: PartnerId, *, limit: int) -> Sequence[Hold]:
    """Those that bind and those that were lifted, the newest first."""
    rows = select(Hold).where(Hold.partner_id == partner_id).order_by(Hold.id.desc())
    return session.scalars(rows.limit(limit)).all()


def _clicks_since(session: Session, partner: Partner, since: datetime) -> int:
    counted = select(func.sum(DayCount.valid)).where(
        DayCount.partner == partner.number, DayCount.day > since.date()
    )
    return int(session.scalar(counted) or 0)


def _month_before(now: datetime) -> datetime:
    return now - timedelta(days=30)
