"""The edge: `/l/{code}` and `/aff/postback` as a raw ASGI application, in front of everything else.

The one asynchronous entry point. A click is answered after its COMMIT (see `recorder`); a postback
is kept in a transaction of its own, then understood in another, on a small pool of threads.
Here two GETs write: that is what short links and networks' calls are (docs/decisions).
"""

import asyncio
import json
import re
from collections.abc import Awaitable, Callable, MutableMapping
from concurrent.futures import ThreadPoolExecutor
from functools import lru_cache
from typing import Any
from urllib.parse import urlsplit

from sqlalchemy.exc import OperationalError

from flowlink.identity import clients
from flowlink.kernel import clock, db, ids, logs, settings
from flowlink.partners.ids import PREFIX as PARTNER
from flowlink.tracking import clicks, destinations, pages, postbacks, screening
from flowlink.tracking.clicks import Stored, Visit
from flowlink.tracking.models import Reason
from flowlink.tracking.recorder import Recorder, Unavailable
from flowlink.web import i18n

Scope = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]
Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]
Headers = dict[bytes, bytes]

LINK_PATH = "/l/"
SHORT_HOST = "short_host"
POSTBACK_PATH = "/aff/postback"
_RETRY = (b"retry-after", b"5")
_QUERY_MAX = 8 * 1024
_BODY_MAX = 64 * 1024
_CODE = re.compile(r"[A-Za-z0-9_-]{1,64}")
_PURPOSES = (b"sec-purpose", b"purpose", b"x-purpose", b"x-moz")
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


class _Gone(Exception):
    """The sender left in the middle of its request: half a postback says something else."""


class Edge:
    """The application. It opens its connection with the first click, in the loop that serves it."""

    def __init__(self) -> None:
        self._recorder: Recorder | None = None
        self._threads: ThreadPoolExecutor | None = None

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":
            await self._live(receive, send)
        elif scope["type"] == "http" and scope["path"] == POSTBACK_PATH:
            await self._postback(scope, receive, send)
        elif scope["type"] == "http":
            await self._link(scope, send)

    async def close(self) -> None:
        """Finish the clicks at hand and leave the database."""
        recorder, self._recorder = self._recorder, None
        threads, self._threads = self._threads, None
        if threads is not None:
            threads.shutdown(wait=True)
        if recorder is not None and recorder.loop is asyncio.get_running_loop():
            await recorder.close()
        elif recorder is not None:
            recorder.abandon()

    async def _live(self, receive: Receive, send: Send) -> None:
        while True:
            message = await receive()
            if message["type"] == "lifespan.startup":
                screening.warm_up()
                await send({"type": "lifespan.startup.complete"})
            else:
                await self.close()
                await send({"type": "lifespan.shutdown.complete"})
                return

    async def _link(self, scope: Scope, send: Send) -> None:
        if scope["method"] not in {"GET", "HEAD"}:
            await _page(scope, send, 405, pages.METHOD, (b"allow", b"GET, HEAD"))
            return
        try:
            stored = await self._records().record(_visit(scope))
        except Unavailable:
            await _page(scope, send, 503, pages.LATER, _RETRY)
            return
        if stored is None:
            await _page(scope, send, 404, pages.GONE)
        else:
            await _redirect(send, _location(stored, scope["query_string"]))

    def _records(self) -> Recorder:
        """The recorder of the running loop; a server that starts anew has a new loop."""
        if self._recorder is None or self._recorder.loop is not asyncio.get_running_loop():
            if self._recorder is not None:
                self._recorder.abandon()
            self._recorder = Recorder()
        return self._recorder

    async def _postback(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["method"] not in {"GET", "POST"}:
            await _json(
                send, 405, {"result": "rejected", "reason": "method"}, (b"allow", b"GET, POST")
            )
            return
        if len(scope["query_string"]) > _QUERY_MAX:
            await _json(send, 414, {"result": "rejected", "reason": "too_long"})
            return
        try:
            body = await _body(receive) if scope["method"] == "POST" else b""
        except _Gone:
            return
        if body is None:
            await _json(send, 413, {"result": "rejected", "reason": "too_large"})
            return
        if self._threads is None:
            self._threads = ThreadPoolExecutor(8, thread_name_prefix="postback")
        loop = asyncio.get_running_loop()
        request = _request(scope, body)
        status, answer = await loop.run_in_executor(self._threads, _take, request)
        extra = (_RETRY,) if status == 503 else ()
        await _json(send, status, answer, *extra)


def _take(request: postbacks.PostbackIn) -> tuple[int, dict[str, str]]:
    """Keep the postback, then understand it; what fails in the second step is not lost."""
    now = clock.now()
    try:
        with db.write() as session:
            kept = postbacks.keep(session, request=request, now=now)
        with db.write() as session:
            result = postbacks.process(session, postback_id=kept, now=now)
    except OperationalError as error:
        logs.get().warning("postback refused", error=str(error)[:200])
        return 503, {"result": "rejected", "reason": "unavailable"}
    return (401 if result.reason == postbacks.WRONG_KEY else 200), result.answer()


def _visit(scope: Scope) -> Visit:
    headers: Headers = dict(scope["headers"])
    host = scope.get("state", {}).get(SHORT_HOST, "")
    agent = headers.get(b"user-agent", b"").decode("latin-1").replace("\x00", "").strip()
    agent = agent[: screening.AGENT_LENGTH]
    purpose = next((headers[name] for name in _PURPOSES if name in headers), b"")
    reason: Reason = screening.screen(
        method=scope["method"], agent=agent, purpose=purpose.decode("latin-1")
    )
    return Visit(
        code=_code(scope["path"], host),
        host=host,
        at=clock.now(),
        address=_address(scope, headers),
        agent=agent,
        referrer=_host(headers.get(b"referer", b"").decode("latin-1")),
        reason=reason,
    )


def _code(path: str, host: str) -> str:
    """The code of a link, or nothing when it cannot be one of ours.

    A host of its own needs no `/l/` before the code, but old links may have it.

    Content's assets will answer here too (`/l/{asset_id}?pid=`): until they exist nobody has one.
    """
    code = path.removeprefix(LINK_PATH).removesuffix("/")
    code = code.removeprefix("/") if host else code
    return code if _CODE.fullmatch(code) else ""


def _location(stored: Stored, query: bytes) -> str:
    target = stored.target
    macros = {
        "click_id": clicks.token_of(stored),
        "link": target.code,
        "base_url": settings.current().url,
    }
    if "{partner}" in stored.destination:
        macros["partner"] = ids.public(PARTNER, target.partner_id)
    return destinations.build(
        stored.destination,
        click_param=target.click_param,
        macros=macros,
        visitor_query=query.decode("latin-1"),
    )


def _address(scope: Scope, headers: Headers) -> str:
    peer = scope["client"][0] if scope.get("client") else ""
    forwarded = headers.get(b"x-forwarded-for", b"").decode("latin-1")
    return _client(peer, forwarded[-400:], settings.current().trusted_proxies)


@lru_cache(maxsize=10_000)
def _client(peer: str, forwarded: str, trusted: tuple[str, ...]) -> str:
    return clients.network_of(clients.client_ip(peer, forwarded, trusted))


@lru_cache(maxsize=10_000)
def _host(referrer: str) -> str:
    """The host that linked to us: more of the visitor's way is not ours to keep."""
    try:
        host = urlsplit(referrer[:1000]).hostname or ""
    except ValueError:
        return ""
    return host.replace("\x00", "")[:253]


def _request(scope: Scope, body: bytes) -> postbacks.PostbackIn:
    headers: Headers = dict(scope["headers"])
    peer = scope["client"][0] if scope.get("client") else ""
    forwarded = headers.get(b"x-forwarded-for", b"").decode("latin-1")
    return postbacks.PostbackIn(
        method=scope["method"],
        query=scope["query_string"].decode("latin-1"),
        content_type=headers.get(b"content-type", b"").decode("latin-1")[:200],
        body=body,
        address=clients.client_ip(peer, forwarded, settings.current().trusted_proxies),
    )


async def _body(receive: Receive) -> bytes | None:
    """The whole body, or nothing when it is absurdly large."""
    chunks: list[bytes] = []
    size = 0
    while True:
        message = await receive()
        if message["type"] != "http.request":
            raise _Gone
        chunks.append(message.get("body", b""))
        size += len(chunks[-1])
        if size > _BODY_MAX:
            return None
        if not message.get("more_body"):
            return b"".join(chunks)


async def _redirect(send: Send, location: str) -> None:
    headers = [
        (b"location", location.encode("ascii")),
        (b"cache-control", b"no-store"),
        (b"content-length", b"0"),
    ]
    await send({"type": "http.response.start", "status": 302, "headers": headers})
    await send({"type": "http.response.body", "body": b""})


async def _page(
    scope: Scope, send: Send, status: int, kind: str, *extra: tuple[bytes, bytes]
) -> None:
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


async def _json(
    send: Send, status: int, answer: dict[str, str], *extra: tuple[bytes, bytes]
) -> None:
    body = json.dumps(answer).encode()
    headers = [
        (b"content-type", b"application/json"),
        (b"cache-control", b"no-store"),
        (b"content-length", str(len(body)).encode()),
        *extra,
    ]
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": body})


app = Edge()


async def close() -> None:
    """End the edge of this process well."""
    await app.close()
