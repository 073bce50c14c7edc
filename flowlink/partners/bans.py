"""Ending the work with a partner: their links lead nowhere from then on."""

from datetime import datetime

from sqlalchemy.orm import Session

from flowlink.identity import queries as identity
from flowlink.identity.ids import UserId
from flowlink.kernel import audit, db
from flowlink.kernel.errors import Refused
from flowlink.notify import service as notify
from flowlink.partners import ids, queries
from flowlink.partners.ids import PartnerId
from flowlink.partners.models import Partner, PartnerStatus
from flowlink.partners.service import ReasonMissing


class AlreadyClosed(Refused):
    message = "This partner is closed already."


def ban(
    session: Session, *, partner_id: PartnerId, reason: str, actor: str, now: datetime, ip: str = ""
) -> Partner:
    """Close a partner for good, for a reason that they read. Their money is not touched here.

    :raises ReasonMissing: :raises AlreadyClosed: :raises queries.UnknownPartner:
    """
    if not reason.strip():
        raise ReasonMissing
    found = db.lock(session, Partner, Partner.id == partner_id)
    if not found:
        raise queries.UnknownPartner
    (partner,) = found
    if partner.status == PartnerStatus.CLOSED:
        raise AlreadyClosed
    partner.status = PartnerStatus.CLOSED
    partner.decided_by, partner.decided_at = actor, now
    partner.decision_reason = reason.strip()
    subject = ids.public(partner_id)
    audit.record(session, actor, "banned partner", subject, now, ip, reason=reason.strip())
    _write_to(session, partner, now=now)
    return partner


def _write_to(session: Session, partner: Partner, *, now: datetime) -> None:
    user_id = UserId(partner.user_id)
    notify.send(
        session,
        to=identity.email_of(session, user_id),
        template="partners/email/banned",
        lang=identity.lang_of(session, user_id),
        context={"reason": partner.decision_reason},
        source=f"partner:{partner.id}:banned",
        now=now,
    )
