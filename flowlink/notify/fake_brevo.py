"""Brevo's transactional API on one's own machine: an ASGI app with the same words and refusals.

Covers POST /v3/smtp/email: the key, the fields without which Brevo refuses, the idempotency key.
Answers are scripted through `next_answers`, as an outage would give them.
"""

import json
from collections import deque
from dataclasses import dataclass, field
from typing import Any

from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.types import Receive, Scope, Send

PATH = "/v3/smtp/email"


@dataclass
class FakeBrevo:
    """Keeps what it took over in `taken`, oldest first."""

    api_key: str
    taken: list[dict[str, Any]] = field(default_factory=list)
    next_answers: deque[Response] = field(default_factory=deque)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http":
            request = Request(scope, receive)
            answer = self._answer(request, await request.body())
            await answer(scope, receive, send)

    def _answer(self, request: Request, body: bytes) -> Response:
        if self.next_answers:
            return self.next_answers.popleft()
        if (request.method, request.url.path) != ("POST", PATH):
            return refusal(404, "document_not_found", "Route not found")
        if request.headers.get("api-key") != self.api_key:
            return refusal(401, "unauthorized", "Key not found")
        try:
            mail = json.loads(body)
        except ValueError:
            return refusal(400, "bad_request", "Input must be a valid JSON object")
        return self._take(mail)

    def _take(self, mail: dict[str, Any]) -> Response:
        for name in ("sender", "to", "subject"):
            if not mail.get(name):
                return refusal(400, "missing_parameter", f"{name} is missing")
        if not (mail.get("htmlContent") or mail.get("textContent")):
            return refusal(400, "missing_parameter", "htmlContent is missing")
        if not all("@" in reader.get("email", "") for reader in mail["to"]):
            return refusal(400, "invalid_parameter", "email is not valid in to")
        if _key(mail) and _key(mail) in map(_key, self.taken):
            return refusal(400, "duplicate_request", "Request with this idempotencyKey was done")
        self.taken.append(mail)
        reference = f"<{len(self.taken)}@smtp-relay.mailin.fr>"
        return JSONResponse({"messageId": reference}, status_code=201)


def _key(mail: dict[str, Any]) -> str:
    return str(mail.get("headers", {}).get("idempotencyKey", ""))


def refusal(status: int, code: str, message: str) -> JSONResponse:
    """A refusal as Brevo words it."""
    return JSONResponse({"code": code, "message": message}, status_code=status)
