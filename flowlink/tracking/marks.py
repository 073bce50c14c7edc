"""Marks on links: that what a link shares is its partner's own content."""

from datetime import datetime
from uuid import UUID

from sqlalchemy.orm import Session

from flowlink.kernel import audit, db, ids
from flowlink.partners import own_affairs
from flowlink.partners.ids import PartnerId
from flowlink.tracking.ids import LINK
from flowlink.tracking.models import Link
from flowlink.tracking.service import UnknownLink


def mark_own_content(
    session: Session, *, link_id: UUID, own_content: bool, actor: str, now: datetime, ip: str = ""
) -> Link:
    """Sales that are reported from now on have the share of own content, or the usual one again.

    :raises UnknownLink: :raises OwnAffair: it is the link of `actor`.
    """
    found = db.lock(session, Link, Link.id == link_id)
    if not found:
        raise UnknownLink
    link = found[0]
    own_affairs.refuse(session, partner_id=PartnerId(link.partner_id), actor=actor)
    if link.own_content != own_content:
        link.own_content = own_content
        subject = ids.public(LINK, link.id)
        action = "marked own content" if own_content else "unmarked own content"
        audit.record(session, actor, action, subject, now, ip, code=link.code)
    return link
