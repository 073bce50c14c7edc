"""Postbacks at the edge: kept in a transaction of its own, then understood in another.

On a small pool of threads: what a postback means is decided by the same synchronous functions that
the replay and the dry run use. (Part of the edge: async.)
"""

import asyncio
from concurrent.futures import ThreadPoolExecutor

from sqlalchemy.exc import OperationalError

from flowlink.identity import clients
from flowlink.kernel import clock, db, logs, settings
from flowlink.tracking import postbacks
from flowlink.tracking.edge_answers import RETRY, Headers, Receive, Scope, Send, answer_json

_QUERY_MAX = 8 * 1024
_BODY_MAX = 64 * 1024
_THREADS = 8


class _Gone(Exception):
    """The sender left in the middle of its request: half a postback says something else."""


class Inbox:
    """Takes postbacks. Its threads start with the first one."""

    def __init__(self) -> None:
        self._threads: ThreadPoolExecutor | None = None

    def close(self) -> None:
        """Finish the postbacks at hand."""
        threads, self._threads = self._threads, None
        if threads is not None:
            threads.shutdown(wait=True)

    async def take(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one postback, once it is kept and understood."""
        if scope["method"] not in {"GET", "POST"}:
            await answer_json(
                send, 405, {"result": "rejected", "reason": "method"}, (b"allow", b"GET, POST")
            )
            return
        if len(scope["query_string"]) > _QUERY_MAX:
            await answer_json(send, 414, {"result": "rejected", "reason": "too_long"})
            return
        try:
            body = await _body(receive) if scope["method"] == "POST" else b""
        except _Gone:
            return
        if body is None:
            await answer_json(send, 413, {"result": "rejected", "reason": "too_large"})
            return
        if self._threads is None:
            self._threads = ThreadPoolExecutor(8, thread_name_prefix="postback")
        loop = asyncio.get_running_loop()
        request = _request(scope, body)
        status, answer = await loop.run_in_executor(self._threads, _take, request)
        extra = (RETRY,) if status == 503 else ()
        await answer_json(send, status, answer, *extra)


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
