"""Changes of a link that exists: where it leads, until when, what its owner notes; off and on."""

from datetime import datetime

from sqlalchemy.orm import Session

from flowlink.kernel import audit, db, ids
from flowlink.partners.ids import PartnerId
from flowlink.tracking import service, wishes
from flowlink.tracking.ids import LINK, LinkId
from flowlink.tracking.models import Link, Offer
from flowlink.tracking.wishes import Wishes


def edit(
    session: Session, *, link_id: LinkId, partner_id: PartnerId, wished: Wishes, now: datetime
) -> Link:
    """Make a partner's link what is wished now. Code, domain, offer and clicks stay.

    :raises service.UnknownLink: none of this partner's.
    :raises FlowlinkError: as `wishes.columns` does.
    """
    link = _own(session, link_id, partner_id)
    offer = session.get_one(Offer, link.offer_id)
    changed = wishes.columns(wished, offer=offer, now=now, expired=link.expires_at)
    for name, value in changed.items():
        setattr(link, name, value)
    return link


def enable(session: Session, *, link_id: LinkId, partner_id: PartnerId) -> Link:
    """Let a disabled link of this partner lead on again.

    :raises service.UnknownLink:
    """
    link = _own(session, link_id, partner_id)
    link.disabled_at = None
    return link


def switch_off(
    session: Session, *, link_id: LinkId, actor: str, now: datetime, ip: str = ""
) -> Link:
    """An operator lets anybody's link lead nowhere.

    :raises service.UnknownLink:
    """
    link = service.disable_link(session, link_id=link_id, now=now)
    audit.record(
        session, actor, "link.disabled", ids.public(LINK, link.id), now, ip, code=link.code
    )
    return link


def _own(session: Session, link_id: LinkId, partner_id: PartnerId) -> Link:
    found = db.lock(session, Link, Link.id == link_id)
    if not found or found[0].partner_id != partner_id:
        raise service.UnknownLink
    return found[0]
