"""Stripe, by its official client: each call we make of it, and what its troubles mean to us.

Nothing is tried twice in here: who asked asks again later, under the same key. An answer is a
plain mapping; one that has not the shape we expect is as good as none (`Away`).
"""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from functools import lru_cache, partial
from typing import Any

import stripe

from flowlink.billing.providers import Away
from flowlink.billing.stripe_models import StripeCharge
from flowlink.kernel import logs, settings

TIMEOUT_S = 20
PAGE_SIZE = 100
# Everything that can change what `state` says. The endpoint at Stripe is to be sent these.
EVENTS = (
    "checkout.session.completed",
    "checkout.session.expired",
    "checkout.session.async_payment_succeeded",
    "checkout.session.async_payment_failed",
    "payment_intent.succeeded",
    "payment_intent.payment_failed",
    "payment_intent.canceled",
    "charge.refunded",
    "refund.failed",
    "charge.dispute.created",
    "charge.dispute.updated",
    "charge.dispute.funds_withdrawn",
    "charge.dispute.funds_reinstated",
    "charge.dispute.closed",
)
_CHARGE = "latest_charge"

Found = Mapping[str, Any]
Client = stripe.StripeClient

log = logs.get("flowlink.billing.stripe")


class Burnt(Away):
    """Answered with an error that this key will bring again for a day: take another key."""


class StripeRefused(Exception):
    """Stripe has read the request and will not do it; `code` and `param` are its own words."""

    def __init__(self, code: str, param: str) -> None:
        super().__init__(code)
        self.code, self.param = code, param


@dataclass(frozen=True, slots=True)
class Stripe:
    """Each call may raise `Away`, and those that change something `StripeRefused`."""

    client: Client

    def make_customer(self, row: StripeCharge) -> Found:
        """Somebody to charge again, known by our name for the team."""
        return self._ask(
            lambda client: client.v1.customers.create(
                {"description": row.title[:300], "metadata": {"payer": row.payer}},
                _once(row, "customer"),
            )
        )

    def make_session(self, row: StripeCharge, customer_id: str) -> Found:
        """A page to pay on, for a day; what is paid with is kept for renewals."""
        return self._ask(
            lambda client: client.v1.checkout.sessions.create(
                {
                    "mode": "payment",
                    "customer": customer_id,
                    "client_reference_id": row.ref,
                    "allowed_payment_method_types": ["card"],
                    "line_items": [
                        {
                            "quantity": 1,
                            "price_data": {
                                "currency": row.currency.lower(),
                                "unit_amount": row.amount_minor,
                                "product_data": {"name": row.title[:250]},
                            },
                        }
                    ],
                    "payment_intent_data": {
                        "setup_future_usage": "off_session",
                        "description": row.title[:300],
                        "metadata": {"ref": row.ref},
                    },
                    "metadata": {"ref": row.ref},
                    "success_url": row.back_url,
                    "cancel_url": row.back_url,
                },
                _once(row, "session"),
            )
        )

    def session(self, session_id: str) -> Found:
        """With its intent, and the intent with its charge."""
        return self._ask(
            lambda client: client.v1.checkout.sessions.retrieve(
                session_id, {"expand": [f"payment_intent.{_CHARGE}"]}
            )
        )

    def expire(self, session_id: str) -> Found:
        """Let a page never be paid. Refused if it is paid, or over, already."""
        return self._ask(lambda client: client.v1.checkout.sessions.expire(session_id))

    def make_intent(self, row: StripeCharge, customer_id: str, method_id: str) -> Found:
        """A charge that is only prepared: no money moves before `confirm`."""
        return self._ask(
            lambda client: client.v1.payment_intents.create(
                {
                    "amount": row.amount_minor,
                    "currency": row.currency.lower(),
                    "customer": customer_id,
                    "payment_method": method_id,
                    "allowed_payment_method_types": ["card"],
                    "description": row.title[:300],
                    "metadata": {"ref": row.ref},
                },
                _once(row, "intent"),
            )
        )

    def confirm(self, row: StripeCharge) -> Found:
        """Charge it while the customer is away. Refused if their bank says no."""
        return self._ask(
            lambda client: client.v1.payment_intents.confirm(
                row.intent_id, {"off_session": True}, _once(row, "confirm")
            )
        )

    def intent(self, intent_id: str) -> Found:
        """With its charge."""
        return self._ask(
            lambda client: client.v1.payment_intents.retrieve(intent_id, {"expand": [_CHARGE]})
        )

    def cancel(self, intent_id: str) -> Found:
        """Let an intent never be charged. Refused if it was."""
        return self._ask(lambda client: client.v1.payment_intents.cancel(intent_id))

    def refund(self, row: StripeCharge, *, gone_minor: int, more_minor: int) -> Found:
        """Give back more, on top of what is gone: from one sum, only one more goes."""
        return self._ask(
            lambda client: client.v1.refunds.create(
                {
                    "payment_intent": row.intent_id,
                    "amount": more_minor,
                    "metadata": {"ref": row.ref},
                },
                {"idempotency_key": f"{row.ref}-refund-{gone_minor}"},
            )
        )

    def disputes(self, intent_id: str) -> list[Found]:
        """All disputes of a payment, the latest first."""
        found = self._ask(lambda client: client.v1.disputes.list({"payment_intent": intent_id}))
        return [part(one) for one in items(found)]

    def events(self, *, since: datetime, until: datetime) -> Iterator[Found]:
        """What Stripe told, or tried to, of the kinds in `EVENTS`; the latest first."""
        span: Any = {"gte": int(since.timestamp()), "lte": int(until.timestamp())}
        asked: Any = {"created": span, "types": list(EVENTS), "limit": PAGE_SIZE}
        while True:
            found = self._ask(partial(_list_events, asked))
            page = [part(one) for one in items(found)]
            yield from page
            if not page or found.get("has_more") is not True:
                return
            asked |= {"starting_after": text(page[-1], "id")}

    def reach(self) -> None:
        """The smallest call that shows whether Stripe answers this key."""
        self._ask(lambda client: client.v1.checkout.sessions.list({"limit": 1}))

    def _ask(self, call: Callable[[Client], Any]) -> Found:
        try:
            return part(call(self.client).to_dict())
        except (stripe.CardError, stripe.InvalidRequestError) as refusal:
            code = _code(refusal) or str(refusal.code or "") or "refused"
            log.warning("stripe refused", code=code, param=refusal.param, said=_said(refusal))
            raise StripeRefused(code, str(refusal.param or "")) from None
        except stripe.StripeError as trouble:
            said = f"Stripe: {type(trouble).__name__} {trouble.http_status or ''}".strip()
            log.warning("stripe is away", trouble=said, said=_said(trouble))
            burnt = isinstance(trouble, stripe.IdempotencyError)
            if burnt or (trouble.http_status or 0) >= 500:
                raise Burnt(said) from None
            raise Away(said) from None
        except (AttributeError, KeyError, TypeError, ValueError) as trouble:
            raise Away(f"Stripe answered nonsense: {type(trouble).__name__}") from None


def configured() -> Stripe:
    """The client of this installation.

    :raises Away: no key is set.
    """
    chosen = settings.current()
    if not chosen.stripe_secret_key:
        raise Away("STRIPE_SECRET_KEY is not set")
    return Stripe(_client(chosen.stripe_secret_key, chosen.stripe_url.rstrip("/")))


@lru_cache(maxsize=4)
def _client(key: str, url: str) -> Client:
    return stripe.StripeClient(
        key,
        base_addresses={"api": url},
        max_network_retries=0,
        http_client=stripe.RequestsClient(timeout=TIMEOUT_S),
    )


def text(found: Found, name: str) -> str:
    """A word of an answer; empty where there is none.

    :raises Away: it is something else.
    """
    value = found.get(name)
    if value is not None and not isinstance(value, str):
        raise Away(f"Stripe answered nonsense: {name}")
    return value or ""


def whole(found: Found, name: str) -> int:
    """A whole number of an answer.

    :raises Away: there is none.
    """
    value = found.get(name)
    if not isinstance(value, int) or isinstance(value, bool):
        raise Away(f"Stripe answered nonsense: {name}")
    return value


def part(value: object) -> Found:
    """An object of an answer.

    :raises Away: it is none.
    """
    if not isinstance(value, Mapping):
        raise Away("Stripe answered nonsense: no object")
    return value


def items(found: Found) -> list[object]:
    """The things of a list.

    :raises Away: it is none.
    """
    listed = found.get("data")
    if not isinstance(listed, list):
        raise Away("Stripe answered nonsense: no list")
    return listed


def _list_events(asked: Any, client: Client) -> Any:
    return client.v1.events.list(asked)


def _once(row: StripeCharge, what: str) -> stripe.RequestOptions:
    return {"idempotency_key": f"{row.ref}-{what}-{row.number}"}


def _code(refusal: stripe.StripeError) -> str:
    """The bank's own word where there is one."""
    return str(getattr(refusal.error, "decline_code", None) or "")


def _said(trouble: stripe.StripeError) -> str:
    return str(trouble.user_message or "")[:300]
