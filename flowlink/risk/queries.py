"""Reads about holds."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import func, select, tuple_
from sqlalchemy.orm import Session

from flowlink.identity.models import User
from flowlink.partners.ids import PartnerId
from flowlink.partners.models import Partner
from flowlink.risk.models import Flag, Hold


@dataclass(frozen=True)
class OpenHold:
    """A hold that binds, as the operator sees it. Overdue: a person should have looked by now."""

    hold_id: UUID
    partner_id: PartnerId
    email: str
    flag: Flag
    reason: str
    evidence: dict[str, Any]
    placed_by: str
    created_at: datetime
    deadline: datetime
    overdue: bool


def open_holds(
    session: Session, *, now: datetime, after: UUID | None = None, limit: int = 100
) -> Sequence[OpenHold]:
    """Every hold that binds, by deadline, so overdue ones first; `after` is the last one shown."""
    rows = select(Hold, User.email).join(Partner, Partner.id == Hold.partner_id)
    rows = rows.join(User, User.id == Partner.user_id).where(Hold.lifted_at.is_(None))
    if after is not None:
        last = select(Hold.deadline, Hold.id).where(Hold.id == after)
        rows = rows.where(tuple_(Hold.deadline, Hold.id) > last.scalar_subquery())
    found = session.execute(rows.order_by(Hold.deadline, Hold.id).limit(limit))
    return [_open(hold, email, now) for hold, email in found]


def holds_of(session: Session, partner_id: PartnerId) -> Sequence[Hold]:
    """The holds that bind this partner now, the oldest first."""
    rows = select(Hold).where(Hold.partner_id == partner_id, Hold.lifted_at.is_(None))
    return session.scalars(rows.order_by(Hold.id)).all()


def open_count(session: Session) -> int:
    return session.scalar(select(func.count()).where(Hold.lifted_at.is_(None))) or 0


def overdue(session: Session, *, now: datetime) -> int:
    """How many holds should have been decided by now. They bind on."""
    late = select(func.count()).where(Hold.lifted_at.is_(None), Hold.deadline < now)
    return session.scalar(late) or 0


def cleared_at(session: Session, partner_id: PartnerId) -> datetime | None:
    """When a person last lifted a hold of this partner: rules look only at what came after."""
    return session.scalar(select(func.max(Hold.lifted_at)).where(Hold.partner_id == partner_id))


def _open(hold: Hold, email: str, now: datetime) -> OpenHold:
    return OpenHold(
        hold_id=hold.id,
        partner_id=PartnerId(hold.partner_id),
        email=email,
        flag=Flag(hold.flag),
        reason=hold.reason,
        evidence=hold.evidence,
        placed_by=hold.placed_by,
        created_at=hold.created_at,
        deadline=hold.deadline,
        overdue=hold.deadline < now,
    )
