"""Endpoints of others, and what they are told: signed, tried again, kept in a log, never twice.

| delivery | to | when |
|---|---|---|
| queued | delivered | the other side answered 2xx |
| queued | queued | it did not; another attempt follows after a pause |
| queued | failed | the last attempt failed, or the endpoint is gone or not active any more |
| failed, delivered | queued | its owner replays it |

An endpoint that has failed for three days, or says that it is gone for good (410), is disabled, and
its owner is told (`endpoint.disabled`).
"""

import hashlib
import hmac
import json
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from http import HTTPStatus
from typing import Any
from urllib.parse import quote
from uuid import UUID

from sqlalchemy import delete, func, select, update
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.orm import Session

from flowlink.kernel import crypto, db, events, ids
from flowlink.kernel.errors import Invalid, NotFound, Refused
from flowlink.notify import outbound
from flowlink.notify.ids import DELIVERY, DeliveryId, EndpointId
from flowlink.notify.models import Delivery, DeliveryState, Endpoint, EndpointState
from flowlink.notify.outbound import Answer, Outgoing

LEASE = timedelta(minutes=2)  # longer than any attempt lasts
PAUSES = tuple(timedelta(minutes=m) for m in (1, 5, 30, 120, 360, 720, 1440, 1440))
ATTEMPTS_MAX = len(PAUSES) + 1
DISABLED_AFTER = timedelta(days=3)
ENDPOINTS_MAX = 5
KEPT = timedelta(days=30)
TEST = "test"
_METHODS = ("POST", "GET")


class UnknownEndpoint(NotFound):
    message = "There is no such endpoint."


class UnknownDelivery(NotFound):
    message = "There is no such delivery."


class TooManyEndpoints(Refused):
    message = "There can be 5 endpoints. Remove one first."


class BadEvents(Invalid):
    message = "Choose at least one of the events."
    field = "events"


class BadMethod(Invalid):
    message = "An endpoint takes POST or GET."
    field = "method"


class NotActive(Refused):
    message = "This endpoint is not active. Switch it on first."


@dataclass(frozen=True, slots=True)
class Claimed:
    """A delivery that this worker alone may make now."""

    id: DeliveryId
    request: Outgoing


def add(
    session: Session,
    *,
    owner_id: UUID,
    url: str,
    chosen: Sequence[str],
    offered: Collection[str],
    method: str,
    now: datetime,
) -> Endpoint:
    """A new endpoint; its secret is shown by `secret_of`.

    :raises outbound.BadAddress: :raises BadEvents: :raises BadMethod: :raises TooManyEndpoints:
    """
    if method not in _METHODS:
        raise BadMethod
    db.advisory_lock(session, f"endpoints:{owner_id}")
    count = select(func.count()).select_from(Endpoint).where(Endpoint.owner_id == owner_id)
    if (session.scalar(count) or 0) >= ENDPOINTS_MAX:
        raise TooManyEndpoints
    endpoint = Endpoint(
        owner_id=owner_id,
        method=method,
        url=outbound.check(url),
        events=_checked_events(chosen, offered),
        secret_sealed=crypto.encrypt(_new_secret().encode()),
        state=EndpointState.ACTIVE,
        created_at=now,
    )
    session.add(endpoint)
    session.flush()  # its key is the answer
    return endpoint


def change(
    session: Session,
    *,
    owner_id: UUID,
    endpoint_id: EndpointId,
    url: str,
    chosen: Sequence[str],
    offered: Collection[str],
) -> Endpoint:
    """Another address or other events; what is queued goes to the new address.

    :raises UnknownEndpoint: :raises outbound.BadAddress: :raises BadEvents:
    """
    endpoint = mine(session, owner_id=owner_id, endpoint_id=endpoint_id)
    endpoint.url = outbound.check(url)
    endpoint.events = _checked_events(chosen, offered)
    return endpoint


def set_active(
    session: Session, *, owner_id: UUID, endpoint_id: EndpointId, active: bool
) -> Endpoint:
    """Switch an endpoint on or off. Switched on again it starts with a clean slate."""
    endpoint = mine(session, owner_id=owner_id, endpoint_id=endpoint_id)
    endpoint.state = EndpointState.ACTIVE if active else EndpointState.PAUSED
    endpoint.failing_since = None
    return endpoint


def new_secret(session: Session, *, owner_id: UUID, endpoint_id: EndpointId) -> Endpoint:
    """Sign with another secret from now on."""
    endpoint = mine(session, owner_id=owner_id, endpoint_id=endpoint_id)
    endpoint.secret_sealed = crypto.encrypt(_new_secret().encode())
    return endpoint


def remove(session: Session, *, owner_id: UUID, endpoint_id: EndpointId) -> None:
    """Forget an endpoint and its deliveries."""
    mine(session, owner_id=owner_id, endpoint_id=endpoint_id)
    session.execute(delete(Endpoint).where(Endpoint.id == endpoint_id))


def mine(session: Session, *, owner_id: UUID, endpoint_id: EndpointId) -> Endpoint:
    """:raises UnknownEndpoint: none, or somebody else's."""
    found = db.lock(session, Endpoint, Endpoint.id == endpoint_id, Endpoint.owner_id == owner_id)
    if not found:
        raise UnknownEndpoint
    return found[0]


def secret_of(endpoint: Endpoint) -> str:
    """The secret that signs: for its owner's eyes."""
    return crypto.decrypt(endpoint.secret_sealed).decode()


def publish(
    session: Session,
    *,
    owner_id: UUID,
    event: str,
    source: str,
    data: Mapping[str, Any],
    happened_at: datetime,
    now: datetime,
) -> int:
    """Queue the event for each active endpoint that wants it and was there when it happened.

    The same source again queues nothing.
    """
    wanted = (
        Endpoint.owner_id == owner_id,
        Endpoint.state == EndpointState.ACTIVE,
        Endpoint.events.contains([event]),
        Endpoint.created_at <= happened_at,
    )
    found = session.scalars(select(Endpoint.id).where(*wanted)).all()
    return len(_queue(session, found, event=event, source=source, data=data, now=now))


def send_test(
    session: Session, *, owner_id: UUID, endpoint_id: EndpointId, now: datetime
) -> DeliveryId:
    """Queue a test event for this endpoint alone.

    :raises NotActive:
    """
    endpoint = mine(session, owner_id=owner_id, endpoint_id=endpoint_id)
    if endpoint.state != EndpointState.ACTIVE:
        raise NotActive
    source = f"test:{crypto.token()}"
    (made,) = _queue(
        session, [endpoint.id], event=TEST, source=source, data={"hello": "world"}, now=now
    )
    return made


def replay(session: Session, *, owner_id: UUID, delivery_id: DeliveryId, now: datetime) -> Delivery:
    """Send a delivery once more, with all its attempts.

    :raises UnknownDelivery: :raises NotActive:
    """
    found = db.lock(session, Delivery, Delivery.id == delivery_id)
    endpoint = session.get(Endpoint, found[0].endpoint_id) if found else None
    if endpoint is None or endpoint.owner_id != owner_id:
        raise UnknownDelivery
    if endpoint.state != EndpointState.ACTIVE:
        raise NotActive
    again = found[0]
    again.state, again.attempts, again.next_try_at = DeliveryState.QUEUED, 0, now
    events.emit(session, "delivery.queued", {"delivery_id": str(delivery_id)})
    return again


def claim(session: Session, *, delivery_id: DeliveryId, now: datetime) -> Claimed | None:
    """Take a due delivery for one attempt; whoever dies with it leaves it due after the lease."""
    due = Delivery.state == DeliveryState.QUEUED, Delivery.next_try_at <= now
    found = db.lock(session, Delivery, Delivery.id == delivery_id, *due)
    if not found:
        return None
    taken = found[0]
    endpoint = session.get_one(Endpoint, taken.endpoint_id)
    if endpoint.state != EndpointState.ACTIVE:
        taken.state, taken.error = DeliveryState.FAILED, "The endpoint was switched off."
        return None
    taken.attempts += 1
    taken.next_try_at = now + LEASE
    return Claimed(delivery_id, _request(endpoint, taken, now))


def record(
    session: Session,
    *,
    delivery_id: DeliveryId,
    answer: Answer | None,
    error: str,
    now: datetime,
) -> None:
    """Keep what came of an attempt, for the log and for the endpoint's health."""
    found = db.lock(session, Delivery, Delivery.id == delivery_id)
    if not found:
        return  # its endpoint was removed meanwhile
    tried = found[0]
    (endpoint,) = db.lock(session, Endpoint, Endpoint.id == tried.endpoint_id)
    tried.tried_at, tried.error = now, error
    tried.answer_status = answer.status if answer else None
    tried.answer, tried.took_ms = (answer.text, answer.took_ms) if answer else ("", None)
    if answer is not None and 200 <= answer.status < 300:
        tried.state, endpoint.failing_since = DeliveryState.DELIVERED, None
        return
    gone = answer is not None and answer.status == HTTPStatus.GONE
    if gone or tried.attempts >= ATTEMPTS_MAX:
        tried.state = DeliveryState.FAILED
    else:
        tried.next_try_at = now + PAUSES[tried.attempts - 1]
    endpoint.failing_since = endpoint.failing_since or now
    if gone or endpoint.failing_since <= now - DISABLED_AFTER:
        _disable(session, endpoint)


def due(session: Session, *, now: datetime, limit: int) -> Sequence[DeliveryId]:
    """Deliveries that wait for an attempt, the longest waiting first."""
    waiting = Delivery.state == DeliveryState.QUEUED, Delivery.next_try_at <= now
    rows = select(Delivery.id).where(*waiting).order_by(Delivery.next_try_at).limit(limit)
    return [DeliveryId(key) for key in session.scalars(rows)]


def forget_old(session: Session, *, now: datetime) -> int:
    """Drop deliveries that ended over a month ago; returns how many."""
    ended = Delivery.state != DeliveryState.QUEUED, Delivery.created_at < now - KEPT
    return len(session.execute(delete(Delivery).where(*ended).returning(Delivery.id)).all())


def signature(secret: str, *, at: datetime, signed: bytes) -> str:
    """`t=<seconds>,v1=<HMAC-SHA256 of "<seconds>.<body>">`; of a GET, its address is the body."""
    seconds = str(int(at.timestamp()))
    mac = hmac.new(secret.encode(), seconds.encode() + b"." + signed, hashlib.sha256)
    return f"t={seconds},v1={mac.hexdigest()}"


def _queue(
    session: Session,
    endpoint_ids: Iterable[UUID],
    *,
    event: str,
    source: str,
    data: Mapping[str, Any],
    now: datetime,
) -> list[DeliveryId]:
    rows = [
        {
            "endpoint_id": key,
            "source": source,
            "event": event,
            "body": {"event": event, "created_at": now.isoformat(), "data": dict(data)},
            "next_try_at": now,
            "created_at": now,
        }
        for key in endpoint_ids
    ]
    if not rows:
        return []
    added = insert(Delivery).on_conflict_do_nothing(index_elements=["endpoint_id", "source"])
    made = [DeliveryId(key) for key in session.scalars(added.returning(Delivery.id), rows)]
    for key in made:
        events.emit(session, "delivery.queued", {"delivery_id": str(key)})
    return made


def _request(endpoint: Endpoint, delivery: Delivery, now: datetime) -> Outgoing:
    name = ids.public(DELIVERY, delivery.id)
    if endpoint.method == "GET":
        url, body = _filled(endpoint.url, delivery.body), b""
    else:
        url = endpoint.url
        body = json.dumps({"id": name, **delivery.body}, separators=(",", ":")).encode()
    headers = {
        "user-agent": "flowlink",
        "flowlink-event": delivery.event,
        "flowlink-delivery": name,
        "flowlink-signature": signature(secret_of(endpoint), at=now, signed=body or url.encode()),
    }
    if body:
        headers["content-type"] = "application/json"
    return Outgoing(endpoint.method, url, headers, body)


def _filled(url: str, body: Mapping[str, Any]) -> str:
    """The address with `{event}` and each `{name}` of the event's data put in, encoded."""
    flat = {"event": body["event"], **_flat(body["data"])}
    for name, value in flat.items():
        url = url.replace(f"{{{name}}}", quote(str(value), safe=""))
    return url


def _flat(data: Mapping[str, Any]) -> dict[str, Any]:
    """Amounts are given without their currency: `{amount}`, and `{amount_currency}` beside it."""
    found: dict[str, Any] = {}
    for name, value in data.items():
        if isinstance(value, Mapping):
            found[name] = value.get("amount", "")
            found[f"{name}_currency"] = value.get("currency", "")
        else:
            found[name] = "" if value is None else value
    return found


def _disable(session: Session, endpoint: Endpoint) -> None:
    if endpoint.state != EndpointState.ACTIVE:
        return
    endpoint.state = EndpointState.DISABLED
    waiting = Delivery.endpoint_id == endpoint.id, Delivery.state == DeliveryState.QUEUED
    failed = update(Delivery).where(*waiting)
    session.execute(failed.values(state=DeliveryState.FAILED, error="The endpoint was disabled."))
    payload = {"endpoint_id": str(endpoint.id), "owner_id": str(endpoint.owner_id)}
    events.emit(session, "endpoint.disabled", payload)


def _new_secret() -> str:
    return f"whsec_{crypto.token()}"


def _checked_events(chosen: Sequence[str], offered: Collection[str]) -> list[str]:
    if not chosen or not set(chosen) <= set(offered):
        raise BadEvents
    return sorted(set(chosen))
