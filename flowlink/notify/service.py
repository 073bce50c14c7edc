"""Mails: put in the queue by whoever causes them, taken out once, and what came of it."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from uuid import UUID

from sqlalchemy import delete, select, update
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.orm import Session

from flowlink.kernel import audit, events, ids
from flowlink.kernel.errors import Invalid, NotFound, Refused
from flowlink.notify import content
from flowlink.notify.content import Content
from flowlink.notify.ids import MAIL, MailId
from flowlink.notify.models import Mail, MailState
from flowlink.notify.transport import OUTBOX

LEASE = timedelta(minutes=10)  # longer than any attempt lasts
PAUSES = tuple(timedelta(minutes=m) for m in (1, 5, 15, 60, 180, 480, 1440))
ATTEMPTS_MAX = len(PAUSES) + 1
SECRETS_KEPT = timedelta(days=1)
MAILS_KEPT = timedelta(days=90)
ERROR_MAX = 500


class BadRecipient(Invalid):
    message = "A mail goes to one e-mail address."


class CannotRetry(Refused):
    message = "Only a failed mail whose content is still there can be sent again."


@dataclass(frozen=True, slots=True)
class Claimed:
    """A mail that this worker alone may send now."""

    id: MailId
    to: str
    template: str
    lang: str
    context: dict[str, str]
    is_secret: bool
    is_too_late: bool


def send(
    session: Session,
    *,
    to: str,
    template: str,
    lang: str,
    context: Mapping[str, str],
    now: datetime,
    secret: bool = False,
    source: str | None = None,
    useful_until: datetime | None = None,
) -> MailId:
    """Queue one mail; it leaves when this transaction has committed.

    `template` is `module/email/name`: `flowlink/module/templates/email/name.txt`. A `secret`
    context is encrypted and forgotten once sent. The same `source` again queues nothing. After
    `useful_until` the mail fails instead of leaving.

    :raises BadRecipient: not one address.
    """
    if to.count("@") != 1 or not to.isprintable() or " " in to or "," in to:
        raise BadRecipient
    plain = dict(context)
    row = insert(Mail).values(
        source=source,
        to_address=to,
        template=template,
        lang=lang,
        context=None if secret else plain,
        sealed_context=content.seal_context(plain) if secret else None,
        is_secret=secret,
        useful_until=useful_until,
        next_try_at=now,
        created_at=now,
    )
    queued = row.on_conflict_do_nothing(index_elements=["source"]).returning(Mail.id)
    mail_id = session.scalars(queued).first()
    if mail_id is None:
        return MailId(session.scalars(select(Mail.id).where(Mail.source == source)).one())
    events.emit(session, "mail.requested", {"mail_id": str(mail_id)})
    return MailId(mail_id)


def claim(session: Session, *, mail_id: MailId, now: datetime) -> Claimed | None:
    """Take a due mail for one attempt. Whoever dies with it leaves it due again after the lease."""
    taken = (
        update(Mail)
        .where(Mail.id == mail_id, Mail.state == MailState.QUEUED, Mail.next_try_at <= now)
        .values(attempts=Mail.attempts + 1, next_try_at=now + LEASE)
        .returning(Mail)
    )
    mail = session.scalars(taken).first()
    if mail is None:
        return None
    return Claimed(
        id=mail_id,
        to=mail.to_address,
        template=mail.template,
        lang=mail.lang,
        context=_context(mail),
        is_secret=mail.is_secret,
        is_too_late=mail.useful_until is not None and mail.useful_until <= now,
    )


def record_sent(
    session: Session,
    *,
    mail_id: MailId,
    transport: str,
    reference: str,
    sent: Content,
    shown: Content,
    now: datetime,
) -> None:
    """The mail was taken over: keep what may be shown of it, wipe its secret.

    In the built-in outbox the operator is the postman: there the secret stays, encrypted.
    """
    stays = transport == OUTBOX and sent != shown
    _set(
        session,
        mail_id,
        state=MailState.SENT,
        sent_at=now,
        error="",
        transport=transport,
        reference=reference,
        subject=shown.subject,
        text_body=shown.text,
        html_body=shown.html,
        sealed_context=None,
        sealed_content=content.seal(sent) if stays else None,
    )


def record_failure(
    session: Session, *, mail_id: MailId, error: str, is_final: bool, now: datetime
) -> MailState:
    """The attempt failed: try again after a pause, or give up where the operator sees it."""
    mail = session.scalars(select(Mail).where(Mail.id == mail_id)).one()
    if is_final or mail.attempts >= ATTEMPTS_MAX:
        _set(
            session,
            mail_id,
            state=MailState.FAILED,
            error=error[:ERROR_MAX],
            sealed_context=None,
        )
        return MailState.FAILED
    pause = PAUSES[mail.attempts - 1]
    _set(session, mail_id, error=error[:ERROR_MAX], next_try_at=now + pause)
    return MailState.QUEUED


def retry(session: Session, *, mail_id: MailId, actor: str, now: datetime, ip: str = "") -> None:
    """Queue a failed mail again, with all its attempts.

    :raises NotFound: no such mail.
    :raises CannotRetry: it has not failed, or its secret is gone.
    """
    if session.get(Mail, mail_id) is None:
        raise NotFound
    failed = update(Mail).where(
        Mail.id == mail_id, Mail.state == MailState.FAILED, Mail.context.is_not(None)
    )
    again = failed.values(state=MailState.QUEUED, attempts=0, next_try_at=now, useful_until=None)
    if session.execute(again.returning(Mail.id)).first() is None:
        raise CannotRetry
    events.emit(session, "mail.requested", {"mail_id": str(mail_id)})
    audit.record(session, actor, "retried mail", ids.public(MAIL, mail_id), now, ip)


def forget_old(session: Session, *, now: datetime) -> int:
    """Wipe the outbox's secrets after a day, whole mails after 90; returns how many of these."""
    stale = Mail.sealed_content.is_not(None) & (Mail.sent_at < now - SECRETS_KEPT)
    session.execute(update(Mail).where(stale).values(sealed_content=None))
    old = delete(Mail).where(Mail.created_at < now - MAILS_KEPT, Mail.state != MailState.QUEUED)
    return len(session.execute(old.returning(Mail.id)).all())


def _context(mail: Mail) -> dict[str, str]:
    if mail.sealed_context is not None:
        return content.unseal_context(mail.sealed_context)
    return dict(mail.context or {})


def _set(session: Session, mail_id: UUID, **values: object) -> None:
    session.execute(update(Mail).where(Mail.id == mail_id).values(**values))
