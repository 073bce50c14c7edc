"""Reads about partners."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import select
from sqlalchemy.orm import Session

from flowlink.identity.ids import UserId
from flowlink.identity.models import User
from flowlink.kernel.errors import NotFound
from flowlink.partners.ids import PartnerId
from flowlink.partners.models import Partner, PartnerStatus


class UnknownPartner(NotFound):
    message = "There is no such partner."


@dataclass(frozen=True)
class Applicant:
    """A partner who waits for the operator's word."""

    partner_id: PartnerId
    email: str
    terms_version: str
    joined_at: datetime


def of_user(session: Session, user_id: UserId) -> Partner | None:
    return session.scalars(select(Partner).where(Partner.user_id == user_id)).one_or_none()


def active_of_user(session: Session, user_id: UserId) -> PartnerId | None:
    """The partner that a user is, once approved: what the app tells `identity.hats`."""
    partner = of_user(session, user_id)
    active = partner is not None and partner.status == PartnerStatus.ACTIVE
    return PartnerId(partner.id) if partner is not None and active else None


def get(session: Session, partner_id: PartnerId) -> Partner:
    """:raises UnknownPartner:"""
    partner = session.get(Partner, partner_id)
    if partner is None:
        raise UnknownPartner
    return partner


def email_of(session: Session, partner_id: PartnerId) -> str:
    """:raises UnknownPartner:"""
    email = session.scalar(
        select(User.email).join(Partner, Partner.user_id == User.id).where(Partner.id == partner_id)
    )
    if email is None:
        raise UnknownPartner
    return email


def applicants(session: Session, *, limit: int = 100) -> Sequence[Applicant]:
    """Those who wait for approval, the longest wait first."""
    rows = session.execute(
        select(Partner.id, User.email, Partner.terms_version, Partner.created_at)
        .join(User, User.id == Partner.user_id)
        .where(Partner.status == PartnerStatus.PENDING)
        .order_by(Partner.id)
        .limit(limit)
    )
    return [Applicant(PartnerId(row[0]), row[1], row[2], row[3]) for row in rows]
