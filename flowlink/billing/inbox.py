"""Webhooks: checked and kept at once, handled once, by asking for the present state."""

from collections.abc import Mapping
from datetime import datetime
from uuid import UUID

from sqlalchemy.orm import Session

from flowlink.billing import ids, providers, queries, sandbox, settlement, stripe_charges
from flowlink.billing.providers import Away, NotGenuine, Seen, Told
from flowlink.kernel import db, inbound
from flowlink.kernel.errors import Forbidden, NotFound, Refused
from flowlink.kernel.inbound import ProviderEvent

PROVIDERS = (sandbox.NAME, stripe_charges.provider.name)
UNKNOWN = "unknown payment"


class WebhookNotGenuine(Forbidden):
    message = "This message was not signed by the payment provider."


class WebhookNotReadable(Refused):
    message = "This message cannot be read now. Please send it again later."


def receive(provider: str, headers: Mapping[str, str], body: bytes, *, now: datetime) -> bool:
    """Keep what a provider tells; False when it was there before.

    :raises WebhookNotGenuine: :raises providers.PaymentsNotSetUp: no such provider.
    :raises WebhookNotReadable: the provider had to be asked, and does not answer.
    """
    try:
        told = providers.named(provider).read(headers, body, now=now)
    except NotGenuine:
        raise WebhookNotGenuine from None
    except Away:
        raise WebhookNotReadable from None
    return keep(provider, told, body, now=now)


def keep(provider: str, told: Told, body: bytes, *, now: datetime) -> bool:
    """Keep what a provider surely told; False when it was there before."""
    with db.write() as session:
        return inbound.keep(
            session,
            provider=provider,
            event_id=told.event_id,
            kind=f"{told.kind} {told.ref}"[:200],
            body=body,
            now=now,
        )


def handle_due(provider: str, *, now: datetime) -> int:
    """Handle every event that waits; how many were."""
    handled = 0
    while True:
        with db.read() as session:
            due = inbound.due(session, provider=provider, now=now)
        done = sum(handle(key, now=now) for key in due)
        handled += done
        if not done:
            return handled


def handle(event_key: UUID, *, now: datetime) -> bool:
    """Handle one event: ask its provider how the charge is now, and book that. Once."""
    with db.read() as session:
        event = inbound.read(session, event_key)
        ref = event.kind.rpartition(" ")[2]
        known = _payment_of(session, ref)
    if known is None:
        return _end(event_key, UNKNOWN, now=now)
    try:
        seen = providers.named(event.provider).state(ref)
    except Away as trouble:
        _postpone(event_key, str(trouble) or "the provider does not answer", now=now)
        return False
    if seen is None:
        return _end(event_key, UNKNOWN, now=now)
    return _book(event_key, known, seen, now=now)


def _payment_of(session: Session, ref: str) -> UUID | None:
    try:
        payment = queries.payment(session, payment_id=ids.parse_ref(ref))
    except NotFound:
        return None
    return payment.id


def _book(event_key: UUID, payment_id: UUID, seen: Seen, *, now: datetime) -> bool:
    with db.write() as session:
        event = inbound.lock(session, event_key)
        if event is None:
            return False
        outcome = settlement.apply(session, payment_id=payment_id, seen=seen, now=now)
        inbound.handled(event, outcome=outcome, now=now)
    return True


def _end(event_key: UUID, outcome: str, *, now: datetime) -> bool:
    with db.write() as session:
        event = inbound.lock(session, event_key)
        if event is not None:
            inbound.handled(event, outcome=outcome, now=now)
    return event is not None


def _postpone(event_key: UUID, trouble: str, *, now: datetime) -> None:
    with db.write() as session:
        event: ProviderEvent | None = inbound.lock(session, event_key)
        if event is not None:
            inbound.postpone(event, trouble=trouble, now=now)
