"""Stripe's objects as the fake answers them: no field that the official client does not name."""

from typing import Any

from flowlink.billing.fakestripe.knobs import Card

Thing = dict[str, Any]


def customer(key: str, asked: Thing, at: int) -> Thing:
    return {
        "id": key,
        "object": "customer",
        "created": at,
        "description": asked.get("description"),
        "email": asked.get("email"),
        "livemode": False,
        "metadata": asked.get("metadata", {}),
        "name": asked.get("name"),
    }


def session(key: str, asked: Thing, at: int, url: str) -> Thing:
    """`asked` has been checked; it pays for one line."""
    [line] = asked["line_items"].values()
    price = line["price_data"]
    return {
        "id": key,
        "object": "checkout.session",
        "amount_total": int(price["unit_amount"]) * int(line["quantity"]),
        "cancel_url": asked.get("cancel_url"),
        "client_reference_id": asked.get("client_reference_id"),
        "created": at,
        "currency": price["currency"],
        "customer": asked.get("customer"),
        "expires_at": int(asked.get("expires_at", at + 24 * 3600)),
        "livemode": False,
        "metadata": asked.get("metadata", {}),
        "mode": asked["mode"],
        "payment_intent": None,
        "payment_method_types": ["card"],
        "payment_status": "unpaid",
        "status": "open",
        "success_url": asked.get("success_url"),
        "url": url,
    }


def intent(key: str, asked: Thing, at: int) -> Thing:
    method = asked.get("payment_method")
    return {
        "id": key,
        "object": "payment_intent",
        "amount": int(asked["amount"]),
        "amount_capturable": 0,
        "amount_received": 0,
        "canceled_at": None,
        "cancellation_reason": None,
        "capture_method": "automatic",
        "client_secret": f"{key}_secret_fake",
        "confirmation_method": "automatic",
        "created": at,
        "currency": asked["currency"],
        "customer": asked.get("customer"),
        "description": asked.get("description"),
        "last_payment_error": None,
        "latest_charge": None,
        "livemode": False,
        "metadata": asked.get("metadata", {}),
        "next_action": None,
        "payment_method": method,
        "payment_method_types": ["card"],
        "setup_future_usage": asked.get("setup_future_usage"),
        "status": "requires_confirmation" if method else "requires_payment_method",
    }


def charge(key: str, paid: Thing, at: int) -> Thing:
    return {
        "id": key,
        "object": "charge",
        "amount": paid["amount"],
        "amount_captured": paid["amount"],
        "amount_refunded": 0,
        "captured": True,
        "created": at,
        "currency": paid["currency"],
        "customer": paid["customer"],
        "description": paid["description"],
        "disputed": False,
        "livemode": False,
        "metadata": paid["metadata"],
        "paid": True,
        "payment_intent": paid["id"],
        "payment_method": paid["payment_method"],
        "refunded": False,
        "status": "succeeded",
    }


def method(key: str, card: Card, customer_id: str | None, at: int) -> Thing:
    brand = {"brand": "visa", "country": "FR", "exp_month": 12, "exp_year": 2099}
    return {
        "id": key,
        "object": "payment_method",
        "card": brand | {"last4": card.last4, "funding": "credit"},
        "created": at,
        "customer": customer_id,
        "livemode": False,
        "metadata": {},
        "type": "card",
    }


def refund(key: str, of: Thing, amount: int, asked: Thing, at: int) -> Thing:
    return {
        "id": key,
        "object": "refund",
        "amount": amount,
        "charge": of["id"],
        "created": at,
        "currency": of["currency"],
        "metadata": asked.get("metadata", {}),
        "payment_intent": of["payment_intent"],
        "reason": asked.get("reason"),
        "status": "succeeded",
    }


def dispute(key: str, of: Thing, at: int) -> Thing:
    return {
        "id": key,
        "object": "dispute",
        "amount": of["amount"] - of["amount_refunded"],
        "charge": of["id"],
        "created": at,
        "currency": of["currency"],
        "is_charge_refundable": False,
        "livemode": False,
        "metadata": {},
        "payment_intent": of["payment_intent"],
        "reason": "fraudulent",
        "status": "needs_response",
    }


def event(key: str, kind: str, about: Thing, at: int, version: str) -> Thing:
    return {
        "id": key,
        "object": "event",
        "api_version": version,
        "created": at,
        "data": {"object": about},
        "livemode": False,
        "pending_webhooks": 1,
        "request": {"id": None, "idempotency_key": None},
        "type": kind,
    }


def listed(found: list[Thing], path: str, *, has_more: bool) -> Thing:
    return {"object": "list", "data": found, "has_more": has_more, "url": path}
