"""What stands round every request: id, language, theme, cross-site guard, size, headers."""

import re
import secrets
import time
from collections.abc import Mapping
from urllib.parse import parse_qs, urlsplit

import structlog
from fastapi import FastAPI, Request
from starlette.datastructures import Headers, MutableHeaders
from starlette.exceptions import HTTPException
from starlette.requests import cookie_parser
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from flowlink.kernel import logs, settings
from flowlink.kernel.errors import Forbidden
from flowlink.web import errors, i18n
from flowlink.web.headers import is_keyed, protect

LARGEST_BODY_BYTES = 1_048_576
THEMES = ("auto", "light", "dark")
_SAFE = {"GET", "HEAD", "OPTIONS"}
_EXEMPT = ("/aff/postback", "/webhooks/")
_BARE = re.compile(rb"[\x80-\xff]")
_REQUEST_ID = re.compile(r"[A-Za-z0-9_-]{8,64}")
_YEAR_S = 31_536_000


class CrossSite(Forbidden):
    message = "This was sent from another site, so we did nothing."


class TooLarge(HTTPException):
    """More bytes than we read; raised while the body is being read."""

    def __init__(self) -> None:
        super().__init__(413)


def install(app: FastAPI) -> None:
    """Put the whole stack in front of `app`."""
    app.add_middleware(Stack)


class Stack:
    """One pass over each request, and over the head of its answer."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        headers = Headers(scope=scope)
        cookies = _prepare(scope, headers)
        structlog.contextvars.bind_contextvars(request_id=scope["state"]["request_id"])
        started = time.perf_counter()

        async def send_protected(message: Message) -> None:
            if message["type"] == "http.response.start":
                sent = MutableHeaders(scope=message)
                protect(scope, sent)
                for cookie in cookies:
                    sent.append("set-cookie", cookie)
                _log(scope, message["status"], started)
            elif scope["method"] == "HEAD":
                message = {**message, "body": b""}
            await send(message)

        try:
            await self._guarded(scope, headers, receive, send_protected)
        finally:
            structlog.contextvars.unbind_contextvars("request_id")

    async def _guarded(self, scope: Scope, headers: Headers, receive: Receive, send: Send) -> None:
        request = Request(scope, receive)
        if is_cross_site(scope["method"], scope["path"], headers):
            answer = errors.respond(request, CrossSite())
            await answer(scope, receive, send)
        elif _announced_bytes(headers) > LARGEST_BODY_BYTES:
            answer = errors.too_large(request)
            await answer(scope, receive, send)
        else:
            read = _escaped(_counted(receive)) if _is_form(scope, headers) else _counted(receive)
            await self.app(_answered_as_get(scope), read, send)


def is_cross_site(method: str, path: str, headers: Headers) -> bool:
    """Whether another site made a browser send this unsafe request (spec 1.3).

    Both headers are believed when they accuse. A request with neither does not come from a
    browser; one with a key in a header cannot be made by another site.
    """
    if method in _SAFE or path.startswith(_EXEMPT) or is_keyed(headers):
        return False
    site = headers.get("sec-fetch-site", "none")
    if site not in {"same-origin", "none"}:
        return True
    origin = headers.get("origin")
    if origin is None:
        return False
    ours = {headers.get("host", ""), urlsplit(settings.current().base_url).netloc}
    return urlsplit(origin).netloc not in ours - {""}


def _prepare(scope: Scope, headers: Headers) -> list[str]:
    """Write into the request's state what the rest of the house reads; returns cookies to set."""
    query = parse_qs(scope["query_string"].decode("latin-1"))
    kept = _cookies(headers)
    asked = {name: query.get(name, [""])[-1] for name in ("lang", "theme")}
    lang = i18n.negotiate(
        asked=asked["lang"],
        kept=kept.get("lang"),
        accepted=headers.get("accept-language", ""),
    )
    theme = next((t for t in (asked["theme"], kept.get("theme")) if t in THEMES), "auto")
    given = headers.get("x-request-id", "")
    scope["state"] = {
        **scope.get("state", {}),
        "request_id": given if _REQUEST_ID.fullmatch(given) else f"req_{secrets.token_hex(10)}",
        "csp_nonce": secrets.token_urlsafe(16),
        "lang": lang,
        "theme": theme,
        "viewer": None,
    }
    chosen = {"lang": lang, "theme": theme}
    return [_cookie(name, chosen[name]) for name in asked if asked[name] == chosen[name]]


def _cookies(headers: Headers) -> Mapping[str, str]:
    return cookie_parser(headers.get("cookie", ""))


def _cookie(name: str, value: str) -> str:
    secure = "; Secure" if settings.current().base_url.startswith("https://") else ""
    return f"{name}={value}; Path=/; Max-Age={_YEAR_S}; SameSite=Lax{secure}"


def _answered_as_get(scope: Scope) -> Scope:
    """Whatever answers GET answers HEAD (RFC 9110, 9.3.2); the body is dropped on its way out."""
    return {**scope, "method": "GET"} if scope["method"] == "HEAD" else scope


def _announced_bytes(headers: Headers) -> int:
    length = headers.get("content-length", "")
    return int(length) if length.isdecimal() else 0


def _counted(receive: Receive) -> Receive:
    """`receive`, giving up when the body grows beyond what we read."""
    total = 0

    async def receive_counted() -> Message:
        nonlocal total
        message = await receive()
        total += len(message.get("body", b""))
        if total > LARGEST_BODY_BYTES:
            raise TooLarge
        return message

    return receive_counted


def _is_form(scope: Scope, headers: Headers) -> bool:
    """A form that people fill in; what networks and providers send stays as it came."""
    sent = headers.get("content-type", "")
    return sent.startswith("application/x-www-form-urlencoded") and not scope["path"].startswith(
        _EXEMPT
    )


def _escaped(receive: Receive) -> Receive:
    """`receive`, with each byte beyond ASCII as `%C3`: scripts send UTF-8 bare (WHATWG URL)."""

    async def receive_escaped() -> Message:
        message = await receive()
        if body := message.get("body", b""):
            message = {**message, "body": _BARE.sub(lambda one: b"%%%02X" % one[0][0], body)}
        return message

    return receive_escaped


def _log(scope: Scope, status: int, started: float) -> None:
    """One line a request. Never its query: links to sign in carry their token there."""
    spent_ms = round((time.perf_counter() - started) * 1000, 1)
    logs.get("flowlink.web").info(
        "answered", method=scope["method"], path=scope["path"], status=status, ms=spent_ms
    )
