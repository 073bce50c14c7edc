"""The fake PayPal's doors, and the delivery of its webhooks."""

import base64
import json
from collections.abc import Awaitable, Callable
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any

import httpx2
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.types import Receive, Scope, Send

from flowlink.kernel import clock
from flowlink.payouts.fakepay import checks
from flowlink.payouts.fakepay.state import Batch, Ledger

TOKEN = "A21AAfake"  # noqa: S105  (opens nothing but the fake)
_PAGES_MAX = 1000


class Unanswered(Exception):
    """The connection ends here, although the request was accepted."""


@dataclass
class FakePay:
    """An ASGI app; `ledger` may be looked into and moved on by tests."""

    client_id: str = "fake-client"
    secret: str = "fake-secret"  # noqa: S105
    ledger: Ledger = field(default_factory=Ledger)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            return
        request = Request(scope, receive)
        body = await request.body()
        try:
            answer = self.answer(request, body)
        except Unanswered:
            await _break_off(send)
            return
        await answer(scope, receive, send)

    def answer(self, request: Request, body: bytes) -> Response:
        if self.ledger.knobs.hits(self.ledger.knobs.server_errors):
            return refusal(503, "SERVICE_UNAVAILABLE", "Service Unavailable.")
        path, method = request.url.path, request.method
        if (method, path) == ("POST", "/v1/oauth2/token"):
            return self._token(request, body)
        if request.headers.get("authorization") != f"Bearer {TOKEN}":
            return refusal(401, "AUTHENTICATION_FAILURE", "Authentication failed.")
        doors: dict[tuple[str, str], Callable[[Any], Response]] = {
            ("POST", "/v1/payments/payouts"): self._create,
            ("POST", "/v1/notifications/verify-webhook-signature"): self._verify,
        }
        if (method, path) in doors:
            return self._posted(request, body, doors[method, path])
        start, _, name = path.rpartition("/")
        if (method, start) == ("GET", "/v1/payments/payouts") and name in self.ledger.batches:
            return _page(self.ledger.batches[name], request)
        if (method, start) == ("GET", "/v1/payments/payouts-item") and name in self.ledger.items:
            return JSONResponse(self.ledger.items[name].json())
        return refusal(404, "RESOURCE_NOT_FOUND", "The specified resource does not exist.")

    def _token(self, request: Request, body: bytes) -> Response:
        given = request.headers.get("authorization", "").removeprefix("Basic ")
        wanted = base64.b64encode(f"{self.client_id}:{self.secret}".encode()).decode()
        if given != wanted:
            return JSONResponse({"error": "invalid_client"}, status_code=401)
        if body != b"grant_type=client_credentials":
            return JSONResponse({"error": "unsupported_grant_type"}, status_code=400)
        return JSONResponse({"access_token": TOKEN, "token_type": "Bearer", "expires_in": 31_668})

    def _posted(self, request: Request, body: bytes, door: Callable[[Any], Response]) -> Response:
        if request.headers.get("content-type", "").partition(";")[0] != "application/json":
            message = "The server does not support the request payload's media type."
            return refusal(415, "UNSUPPORTED_MEDIA_TYPE", message)
        try:
            return door(json.loads(body))
        except ValueError:
            return refusal(400, "INVALID_REQUEST", "Request is not well-formed.")

    def _create(self, body: Any) -> Response:
        if issues := checks.batch(body):
            return refusal(400, "VALIDATION_ERROR", "Invalid request - see details", issues)
        batch, new = self.ledger.open_batch(body, clock.now())
        if not new:
            return _duplicate(batch)
        if self.ledger.knobs.hits(self.ledger.knobs.unanswered):
            raise Unanswered
        answer = {"batch_header": batch.head(), "links": [_link(batch)]}
        return JSONResponse(answer, status_code=201)

    def _verify(self, body: Any) -> Response:
        if issues := checks.signature(body):
            return refusal(400, "VALIDATION_ERROR", "Invalid request - see details", issues)
        wanted = self.ledger.signature(
            body["transmission_id"],
            body["transmission_time"],
            self.ledger.webhook_id,
            body["webhook_event"],
        )
        same = body["transmission_sig"] == wanted and body["webhook_id"] == self.ledger.webhook_id
        return JSONResponse({"verification_status": "SUCCESS" if same else "FAILURE"})


def deliver(ledger: Ledger, url: str) -> int:
    """Send what is owed to a listener, as the knobs let it; what it refuses is owed again."""
    delivered = 0
    with httpx2.Client(timeout=10) as client:
        for event in ledger.take_owed():
            try:
                answer = client.post(url, content=event.body, headers=event.headers)
            except httpx2.HTTPError:
                ledger.owed.append(event)
                continue
            if answer.status_code == 200:
                delivered += 1
            else:
                ledger.owed.append(event)
    return delivered


def refusal(
    status: int, name: str, message: str, issues: list[checks.Issue] | None = None
) -> JSONResponse:
    """A refusal as PayPal words it."""
    body: dict[str, Any] = {"name": name, "message": message, "debug_id": "fake"}
    if issues:
        body["details"] = [issue.json() for issue in issues[:50]]
    return JSONResponse(body, status_code=status)


def _duplicate(batch: Batch) -> Response:
    issue = checks.Issue("SENDER_BATCH_ID", "Batch with given sender_batch_id already exists")
    body = {
        "name": "USER_BUSINESS_ERROR",
        "message": "User business error.",
        "debug_id": "fake",
        "details": [issue.json()],
        "links": [_link(batch)],
    }
    return JSONResponse(body, status_code=400)


def _link(batch: Batch) -> dict[str, str]:
    href = f"https://fakepay.invalid/v1/payments/payouts/{batch.batch_id}"
    return {"href": href, "rel": "self", "method": "GET"}


def _page(batch: Batch, request: Request) -> Response:
    query = request.query_params
    page, size = query.get("page", "1"), query.get("page_size", "1000")
    if not (page.isdecimal() and size.isdecimal() and 1 <= int(size) <= _PAGES_MAX and int(page)):
        return refusal(400, "VALIDATION_ERROR", "Invalid request - see details")
    first, count = (int(page) - 1) * int(size), len(batch.items)
    found: dict[str, Any] = {
        "batch_header": batch.head(),
        "items": [item.json() for item in batch.items[first : first + int(size)]],
    }
    if query.get("total_required") == "true":
        found |= {"total_items": count, "total_pages": -(-count // int(size))}
    return JSONResponse(found)


async def _break_off(send: Callable[[Any], Awaitable[None]]) -> None:
    """Announce more bytes than come: the server then closes the connection."""
    head = [(b"content-length", b"1000"), (b"content-type", b"application/json")]
    await send({"type": "http.response.start", "status": 201, "headers": head})
    with suppress(RuntimeError):  # how uvicorn says that it saw the difference
        await send({"type": "http.response.body", "body": b"{", "more_body": False})
