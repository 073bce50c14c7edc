"""Ending the work with a partner: their links lead nowhere from then on."""

from datetime import datetime

from sqlalchemy.orm import Session

from flowlink.kernel import audit, db
from flowlink.kernel.errors import Refused
from flowlink.partners import ids, queries
from flowlink.partners.ids import PartnerId
from flowlink.partners.models import Partner, PartnerStatus
from flowlink.partners.service import ReasonMissing


class AlreadyClosed(Refused):
    message = "This partner is closed already."


def ban(
    session: Session, *, partner_id: PartnerId, reason: str, actor: str, now: datetime, ip: str = ""
) -> Partner:
    """Close a partner for good, for a reason. What they have earned so far is not touched.

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
    return partner
