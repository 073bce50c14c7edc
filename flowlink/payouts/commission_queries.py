"""Reads of what became of one sale's money, and of sales whose money is not booked yet."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime
from uuid import UUID

from sqlalchemy import select
from sqlalchemy.orm import Session

from flowlink.kernel.money import Money
from flowlink.partners.ids import PartnerId
from flowlink.payouts.models import Commission, CommissionRevision, ReserveLot, ReserveShare
from flowlink.tracking.models import ConversionRevision


@dataclass(frozen=True)
class Kept:
    """A conversion's part in one reserve lot. Released: it is available since then."""

    release_on: date
    amount: Money
    released_at: datetime | None


@dataclass(frozen=True)
class CommissionStep:
    """One posted revision of a conversion; without an entry it moved no money."""

    revision: int
    status: str
    amount: Money
    entry_id: UUID | None
    posted_at: datetime


@dataclass(frozen=True)
class Trail:
    """What became of one conversion's money."""

    conversion_id: UUID
    partner_id: PartnerId
    share_bps: int
    offer_version: int
    gross: Money
    share: Money
    pending: Money
    reserve: Sequence[Kept]
    steps: Sequence[CommissionStep]


def trail(session: Session, conversion_id: UUID) -> Trail | None:
    """What became of a conversion's money; None until its first revision is posted."""
    commission = session.get(Commission, conversion_id)
    if commission is None:
        return None
    currency = commission.currency
    return Trail(
        conversion_id=conversion_id,
        partner_id=PartnerId(commission.partner_id),
        share_bps=commission.share_bps,
        offer_version=commission.offer_version,
        gross=Money(commission.gross_micro, currency),
        share=Money(commission.share_micro, currency),
        pending=Money(commission.pending_micro, currency),
        reserve=_kept(session, conversion_id, currency),
        steps=_posted(session, conversion_id, currency),
    )


def unposted_conversions(
    session: Session,
    *,
    limit: int,
    since: datetime | None = None,
    after: UUID | None = None,
) -> Sequence[UUID]:
    """Conversions with a revision that no entry stands for, in id order, from `after` on.

    `since` keeps the search short: only revisions from then on are looked at.
    """
    posted = select(CommissionRevision.revision).where(
        CommissionRevision.conversion_id == ConversionRevision.conversion_id,
        CommissionRevision.revision == ConversionRevision.revision,
    )
    rows = select(ConversionRevision.conversion_id).distinct().where(~posted.exists())
    if since is not None:
        rows = rows.where(ConversionRevision.at >= since)
    if after is not None:
        rows = rows.where(ConversionRevision.conversion_id > after)
    return session.scalars(rows.order_by(ConversionRevision.conversion_id).limit(limit)).all()


def _kept(session: Session, conversion_id: UUID, currency: str) -> Sequence[Kept]:
    rows = (
        select(ReserveLot.release_on, ReserveShare.amount_micro, ReserveLot.released_at)
        .join(ReserveShare, ReserveShare.lot_id == ReserveLot.id)
        .where(ReserveShare.conversion_id == conversion_id)
        .order_by(ReserveLot.release_on)
    )
    return [Kept(row[0], Money(row[1], currency), row[2]) for row in session.execute(rows)]


def _posted(session: Session, conversion_id: UUID, currency: str) -> Sequence[CommissionStep]:
    rows = (
        select(CommissionRevision, ConversionRevision)
        .join(
            ConversionRevision,
            (ConversionRevision.conversion_id == CommissionRevision.conversion_id)
            & (ConversionRevision.revision == CommissionRevision.revision),
        )
        .where(CommissionRevision.conversion_id == conversion_id)
        .order_by(CommissionRevision.revision)
    )
    return [
        CommissionStep(
            revision=became.revision,
            status=became.status,
            amount=Money(became.amount_micro, currency),
            entry_id=posted.entry_id,
            posted_at=posted.posted_at,
        )
        for posted, became in session.execute(rows)
    ]
