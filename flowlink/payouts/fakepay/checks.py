"""Requests held against PayPal's OpenAPI description, field by field.

Lengths, patterns, enumerations and required fields are those of `payments_payouts_batch_v1` 1.9
(`create_payout_request`) and `notifications_webhooks_v1` (`verify_webhook_signature`). PayPal's own
server ignores some unknown fields; the fake refuses them all, so that a misspelling is found.
"""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from decimal import Decimal, InvalidOperation
from typing import Any

ITEMS_MAX = 15_000
RECIPIENTS = {"EMAIL", "PHONE", "PAYPAL_ID", "USER_HANDLE"}
WALLETS = {"PAYPAL", "VENMO", "RECIPIENT_SELECTED"}
PURPOSES = {"AWARDS", "PRIZES", "DONATIONS", "GOODS", "SERVICES", "REBATES", "CASHBACK",
            "DISCOUNTS", "NON_GOODS_OR_SERVICES"}  # fmt: skip
CURRENCIES = {"EUR", "USD", "GBP", "CHF", "CAD", "AUD", "PLN", "SEK", "NOK", "DKK", "CZK", "HUF"}
HEADER = {"sender_batch_id": 256, "recipient_type": 13, "email_subject": 255, "email_message": 1000,
          "note": 1000}  # fmt: skip
ITEM = {"recipient_type": 13, "note": 4000, "receiver": 127, "sender_item_id": 63,
        "recipient_wallet": 36, "notification_language": 10, "purpose": 40}  # fmt: skip
OBJECTS = {"amount", "alternate_notification_method", "application_context"}
ADDRESS = re.compile(r"[^@\s]+@[^@\s]+\.[^@\s]+")
VALUE = re.compile(r"\d{1,10}(\.\d{1,2})?")
SIGNATURE = {"auth_algo": re.compile(r"[a-zA-Z0-9]{1,100}"), "cert_url": re.compile(r"https?://\S+"),
             "transmission_id": re.compile(r"(?!\d+$)\w+\S+"),
             "transmission_sig": re.compile(r"(?!\d+$)\w+\S+"),
             "transmission_time": re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\S*"),
             "webhook_id": re.compile(r"[a-zA-Z0-9]{1,50}")}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Issue:
    """One thing that is wrong with a request, as `error_details` has it."""

    field: str
    issue: str

    def json(self) -> dict[str, str]:
        return {"field": self.field, "location": "body", "issue": self.issue}


def batch(body: Any) -> list[Issue]:
    """All that is wrong with a request to create a payout."""
    return list(_batch(body))


def signature(body: Any) -> list[Issue]:
    """All that is wrong with a request to verify a webhook."""
    if not isinstance(body, Mapping):
        return [Issue("/", "MALFORMED_REQUEST_JSON")]
    found = [Issue(f"/{name}", "UNKNOWN_FIELD") for name in {*body} - {*SIGNATURE, "webhook_event"}]
    for name, pattern in SIGNATURE.items():
        value = body.get(name)
        if not isinstance(value, str) or not pattern.fullmatch(value):
            found.append(Issue(f"/{name}", "INVALID_PARAMETER_SYNTAX"))
    if not isinstance(body.get("webhook_event"), Mapping):
        found.append(Issue("/webhook_event", "MISSING_REQUIRED_PARAMETER"))
    return found


def _batch(body: Any) -> Iterator[Issue]:
    if not isinstance(body, Mapping):
        yield Issue("/", "MALFORMED_REQUEST_JSON")
        return
    yield from _unknown(body, {"sender_batch_header", "items"}, "")
    head, items = body.get("sender_batch_header"), body.get("items")
    if not isinstance(head, Mapping):
        yield Issue("/sender_batch_header", "MISSING_REQUIRED_PARAMETER")
        head = {}
    yield from _unknown(head, set(HEADER), "/sender_batch_header")
    yield from _texts(head, HEADER, "/sender_batch_header")
    if not isinstance(items, list) or not 1 <= len(items) <= ITEMS_MAX:
        yield Issue("/items", "INVALID_ARRAY_LENGTH")
        return
    for place, item in enumerate(items):
        yield from _item(item, head, f"/items/{place}")
    names = [item["sender_item_id"] for item in items if _has(item, "sender_item_id")]
    if len(names) != len(set(names)):
        yield Issue("/items", "DUPLICATE_SENDER_ITEM_ID")


def _item(item: Any, head: Mapping[str, Any], at: str) -> Iterator[Issue]:
    if not isinstance(item, Mapping):
        yield Issue(at, "MALFORMED_REQUEST_JSON")
        return
    yield from _unknown(item, set(ITEM) | OBJECTS, at)
    yield from _texts(item, ITEM, at)
    yield from _amount(item.get("amount"), f"{at}/amount")
    kind = item.get("recipient_type", head.get("recipient_type"))
    if kind not in RECIPIENTS:
        yield Issue(f"{at}/recipient_type", "INVALID_RECIPIENT_TYPE")
    receiver = item.get("receiver")
    if not receiver:
        yield Issue(f"{at}/receiver", "MISSING_REQUIRED_PARAMETER")
    elif kind == "EMAIL" and not (isinstance(receiver, str) and ADDRESS.fullmatch(receiver)):
        yield Issue(f"{at}/receiver", "INVALID_EMAIL_FORMAT")
    if item.get("recipient_wallet", "PAYPAL") not in WALLETS:
        yield Issue(f"{at}/recipient_wallet", "INVALID_RECIPIENT_WALLET")
    if item.get("purpose", "SERVICES") not in PURPOSES:
        yield Issue(f"{at}/purpose", "INVALID_PURPOSE")


def _amount(amount: Any, at: str) -> Iterator[Issue]:
    if not isinstance(amount, Mapping):
        yield Issue(at, "MISSING_REQUIRED_PARAMETER")
        return
    yield from _unknown(amount, {"currency", "value"}, at)
    if amount.get("currency") not in CURRENCIES:
        yield Issue(f"{at}/currency", "CURRENCY_NOT_SUPPORTED")
    value = amount.get("value")
    if not isinstance(value, str) or not VALUE.fullmatch(value) or not _positive(value):
        yield Issue(f"{at}/value", "INVALID_AMOUNT")


def _positive(value: str) -> bool:
    try:
        return Decimal(value) > 0
    except InvalidOperation:
        return False


def _unknown(body: Mapping[str, Any], known: set[str], at: str) -> Iterator[Issue]:
    for name in sorted({*body} - known):
        yield Issue(f"{at}/{name}", "UNKNOWN_FIELD")


def _texts(body: Mapping[str, Any], lengths: Mapping[str, int], at: str) -> Iterator[Issue]:
    for name, longest in lengths.items():
        if name in body and not (isinstance(body[name], str) and len(body[name]) <= longest):
            yield Issue(f"{at}/{name}", "INVALID_STRING_LENGTH")


def _has(item: Any, name: str) -> bool:
    return isinstance(item, Mapping) and bool(item.get(name))
