"""Reads of notify: the outbox page, and which mails are due."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from flowlink.kernel.errors import NotFound
from flowlink.notify import content
from flowlink.notify.content import Content
from flowlink.notify.ids import MailId
from flowlink.notify.models import Mail, MailState


@dataclass(frozen=True, slots=True)
class MailRow:
    """A mail in the list. `subject` is empty until it was rendered."""

    id: MailId
    to: str
    template: str
    subject: str
    state: MailState
    attempts: int
    error: str
    transport: str
    created_at: datetime
    sent_at: datetime | None
    next_try_at: datetime | None


@dataclass(frozen=True, slots=True)
class MailView:
    """One mail. `is_secret`: it carries a secret, which `content` shows in the outbox alone."""

    row: MailRow
    content: Content
    is_secret: bool
    reference: str


def mails(
    session: Session, *, before: UUID | None = None, state: str | None = None, limit: int = 50
) -> Sequence[MailRow]:
    """The newest first, all older than the mail `before`."""
    found = select(Mail).order_by(Mail.id.desc()).limit(limit)
    if before is not None:
        found = found.where(Mail.id < before)
    if state is not None:
        found = found.where(Mail.state == state)
    return [_row(mail) for mail in session.scalars(found)]


def mail(session: Session, *, mail_id: MailId) -> MailView:
    """:raises NotFound: no such mail."""
    found = session.get(Mail, mail_id)
    if found is None:
        raise NotFound
    shown = Content(subject=found.subject, text=found.text_body, html=found.html_body)
    if found.sealed_content is not None:
        shown = content.unseal(found.sealed_content)
    return MailView(
        row=_row(found), content=shown, is_secret=found.is_secret, reference=found.reference
    )


def counts(session: Session) -> dict[str, int]:
    """How many mails are in each state."""
    found = session.execute(select(Mail.state, func.count()).group_by(Mail.state))
    return dict.fromkeys(MailState, 0) | dict(found.all())


def was_queued(session: Session, *, source: str) -> bool:
    """Whether something has queued its mail already."""
    return session.scalar(select(Mail.id).where(Mail.source == source)) is not None


def due(session: Session, *, now: datetime, limit: int) -> Sequence[MailId]:
    """Mails that wait for an attempt, the longest waiting first."""
    waiting = Mail.state == MailState.QUEUED, Mail.next_try_at <= now
    found = select(Mail.id).where(*waiting).order_by(Mail.next_try_at).limit(limit)
    return [MailId(key) for key in session.scalars(found)]


def _row(mail: Mail) -> MailRow:
    return MailRow(
        id=MailId(mail.id),
        to=mail.to_address,
        template=mail.template,
        subject=mail.subject,
        state=MailState(mail.state),
        attempts=mail.attempts,
        error=mail.error,
        transport=mail.transport,
        created_at=mail.created_at,
        sent_at=mail.sent_at,
        next_try_at=mail.next_try_at if mail.state == MailState.QUEUED else None,
    )
