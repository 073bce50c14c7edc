"""Reads for those who pay clicks: whose clicks may be paid for, and which they are."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from uuid import UUID

from sqlalchemy import ColumnElement, and_, func, select
from sqlalchemy.orm import Session

from flowlink.partners.models import Partner
from flowlink.tracking import clickid
from flowlink.tracking.models import Click, Conversion, Link, Mode, OfferVersion, Reason, Status
from flowlink.tracking.rollups import LinkDayCount


@dataclass(frozen=True, slots=True)
class ClickFact:
    """One click as far as money goes. `reason` says why it counts for nobody, if so."""

    number: int
    at: datetime
    partner_id: UUID
    offer_id: UUID
    reason: Reason


@dataclass(frozen=True, slots=True)
class PartnerDay:
    """An offer's valid clicks of one partner in a UTC day."""

    day: date
    partner_id: UUID
    clicks: int


@dataclass(frozen=True, slots=True)
class SaleDay:
    """An offer's confirmed sales of a UTC day. `amounts` are their single amounts."""

    day: date
    amounts: Sequence[int]


def has_cpc_link() -> ColumnElement[bool]:
    """That a partner has links of an offer that pays, or once paid, for clicks."""
    by_click = and_(OfferVersion.offer_id == Link.offer_id, OfferVersion.mode == Mode.CPC)
    links = select(Link.id).join(OfferVersion, by_click).where(Link.partner_id == Partner.id)
    return links.exists()


def clicks_in_hour(
    session: Session, *, hour: datetime, partners: Collection[int]
) -> Sequence[ClickFact]:
    """All clicks of these partners in an hour, in order, on offers that ever paid for clicks."""
    by_click = select(OfferVersion.offer_id).where(
        OfferVersion.offer_id == Link.offer_id, OfferVersion.mode == Mode.CPC
    )
    rows = (
        select(Click.id, Link.partner_id, Link.offer_id, Click.reason)
        .join(Link, Link.number == Click.link)
        .where(
            Click.id >= clickid.floor(hour),
            Click.id < clickid.floor(hour + timedelta(hours=1)),
            Click.partner.in_(partners),
            by_click.exists(),
        )
        .order_by(Click.id)
    )
    return [
        ClickFact(number, clickid.at(number), partner_id, offer_id, Reason(reason))
        for number, partner_id, offer_id, reason in session.execute(rows)
    ]


def versions(session: Session, offer_ids: Collection[UUID]) -> dict[UUID, list[OfferVersion]]:
    """All versions of these offers, the newest first."""
    rows = select(OfferVersion).where(OfferVersion.offer_id.in_(offer_ids))
    found: dict[UUID, list[OfferVersion]] = {}
    for version in session.scalars(rows.order_by(OfferVersion.version.desc())):
        found.setdefault(version.offer_id, []).append(version)
    return found


def in_force(versions: Sequence[OfferVersion], at: datetime) -> OfferVersion:
    """The one of these (newest first) that was in force at `at`, else the first there was."""
    return next((one for one in versions if one.in_force_at <= at), versions[-1])


def partner_days(
    session: Session, *, offer_id: UUID, since: date, until: date
) -> Sequence[PartnerDay]:
    """An offer's valid clicks by day and partner, from the rollups, both days included."""
    rows = (
        select(LinkDayCount.day, Link.partner_id, func.sum(LinkDayCount.valid))
        .join(Link, Link.number == LinkDayCount.link)
        .where(Link.offer_id == offer_id, LinkDayCount.day.between(since, until))
        .group_by(LinkDayCount.day, Link.partner_id)
        .order_by(LinkDayCount.day, Link.partner_id)
    )
    return [PartnerDay(day, partner, int(valid)) for day, partner, valid in session.execute(rows)]


def sale_days(session: Session, *, offer_id: UUID, since: date, until: date) -> Sequence[SaleDay]:
    """An offer's confirmed sales in euros by the day of the sale, both days included."""
    day = func.date(Conversion.occurred_at)  # sessions run in UTC
    rows = (
        select(day, func.array_agg(Conversion.amount_micro))
        .where(
            Conversion.offer_id == offer_id,
            Conversion.status == Status.APPROVED,
            Conversion.currency == "EUR",
            day.between(since, until),
        )
        .group_by(day)
        .order_by(day)
    )
    return [SaleDay(on, amounts) for on, amounts in session.execute(rows)]
