"""The short way for plain postbacks, beside that for clicks (`edge_protocol`).

A whole, ordinary GET that arrives in one piece goes straight into the batch at hand, and is
answered when that is on disk. It saves what a request costs before anybody reads it: a task, a
scope, messages. What a postback means is decided where it always is (`postbacks.receive_all`).
Other methods, requests with a body or in pieces, other hosts, anything unusual: uvicorn takes them
as ever.
"""

import re
from http import HTTPStatus
from typing import ClassVar

from flowlink.kernel import logs
from flowlink.tracking import domains, edge_postbacks, wiring
from flowlink.tracking.edge_answers import RETRY, json_answer
from flowlink.tracking.edge_protocol import HEADERS, EdgeProtocol
from flowlink.tracking.intake import Outcome, Unavailable
from flowlink.tracking.models import Result
from flowlink.tracking.postbacks import PostbackIn, PostbackResult

_POSTBACK = re.compile(
    rb"GET /aff/postback\?([!$-~]{1,%d}) HTTP/1\.1" % edge_postbacks.QUERY_MAX + HEADERS
)
_FIELDS = re.compile(
    rb"\n(host|connection|x-forwarded-for"
    rb"|content-type|content-length|transfer-encoding|upgrade|expect):[ \t]*([^\r]*)",
    re.IGNORECASE,
)
_UNUSUAL = {b"content-type", b"content-length", b"transfer-encoding", b"upgrade", b"expect"}
_BROKEN = b"HTTP/1.1 500 Internal Server Error\r\nconnection: close\r\ncontent-length: 0\r\n\r\n"

_Headers = list[tuple[bytes, bytes]]


class InboxProtocol(EdgeProtocol):
    """One connection. At most one click or postback of it is under way here."""

    def _take(self, data: bytes) -> bool:
        return super()._take(data) or self._take_postback(data)

    def _take_postback(self, data: bytes) -> bool:
        """Take a plain postback; False for anything else."""
        request = _POSTBACK.fullmatch(data)
        edge = self.edge
        if request is None or wiring.over_nats() or not edge.takes_clicks(self.loop):
            return False
        query, lines = request.groups()
        found = _FIELDS.findall(lines)
        headers = {name.lower(): value.rstrip() for name, value in found}
        if len(headers) < len(found) or not _UNUSUAL.isdisjoint(headers):
            return False
        if headers.get(b"connection", b"keep-alive").lower() != b"keep-alive":
            return False
        host = headers.get(b"host", b"").decode("latin-1").lower()
        batches = edge.inbox.batches()
        if not host or (edge.domains() and host != domains.own_host()) or not batches.has_room:
            return False
        peer = self.client[0] if self.client else ""
        address = edge_postbacks.sender(peer, headers.get(b"x-forwarded-for", b""))
        self._pending = True
        self._active_at = self.loop.time()
        batches.submit(PostbackIn("GET", query.decode("latin-1"), "", b"", address), self._tell)
        return True

    def _tell(self, outcome: Outcome) -> None:
        """Answer the postback at hand."""
        if isinstance(outcome, (PostbackResult, Unavailable)):
            self.respond(_Answers.to(outcome, self.server_state.default_headers))
        else:
            logs.get().error("postback failed", exc_info=outcome)
            self._closing = True
            self.respond(_BROKEN)


class _Answers:
    """Every answer that was given lately, made anew when the server's date changes."""

    made_of: object = None
    known: ClassVar[dict[tuple[Result, str | None] | None, bytes]] = {}

    @classmethod
    def to(cls, outcome: PostbackResult | Unavailable, default_headers: _Headers) -> bytes:
        if cls.made_of is not default_headers:
            cls.made_of, cls.known = default_headers, {}
        name = (outcome.result, outcome.reason) if isinstance(outcome, PostbackResult) else None
        if name not in cls.known:
            cls.known[name] = _written(outcome, default_headers)
        return cls.known[name]


def _written(outcome: PostbackResult | Unavailable, default_headers: _Headers) -> bytes:
    """The same answer as the long way gives."""
    if isinstance(outcome, PostbackResult):
        status = edge_postbacks.status_of(outcome)
        headers, body = json_answer(outcome.answer())
    else:
        status = 503
        headers, body = json_answer(edge_postbacks.UNAVAILABLE, RETRY)
    head = [b"HTTP/1.1 %d %s" % (status, HTTPStatus(status).phrase.encode())]
    head += [name + b": " + value for name, value in (*default_headers, *headers)]
    return b"\r\n".join(head) + b"\r\n\r\n" + body
