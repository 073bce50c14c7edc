"""What PayPal tells us: verified, kept raw, answered; the worker handles it."""

import json
from typing import Any

from fastapi import APIRouter, Request, Response
from fastapi.concurrency import run_in_threadpool

from flowlink.kernel import clock, db, inbound
from flowlink.kernel.errors import Forbidden, Invalid, Refused
from flowlink.payouts import paypal
from flowlink.payouts.paypal_runs import PROVIDER

router = APIRouter(include_in_schema=False)


class BadEvent(Invalid):
    message = "This is not an event that we can read."


class NotGenuine(Forbidden):
    message = "PayPal does not know this event."


class CannotVerify(Refused):
    message = "This event cannot be verified now. Please send it again later."


@router.post("/webhooks/paypal")
async def paypal_event(request: Request) -> Response:
    """Answers 200 once the event is kept; anything else makes PayPal send it again."""
    body = await request.body()
    await run_in_threadpool(_keep, dict(request.headers), body)
    return Response(status_code=200)


def _keep(headers: dict[str, str], body: bytes) -> None:
    """Verified before it is kept: a forged event must not take a real one's id."""
    event = _read(body)
    now = clock.now()
    try:
        genuine = paypal.configured().genuine(headers, body, now=now)
    except paypal.Unsure:
        raise CannotVerify from None
    if not genuine:
        raise NotGenuine
    with db.write() as session:
        inbound.keep(
            session,
            provider=PROVIDER,
            event_id=str(event["id"])[:200],
            kind=str(event["event_type"])[:200],
            body=body,
            now=now,
        )


def _read(body: bytes) -> dict[str, Any]:
    try:
        event = json.loads(body)
    except ValueError:
        raise BadEvent from None
    if not isinstance(event, dict) or not event.get("id") or not event.get("event_type"):
        raise BadEvent
    if not isinstance(event.get("resource"), dict):
        raise BadEvent
    return event
