"""What Stripe tells, read and understood.

Of an event we believe only whose charge it is about; what is true of it is asked anew.
"""

import json
from collections.abc import Mapping
from datetime import datetime

import stripe

from flowlink.billing import ids, stripe_api as api, stripe_rows as rows
from flowlink.billing.providers import NotGenuine, Told
from flowlink.billing.stripe_api import Found, StripeRefused
from flowlink.kernel import settings
from flowlink.kernel.errors import NotFound

NAME = "stripe"
HEADER = "stripe-signature"
TOLERANCE_S = 300


def read(headers: Mapping[str, str], body: bytes, *, now: datetime) -> Told:
    """A webhook whose signature is Stripe's and not older than five minutes.

    :raises NotGenuine: :raises providers.Away: its charge is not known here, and Stripe neither
    says whose it is.
    """
    try:
        signed = headers.get(HEADER, "")
        secret = settings.current().stripe_webhook_secret
        stripe.WebhookSignature.verify_header(body, signed, secret)
        event = json.loads(body)
    except (stripe.SignatureVerificationError, ValueError):
        raise NotGenuine from None
    at = next((part[2:] for part in signed.split(",") if part.startswith("t=")), "")
    if not at.isdigit() or abs(int(now.timestamp()) - int(at[:12])) > TOLERANCE_S:
        raise NotGenuine
    if not isinstance(event, dict) or not event.get("id") or not event.get("type"):
        raise NotGenuine
    return told(event)


def told(event: Found) -> Told:
    """Which event it is, and whose charge it is about.

    :raises providers.Away: see `read`.
    """
    data = event.get("data")
    thing = data.get("object") if isinstance(data, Mapping) else None
    ref = _ref(thing) if isinstance(thing, Mapping) else ""
    return Told(str(event["id"])[:200], str(event["type"])[:100], ref[:90])


def _ref(thing: Found) -> str:
    """Our name for the charge that an object is about; its own id if it is none of ours."""
    marks = thing.get("metadata")
    named = marks.get("ref") if isinstance(marks, Mapping) else ""
    for said in (named, thing.get("client_reference_id")):
        if isinstance(said, str) and _is_ours(said):
            return said
    intent_id = thing.get("payment_intent")
    if not isinstance(intent_id, str):
        return str(thing.get("id", ""))
    known = rows.ref_of(intent_id)
    if known is not None:
        return known
    try:
        marks = api.configured().intent(intent_id).get("metadata")
    except StripeRefused:
        return intent_id
    return str(marks.get("ref") or intent_id) if isinstance(marks, Mapping) else intent_id


def _is_ours(said: str) -> bool:
    try:
        ids.parse_ref(said)
    except NotFound:
        return False
    return " " not in said
