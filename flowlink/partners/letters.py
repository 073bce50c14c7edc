"""Letters: what an operator writes to partners. Each is mailed and stays in the audit log."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import select
from sqlalchemy.orm import Session

from flowlink.identity import queries as identity
from flowlink.identity.ids import UserId
from flowlink.kernel import audit, db, settings
from flowlink.kernel.errors import Invalid
from flowlink.kernel.models import AuditRow
from flowlink.notify import queries as notify_queries, service as notify
from flowlink.partners import ids, queries
from flowlink.partners.ids import PartnerId

_WROTE = "wrote to partner"


class NothingWritten(Invalid):
    message = "A message has a subject and a text."
    field = "body"


@dataclass(frozen=True)
class Letter:
    """A letter as it was sent."""

    at: datetime
    actor: str
    subject: str
    body: str


def write(
    session: Session,
    *,
    partner_id: PartnerId,
    subject: str,
    body: str,
    once: str,
    actor: str,
    now: datetime,
    ip: str = "",
) -> bool:
    """Send one partner a letter; False if the same form (`once`) sent theirs already.

    :raises NothingWritten: without subject or text.
    :raises queries.UnknownPartner:
    """
    heading, text = " ".join(subject.split()), body.strip()
    if not heading or not text:
        raise NothingWritten
    partner = queries.get(session, partner_id)
    source = f"letter:{once}:{partner_id}"
    db.advisory_lock(session, source)  # the same form twice at once writes one line as well
    if notify_queries.was_queued(session, source=source):
        return False
    user_id = UserId(partner.user_id)
    notify.send(
        session,
        to=identity.email_of(session, user_id),
        template="partners/email/letter",
        lang=identity.lang_of(session, user_id),
        context={
            "subject": heading,
            "body": text,
            "url": f"{settings.current().url}/partner/portal",
        },
        source=source,
        now=now,
    )
    facts = {"title": heading, "body": text}
    audit.record(session, actor, _WROTE, ids.public(partner_id), now, ip, **facts)
    return True


def letters(session: Session, partner_id: PartnerId, *, limit: int = 20) -> Sequence[Letter]:
    """What was written to a partner, the newest first."""
    rows = select(AuditRow).where(
        AuditRow.action == _WROTE, AuditRow.subject == ids.public(partner_id)
    )
    found = session.scalars(rows.order_by(AuditRow.id.desc()).limit(limit))
    return [
        Letter(at=r.at, actor=r.actor, subject=r.details["title"], body=r.details["body"])
        for r in found
    ]
