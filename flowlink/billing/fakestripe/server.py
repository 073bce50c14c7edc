"""The fake Stripe's doors, and the delivery of its webhooks."""

import asyncio
import json
from collections.abc import Awaitable, Callable
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any

import httpx2
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.types import Receive, Scope, Send
from stripe import WebhookSignature

from flowlink.billing.fakestripe import checks, pages, things
from flowlink.billing.fakestripe.state import Ledger, Refused, matches, stamp
from flowlink.billing.fakestripe.things import Thing
from flowlink.kernel import clock

KEY = "sk_test_fake"
WEBHOOK_SECRET = "whsec_fake"  # noqa: S105  (opens nothing but the fake)
KEPT = timedelta(hours=24)  # for how long an Idempotency-Key gets its first answer again
_PAGE = 10
_LISTS = {
    "/v1/checkout/sessions": "checkout.session",
    "/v1/payment_intents": "payment_intent",
    "/v1/refunds": "refund",
    "/v1/disputes": "dispute",
    "/v1/events": "event",
}
_KINDS = _LISTS | {"/v1/customers": "customer"}


class Unanswered(Exception):
    """The connection ends here, although the request was carried out."""


@dataclass(frozen=True, slots=True)
class Answered:
    """What the first request with a key asked, and was told."""

    asked: tuple[str, str]
    status: int
    body: Thing
    at: int


@dataclass
class FakeStripe:
    """An ASGI app; `ledger` may be looked into and moved on by tests."""

    key: str = KEY
    webhook_secret: str = WEBHOOK_SECRET
    ledger: Ledger = field(default_factory=Ledger)
    answered: dict[str, Answered] = field(default_factory=dict)
    calls: list[tuple[str, str]] = field(default_factory=list)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            return
        request = Request(scope, receive)
        body = (await request.body()).decode()
        if not request.url.path.startswith("/v1/"):
            answer = pages.answer(self.ledger, request, body, at=stamp(clock.now()))
            await answer(scope, receive, send)
            return
        if self.ledger.knobs.slow_s:
            await asyncio.sleep(self.ledger.knobs.slow_s)
        try:
            answer = self.answer(request, body)
        except Unanswered:
            await _break_off(send)
            return
        await answer(scope, receive, send)

    def answer(self, request: Request, body: str) -> Response:
        knobs = self.ledger.knobs
        self.calls.append((request.method, request.url.path))
        if request.headers.get("authorization") != f"Bearer {self.key}":
            return _told(401, {"error": Refused(401, "Invalid API Key provided.").error})
        if knobs.hits(knobs.server_errors):
            return _told(503, {"error": {"type": "api_error", "message": "Down for a moment."}})
        if knobs.hits(knobs.nonsense):
            return Response(_nonsense(knobs.chance.randrange(4)), media_type="application/json")
        with self.ledger.lock:
            status, found, replayed = self._once(request, body)
        if request.method == "POST" and knobs.hits(knobs.unanswered):
            raise Unanswered
        return _told(status, found, {"idempotent-replayed": "true"} if replayed else None)

    def _once(self, request: Request, body: str) -> tuple[int, Thing, bool]:
        """A request with a key is carried out once; its answer is kept, whatever it is."""
        now, key = stamp(clock.now()), request.headers.get("idempotency-key", "")
        asked = (request.url.path, body)
        known = self.answered.get(key) if key and request.method == "POST" else None
        if known is not None and now - known.at < KEPT.total_seconds():
            if known.asked == asked:
                return known.status, known.body, True
            said = "Keys for idempotent requests can only be used with the same parameters."
            return 400, {"error": {"type": "idempotency_error", "message": said}}, False
        try:
            status, found = self._carry_out(request, body, now)
        except Refused as refusal:
            status, found = refusal.status, {"error": refusal.error}
        if request.method == "POST":
            if status == 200 and self.ledger.knobs.hits(self.ledger.knobs.late_errors):
                status, found = 500, {"error": {"type": "api_error", "message": "Something broke."}}
            if key and status != 400:
                self.answered[key] = Answered(asked, status, json.loads(json.dumps(found)), now)
        return status, found, False

    def _carry_out(self, request: Request, body: str, now: int) -> tuple[int, Thing]:
        call, key = _call(request)
        if call not in checks.CALLS:
            said = f"Unrecognized request URL ({request.method}: {request.url.path})."
            raise Refused(404, said)
        try:
            asked = checks.read(body if request.method == "POST" else request.url.query)
        except ValueError as error:
            raise Refused(400, f"Invalid request: {error}") from None
        issue = checks.wrong(call, asked)
        if issue is not None:
            raise Refused(400, issue.message, code=issue.code, param=issue.param)
        self.ledger.advance(now)
        expand = list(asked.get("expand", {}).values())
        found = self._done(call, key, asked, now, base=str(request.base_url).rstrip("/"))
        return 200, self.ledger.expanded(found, expand)

    def _done(self, call: tuple[str, str], key: str, asked: Thing, at: int, *, base: str) -> Thing:
        ledger, (method, path) = self.ledger, call
        if method == "GET":
            start = path.removesuffix("/{id}")
            return self._list(path, asked) if start == path else ledger.get(_KINDS[start], key)
        doors: dict[str, Callable[[], Thing]] = {
            "/v1/customers": lambda: ledger.make_customer(asked, at=at),
            "/v1/checkout/sessions": lambda: ledger.make_session(asked, at=at, base=base),
            "/v1/checkout/sessions/{id}/expire": lambda: ledger.expire(key, at=at),
            "/v1/payment_intents": lambda: ledger.make_intent(asked, at=at),
            "/v1/payment_intents/{id}/confirm": lambda: ledger.confirm(
                key, off_session=asked.get("off_session") not in {None, "false"}, at=at
            ),
            "/v1/payment_intents/{id}/cancel": lambda: ledger.cancel(key, asked, at=at),
            "/v1/refunds": lambda: ledger.make_refund(asked, at=at),
        }
        return doors[path]()

    def _list(self, path: str, asked: Thing) -> Thing:
        found = [one for one in self.ledger.every(_LISTS[path]) if matches(one, asked)]
        if "starting_after" in asked:
            names = [one["id"] for one in found]
            if asked["starting_after"] not in names:
                raise Refused(400, "No such object", code="resource_missing", param="id")
            found = found[names.index(asked["starting_after"]) + 1 :]
        size = min(100, max(1, int(asked.get("limit", _PAGE))))
        return things.listed(found[:size], path, has_more=len(found) > size)


def deliver(fake: FakeStripe, url: str) -> int:
    """Send what is owed to a listener, as the knobs let it; what it refuses is owed again."""
    delivered = 0
    with httpx2.Client(timeout=10) as client:
        for event in fake.ledger.take_owed():
            body, headers = signed(event, fake.webhook_secret, at=stamp(clock.now()))
            try:
                answer = client.post(url, content=body, headers=headers)
            except httpx2.HTTPError:
                fake.ledger.owed.append(event)
                continue
            if answer.status_code == 200:
                delivered += 1
            else:
                fake.ledger.owed.append(event)
    return delivered


def signed(event: Thing, secret: str, *, at: int) -> tuple[bytes, dict[str, str]]:
    """An event as it goes over the wire: `t=…,v1=…` over the moment and the body."""
    body = json.dumps(event)
    header = WebhookSignature.generate_signature_header(body, secret, at)
    return body.encode(), {"stripe-signature": header, "content-type": "application/json"}


def _call(request: Request) -> tuple[tuple[str, str], str]:
    """Which of the calls it is, and the name in its path."""
    path = request.url.path
    for start in sorted(_KINDS, key=len, reverse=True):
        key, slash, verb = path.removeprefix(f"{start}/").partition("/")
        if path.startswith(f"{start}/") and key:
            return (request.method, f"{start}/{{id}}{slash}{verb}"), key
    return (request.method, path), ""


def _told(status: int, body: Thing, headers: dict[str, str] | None = None) -> Response:
    return JSONResponse(body, status_code=status, headers=headers)


def _nonsense(which: int) -> bytes:
    return (b"<html>", b"[]", b'{"object": "payment_intent"}', b'"ok"')[which]


async def _break_off(send: Callable[[Any], Awaitable[None]]) -> None:
    """Announce more bytes than come: the server then closes the connection."""
    head = [(b"content-length", b"1000"), (b"content-type", b"application/json")]
    await send({"type": "http.response.start", "status": 200, "headers": head})
    with suppress(RuntimeError):  # how uvicorn says that it saw the difference
        await send({"type": "http.response.body", "body": b"{", "more_body": False})
