"""The leaderboard: who brings the most valid clicks. It knows handles, never addresses (spec 3)."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from flowlink.partners.ids import PartnerId
from flowlink.partners.models import Partner, PartnerStatus
from flowlink.tracking.rollups import DayCount

PLACES = 20


@dataclass(frozen=True)
class Place:
    """One line. Two partners with the same clicks share a rank."""

    rank: int
    name: str
    clicks: int
    partner_id: PartnerId


def top(session: Session, *, days: int, now: datetime, places: int = PLACES) -> Sequence[Place]:
    """The partners with the most valid clicks of the last `days` UTC days, today included."""
    clicks = func.sum(DayCount.valid)
    rows = (
        select(func.rank().over(order_by=clicks.desc()), Partner, clicks)
        .join(Partner, Partner.number == DayCount.partner)
        .where(
            DayCount.day > (now - timedelta(days=days)).date(),
            DayCount.day <= now.date(),
            Partner.status == PartnerStatus.ACTIVE,
        )
        .group_by(Partner.id)
        .having(clicks > 0)
        .order_by(clicks.desc(), Partner.number)
        .limit(places)
    )
    return [
        Place(rank=rank, name=partner.shown_as, clicks=int(count), partner_id=PartnerId(partner.id))
        for rank, partner, count in session.execute(rows)
    ]
