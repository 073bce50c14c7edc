"""PayPal's Payouts API, version 1 (OpenAPI `payments_payouts_batch_v1`, 1.9): batches and items.

PayPal pays a `sender_batch_id` once: the same id again within 30 days is refused with a link to
the first batch. That is how we ask what became of a call that was not answered.
"""

import json
import ssl
import threading
from collections.abc import Generator, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from functools import cache
from typing import Any, Protocol

import httpx2

from flowlink.kernel import settings
from flowlink.kernel.money import BadAmount, Money

TIMEOUT_S = 20
PAGE = 1000
# What is wrong with our account or with PayPal, not with this request: worth another try.
_TRY_AGAIN = {401, 403, 408, 425, 429}
_HEADERS = {
    "auth_algo": "paypal-auth-algo",
    "cert_url": "paypal-cert-url",
    "transmission_id": "paypal-transmission-id",
    "transmission_sig": "paypal-transmission-sig",
    "transmission_time": "paypal-transmission-time",
}


class Unsure(Exception):
    """No answer, or none that says what happened: ask again, never pay again."""


class PaypalRefused(Exception):
    """PayPal has read the request and will not do it; the text says why."""


@dataclass(frozen=True, slots=True)
class ItemState:
    """One item as PayPal has it. `status` is PayPal's own word (`transaction_enum`)."""

    sender_item_id: str
    item_id: str
    status: str
    transaction_id: str
    reason: str
    fee: Money | None = None


@dataclass(frozen=True, slots=True)
class BatchState:
    """One batch as PayPal has it (`batch_enum`), with all its items."""

    batch_id: str
    sender_batch_id: str
    status: str
    items: tuple[ItemState, ...]


class Payouts(Protocol):
    """What we need of whoever pays out in batches."""

    def create(self, body: bytes, *, now: datetime) -> str:
        """Hand a batch over, or find the one of the same id; returns the batch's own id.

        :raises Unsure: :raises PaypalRefused:
        """
        ...

    def batch(self, batch_id: str, *, now: datetime) -> BatchState:
        """:raises Unsure: :raises PaypalRefused:"""
        ...

    def item(self, item_id: str, *, now: datetime) -> ItemState:
        """:raises Unsure: :raises PaypalRefused:"""
        ...

    def genuine(self, headers: Mapping[str, str], body: bytes, *, now: datetime) -> bool:
        """Whether PayPal itself sent this webhook.

        :raises Unsure: PayPal cannot be asked now.
        """
        ...


@dataclass
class Paypal:
    """The client. Its token is fetched when needed and kept until shortly before it ends."""

    url: str
    client_id: str
    secret: str
    webhook_id: str
    _token: str = ""
    _token_until: datetime | None = None
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def create(self, body: bytes, *, now: datetime) -> str:
        answer = self._call("POST", "/v1/payments/payouts", now, content=body)
        found = _json(answer)
        if answer.status_code in {200, 201}:
            with _readable():
                return str(found["batch_header"]["payout_batch_id"])
        if first := _first_batch(found):
            return first
        raise PaypalRefused(_reason(answer, found))

    def batch(self, batch_id: str, *, now: datetime) -> BatchState:
        items: list[ItemState] = []
        for page in range(1, 1001):
            query = f"page={page}&page_size={PAGE}&total_required=true"
            found = self._read(f"/v1/payments/payouts/{batch_id}?{query}", now)
            with _readable():
                items += [_item(each) for each in found.get("items", ())]
                last = page >= int(found.get("total_pages", 1))
            if last:
                break
        with _readable():
            head = found["batch_header"]
            return BatchState(
                batch_id=str(head["payout_batch_id"]),
                sender_batch_id=str(head["sender_batch_header"]["sender_batch_id"]),
                status=str(head["batch_status"]),
                items=tuple(items),
            )

    def item(self, item_id: str, *, now: datetime) -> ItemState:
        found = self._read(f"/v1/payments/payouts-item/{item_id}", now)
        with _readable():
            return _item(found)

    def genuine(self, headers: Mapping[str, str], body: bytes, *, now: datetime) -> bool:
        """By PayPal's own `verify-webhook-signature`, with the event as it came, byte for byte."""
        named = {name: headers.get(header, "") for name, header in _HEADERS.items()}
        if not all(named.values()):
            return False
        about = json.dumps(named | {"webhook_id": self.webhook_id})[:-1].encode()
        content = about + b', "webhook_event": ' + body + b"}"
        path = "/v1/notifications/verify-webhook-signature"
        answer = self._call("POST", path, now, content=content)
        return answer.status_code == 200 and _json(answer).get("verification_status") == "SUCCESS"

    def _read(self, path: str, now: datetime) -> Mapping[str, Any]:
        answer = self._call("GET", path, now)
        found = _json(answer)
        if answer.status_code != 200:
            raise PaypalRefused(_reason(answer, found))
        return found

    def _call(
        self, method: str, path: str, now: datetime, *, content: bytes | None = None
    ) -> httpx2.Response:
        headers = {"authorization": f"Bearer {self._fresh_token(now)}"}
        if content is not None:
            headers["content-type"] = "application/json"
        answer = self._send(method, path, headers=headers, content=content)
        if answer.status_code == 401:
            self._token_until = None
        if answer.status_code in _TRY_AGAIN or answer.status_code >= 500:
            raise Unsure(_reason(answer, _json(answer)))
        return answer

    def _fresh_token(self, now: datetime) -> str:
        with self._lock:
            if self._token_until is not None and now < self._token_until:
                return self._token
            answer = self._send(
                "POST",
                "/v1/oauth2/token",
                headers={"content-type": "application/x-www-form-urlencoded"},
                content=b"grant_type=client_credentials",
                auth=(self.client_id, self.secret),
            )
            found = _json(answer)
            if answer.status_code != 200 or "access_token" not in found:
                raise Unsure(f"PayPal gives no token: {answer.status_code}")
            self._token = str(found["access_token"])
            self._token_until = now + timedelta(seconds=int(found.get("expires_in", 0)) - 60)
            return self._token

    def _send(self, method: str, path: str, **more: Any) -> httpx2.Response:
        try:
            with httpx2.Client(timeout=TIMEOUT_S, verify=_tls()) as client:
                return client.request(method, f"{self.url.rstrip('/')}{path}", **more)
        except httpx2.HTTPError as error:
            raise Unsure(f"PayPal did not answer: {type(error).__name__}") from error


@cache
def _tls() -> ssl.SSLContext:
    """Read once: the certificates of all authorities take longer to read than a call to make."""
    return httpx2.create_ssl_context()


def configured() -> Paypal:
    """The client of this installation; its settings may be empty, then PayPal refuses us."""
    chosen = settings.current()
    return Paypal(
        url=chosen.paypal_url,
        client_id=chosen.paypal_client_id,
        secret=chosen.paypal_client_secret,
        webhook_id=chosen.paypal_webhook_id,
    )


@contextmanager
def _readable() -> Generator[None]:
    """An answer in a shape that PayPal's description does not know says nothing.

    :raises Unsure:
    """
    try:
        yield
    except (AttributeError, KeyError, TypeError, ValueError) as error:
        raise Unsure(f"PayPal's answer cannot be read: {error!r}") from error


def _item(found: Mapping[str, Any]) -> ItemState:
    error = found.get("errors") or {}
    told = [str(error[name]) for name in ("name", "message") if error.get(name)]
    return ItemState(
        sender_item_id=str(found.get("payout_item", {}).get("sender_item_id", "")),
        item_id=str(found.get("payout_item_id", "")),
        status=str(found.get("transaction_status", "")),
        transaction_id=str(found.get("transaction_id", "")),
        reason=": ".join(told),
        fee=_fee(found.get("payout_item_fee")),
    )


def _fee(found: object) -> Money | None:
    """What PayPal keeps for an item; None where it does not say, or not in a way that we read."""
    if not isinstance(found, Mapping):
        return None
    with suppress(BadAmount):
        return Money.parse(str(found.get("value", "")), str(found.get("currency", "")))
    return None


def _first_batch(found: Mapping[str, Any]) -> str | None:
    """The batch that a duplicate `sender_batch_id` belongs to, if that is what was refused."""
    fields = {str(each.get("field", "")).upper() for each in found.get("details", ())}
    if not any(name.endswith("SENDER_BATCH_ID") for name in fields):
        return None
    return next(_batch_ids(found), None)


def _batch_ids(found: Mapping[str, Any]) -> Iterator[str]:
    for link in found.get("links", ()):
        before, middle, name = str(link.get("href", "")).rpartition("/payments/payouts/")
        if before and middle and name:
            yield name.partition("?")[0]


def _json(answer: httpx2.Response) -> Mapping[str, Any]:
    try:
        body = answer.json()
    except ValueError:
        return {}
    return body if isinstance(body, dict) else {}


def _reason(answer: httpx2.Response, found: Mapping[str, Any]) -> str:
    issues = [str(each.get("issue", "")) for each in found.get("details", ())]
    told = [str(found.get("name", "")), str(found.get("message", "")), *issues]
    return f"PayPal: {answer.status_code} {' '.join(part for part in told if part)}".strip()
