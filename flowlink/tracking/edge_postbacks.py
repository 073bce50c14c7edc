"""Postbacks at the edge: what is read of the request, and how the batch's word is answered.

What a postback means is decided by the same synchronous functions that the replay and the dry run
use (see `intake`). (Part of the edge: async.)
"""

import asyncio
from collections.abc import Awaitable, Callable
from functools import lru_cache

from flowlink.identity import clients
from flowlink.kernel import settings
from flowlink.tracking import intake, postbacks
from flowlink.tracking.edge_answers import RETRY, Headers, Receive, Scope, Send, answer_json
from flowlink.tracking.intake import Intake
from flowlink.tracking.postbacks import PostbackIn, PostbackResult

UNAVAILABLE = {"result": "rejected", "reason": "unavailable"}
QUERY_MAX = 8 * 1024
_BODY_MAX = 64 * 1024

Answer = tuple[int, dict[str, str]]
Accept = Callable[[PostbackIn], Awaitable[Answer]]


class _Gone(Exception):
    """The sender left in the middle of its request: half a postback says something else."""


class Inbox:
    """Takes postbacks, in batches of the loop that serves them."""

    def __init__(self) -> None:
        self._intake: Intake | None = None

    async def close(self) -> None:
        """Finish the postbacks at hand."""
        taking, self._intake = self._intake, None
        if taking is not None and taking.loop is asyncio.get_running_loop():
            await taking.close()
        elif taking is not None:
            taking.abandon()

    async def take(
        self, scope: Scope, receive: Receive, send: Send, *, accept: Accept | None = None
    ) -> None:
        """Answer one postback, once it is kept and understood; or once somebody has accepted it."""
        if scope["method"] not in {"GET", "POST"}:
            await answer_json(
                send, 405, {"result": "rejected", "reason": "method"}, (b"allow", b"GET, POST")
            )
            return
        if len(scope["query_string"]) > QUERY_MAX:
            await answer_json(send, 414, {"result": "rejected", "reason": "too_long"})
            return
        try:
            body = await _body(receive) if scope["method"] == "POST" else b""
        except _Gone:
            return
        if body is None:
            await answer_json(send, 413, {"result": "rejected", "reason": "too_large"})
            return
        try:
            status, words = await (accept or self._settle)(_request(scope, body))
        except intake.Unavailable:
            await answer_json(send, 503, UNAVAILABLE, RETRY)
            return
        await answer_json(send, status, words)

    async def _settle(self, request: PostbackIn) -> Answer:
        result = await self.batches().take(request)
        return status_of(result), result.answer()

    def batches(self) -> Intake:
        """The intake of the running loop; a server that starts anew has a new loop."""
        if self._intake is None or self._intake.loop is not asyncio.get_running_loop():
            if self._intake is not None:
                self._intake.abandon()
            self._intake = Intake()
        return self._intake


def status_of(result: PostbackResult) -> int:
    """401 for a wrong key only: networks stop sending after other words than 200 (spec 3)."""
    return 401 if result.reason == postbacks.WRONG_KEY else 200


def sender(peer: str, forwarded: bytes) -> str:
    """Whose address the request comes from."""
    said = forwarded.decode("latin-1")[-400:]
    return _sender(peer, said, settings.current().trusted_proxies)


def _request(scope: Scope, body: bytes) -> PostbackIn:
    headers: Headers = dict(scope["headers"])
    peer = scope["client"][0] if scope.get("client") else ""
    return PostbackIn(
        method=scope["method"],
        query=scope["query_string"].decode("latin-1"),
        content_type=headers.get(b"content-type", b"").decode("latin-1")[:200],
        body=body,
        address=sender(peer, headers.get(b"x-forwarded-for", b"")),
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


@lru_cache(maxsize=10_000)
def _sender(peer: str, forwarded: str, trusted: tuple[str, ...]) -> str:
    return clients.client_ip(peer, forwarded, trusted)
