"""Gets a mail out: claim and commit, hand over outside any transaction, record what came of it.

A worker that dies after the other side took the mail, and before our commit, sends it again:
with the same Message-ID (and idempotency key), so that the reader's side can drop the copy.
"""

from datetime import datetime

from jinja2 import TemplateError

from flowlink.kernel import db, ids, logs, settings
from flowlink.notify import content, queries, rendering, service
from flowlink.notify.brevo import Brevo
from flowlink.notify.content import Content
from flowlink.notify.ids import MAIL, MailId
from flowlink.notify.models import MailState
from flowlink.notify.service import Claimed
from flowlink.notify.smtp import Smtp
from flowlink.notify.transport import (
    DeliveryFailed,
    Hopeless,
    Outbox,
    Outgoing,
    Transport,
    ascii_domain,
)

BATCH = 200

log = logs.get("flowlink.mail")


def transport() -> Transport:
    """What the settings choose: an SMTP server, else Brevo, else the built-in outbox."""
    chosen = settings.current()
    if chosen.smtp_url:
        return Smtp(chosen.smtp_url)
    if chosen.brevo_api_key:
        return Brevo(api_key=chosen.brevo_api_key, url=chosen.brevo_url)
    return Outbox()


def deliver(mail_id: MailId, *, now: datetime, way: Transport) -> MailState | None:
    """Make one attempt for a mail that is due; None when it is not, or another worker has it."""
    with db.write() as session:
        claimed = service.claim(session, mail_id=mail_id, now=now)
    if claimed is None:
        return None
    try:
        sent, shown = _rendered(claimed)
        reference = way.deliver(_outgoing(claimed, sent))
    except DeliveryFailed as error:
        return _failed(claimed, error, now=now)
    with db.write() as session:
        service.record_sent(
            session,
            mail_id=mail_id,
            transport=way.name,
            reference=reference,
            sent=sent,
            shown=shown,
            now=now,
        )
    return MailState.SENT


def deliver_due(*, now: datetime, way: Transport) -> dict[MailState, int]:
    """One attempt for every mail that is due; how many ended in which state."""
    with db.read() as session:
        waiting = queries.due(session, now=now, limit=BATCH)
    ended = [deliver(mail_id, now=now, way=way) for mail_id in waiting]
    return {state: ended.count(state) for state in MailState}


def _rendered(claimed: Claimed) -> tuple[Content, Content]:
    """What is sent, and what may stay readable: the same unless the mail carries a secret."""
    if claimed.is_too_late:
        raise Hopeless("it was of no more use when it could be sent")
    template, lang = claimed.template, claimed.lang
    try:
        sent = rendering.content_of(template=template, lang=lang, context=claimed.context)
        if not claimed.is_secret:
            return sent, sent
        blind = content.struck_out(claimed.context)
        return sent, rendering.content_of(template=template, lang=lang, context=blind)
    except TemplateError as error:
        raise Hopeless(f"template {template}: {type(error).__name__} {error}") from error


def _outgoing(claimed: Claimed, sent: Content) -> Outgoing:
    chosen = settings.current()
    sender = ascii_domain(chosen.email_from)
    return Outgoing(
        key=claimed.id,
        message_id=f"<{ids.public(MAIL, claimed.id)}@{sender.rpartition('@')[2]}>",
        sender=sender,
        sender_name=chosen.email_from_name,
        to=ascii_domain(claimed.to),
        content=sent,
    )


def _failed(claimed: Claimed, error: DeliveryFailed, *, now: datetime) -> MailState:
    is_final = isinstance(error, Hopeless)
    with db.write() as session:
        state = service.record_failure(
            session, mail_id=claimed.id, error=str(error), is_final=is_final, now=now
        )
    log.warning("mail not sent", mail=ids.public(MAIL, claimed.id), state=state, error=str(error))
    return state
