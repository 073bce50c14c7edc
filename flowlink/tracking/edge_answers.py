"""What the edge answers with: redirects, pages rendered once a language, a network's JSON."""

import json
import re
from collections.abc import Awaitable, Callable, Mapping, MutableMapping
from typing import Any

from flowlink.tracking import pages
from flowlink.web import i18n

Scope = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]
Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]
Headers = dict[bytes, bytes]

RETRY = (b"retry-after", b"5")
_POLICY = (
    b"default-src 'none'; style-src 'self'; font-src 'self'; img-src 'self'; "
    b"base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)
_PAGE_HEADERS = (
    (b"content-type", b"text/html; charset=utf-8"),
    (b"cache-control", b"no-store"),
    (b"vary", b"accept-language, cookie"),
    (b"x-content-type-options", b"nosniff"),
    (b"referrer-policy", b"no-referrer"),
    (b"content-security-policy", _POLICY),
)


async def redirect(send: Send, location: bytes) -> None:
    """Send a visitor on, and let nobody keep the answer."""
    headers = [
        (b"location", location),
        (b"cache-control", b"no-store"),
        (b"content-length", b"0"),
    ]
    await send({"type": "http.response.start", "status": 302, "headers": headers})
    await send({"type": "http.response.body", "body": b""})


async def page(
    scope: Scope, send: Send, status: int, kind: str, *extra: tuple[bytes, bytes]
) -> None:
    """One of `pages`, in the visitor's language."""
    body = pages.page(kind, _language(dict(scope["headers"]), scope["query_string"]))
    headers = [*_PAGE_HEADERS, *extra, (b"content-length", str(len(body)).encode())]
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": b"" if scope["method"] == "HEAD" else body})


def _language(headers: Headers, query: bytes) -> str:
    asked = re.search(rb"(?:^|&)lang=([a-z]{2})(?:&|$)", query)
    kept = re.search(rb"(?:^|;\s*)lang=([a-z]{2})(?:;|$)", headers.get(b"cookie", b""))
    return i18n.negotiate(
        asked=asked[1].decode() if asked else None,
        kept=kept[1].decode() if kept else None,
        accepted=headers.get(b"accept-language", b"").decode("latin-1")[:200],
    )


async def answer_text(scope: Scope, send: Send, text: str) -> None:
    """A word for whoever looks after this process."""
    body = text.encode()
    headers = [
        (b"content-type", b"text/plain; charset=utf-8"),
        (b"cache-control", b"no-store"),
        (b"content-length", str(len(body)).encode()),
    ]
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    await send({"type": "http.response.body", "body": b"" if scope["method"] == "HEAD" else body})


async def answer_json(
    send: Send, status: int, answer: Mapping[str, object], *extra: tuple[bytes, bytes]
) -> None:
    """A few words for a program."""
    headers, body = json_answer(answer, *extra)
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": body})


def json_answer(
    answer: Mapping[str, object], *extra: tuple[bytes, bytes]
) -> tuple[list[tuple[bytes, bytes]], bytes]:
    """Its headers and body."""
    body = json.dumps(answer).encode()
    headers = [
        (b"content-type", b"application/json"),
        (b"cache-control", b"no-store"),
        (b"content-length", str(len(body)).encode()),
        *extra,
    ]
    return headers, body
