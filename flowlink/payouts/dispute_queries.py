"""Reads of disputed sales."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from uuid import UUID

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from flowlink.identity.models import User
from flowlink.partners.ids import PartnerId
from flowlink.partners.models import Partner
from flowlink.payouts.case_models import Dispute, DisputeState


@dataclass(frozen=True)
class DisputeLine:
    """A disputed sale as the operator sees it."""

    dispute: Dispute
    email: str


def open_on(session: Session, conversion_ids: Collection[UUID]) -> dict[UUID, Dispute]:
    """The open disputes about these conversions, fresh; the caller holds their partners' locks."""
    rows = select(Dispute).where(
        Dispute.conversion_id.in_(conversion_ids), Dispute.state == DisputeState.OPEN
    )
    fresh = rows.execution_options(populate_existing=True)
    return {each.conversion_id: each for each in session.scalars(fresh)}


def set_apart(
    session: Session, partner_ids: Collection[PartnerId]
) -> dict[tuple[PartnerId, str], int]:
    """What open disputes keep in these partners' `held` accounts, in millionths, by currency."""
    rows = (
        select(Dispute.partner_id, Dispute.currency, func.sum(Dispute.held_micro))
        .where(Dispute.partner_id.in_(partner_ids), Dispute.state == DisputeState.OPEN)
        .group_by(Dispute.partner_id, Dispute.currency)
    )
    return {
        (PartnerId(partner_id), currency): int(micro)
        for partner_id, currency, micro in session.execute(rows)
    }


def of_conversion(session: Session, conversion_id: UUID) -> Sequence[Dispute]:
    """All disputes about a sale, the first one first."""
    rows = select(Dispute).where(Dispute.conversion_id == conversion_id).order_by(Dispute.id)
    return session.scalars(rows).all()


def lines(
    session: Session,
    *,
    state: str = "",
    partner_id: UUID | None = None,
    only: UUID | None = None,
    before: UUID | None = None,
    limit: int = 50,
) -> Sequence[DisputeLine]:
    """The newest first; of one state or of one partner."""
    rows = (
        select(Dispute, User.email)
        .join(Partner, Partner.id == Dispute.partner_id)
        .join(User, User.id == Partner.user_id)
    )
    if state:
        rows = rows.where(Dispute.state == state)
    if partner_id is not None:
        rows = rows.where(Dispute.partner_id == partner_id)
    if only is not None:
        rows = rows.where(Dispute.id == only)
    if before is not None:
        rows = rows.where(Dispute.id < before)
    found = session.execute(rows.order_by(Dispute.id.desc()).limit(limit))
    return [DisputeLine(*row) for row in found]
