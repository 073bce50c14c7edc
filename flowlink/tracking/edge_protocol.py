"""The short way for plain clicks: uvicorn's HTTP protocol with a fast lane in front of it.

A whole, ordinary GET or HEAD of a known link that arrives in one piece is answered right here, once
its batch is on disk: no task, no scope, no message. Everything else (other paths, bodies, unknown
codes, requests in pieces or in a row, anything unusual) goes through uvicorn as ever, so the lane
needs to understand no more of HTTP than it accepts.
"""

import asyncio
import re
from collections.abc import Mapping
from functools import lru_cache
from typing import Any

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from flowlink.kernel import clock
from flowlink.tracking import domains, visits
from flowlink.tracking.edge import Edge, address, app as the_edge

_END = b"\r\n\r\n"
# The rest of a request, all of it: nothing but printable characters and whole line ends.
HEADERS = rb"(\r\n(?:[!-9;-~]+:[\t -~\x80-\xff]*\r\n)+)\r\n"
_CLICK = re.compile(
    rb"(GET|HEAD) /(l/)?([A-Za-z0-9_-]{1,64})/?(?:\?([!$-~]*))? HTTP/1\.1" + HEADERS
)
# The headers that a click is told from, and those that make a request more than a plain one.
_FIELDS = re.compile(
    rb"\n(user-agent|referer|x-forwarded-for|host|connection"
    rb"|sec-purpose|purpose|x-purpose|x-moz"
    rb"|content-length|transfer-encoding|upgrade|expect):[ \t]*([^\r]*)",
    re.IGNORECASE,
)
_UNUSUAL = {b"content-length", b"transfer-encoding", b"upgrade", b"expect"}
_HOST_MAX = 300
_QUERY_MAX = 4096

Answer = tuple["EdgeProtocol", bytes, bytes]


class EdgeProtocol(HttpToolsProtocol):
    """One connection. At most one click of it is under way; what comes meanwhile waits."""

    edge: Edge = the_edge

    def __init__(self, *arguments: Any, **named: Any) -> None:
        super().__init__(*arguments, **named)
        self._between = True
        self._pending = False
        self._closing = False
        self._late = b""
        self._active_at = 0.0

    def data_received(self, data: bytes) -> None:
        if self._pending:
            self._late += data
            self.flow.pause_reading()
        elif not (self._between and self._take(data)):
            super().data_received(data)

    def on_message_begin(self) -> None:
        self._between = False
        super().on_message_begin()

    def on_response_complete(self) -> None:
        # The cycle at hand is over and no other waits: the next byte begins a message.
        self._between = not self.pipeline and not self.cycle.more_body
        super().on_response_complete()

    def shutdown(self) -> None:
        if self._pending:
            self._closing = True
        else:
            super().shutdown()

    def timeout_keep_alive_handler(self) -> None:
        """Close when nothing came for a while: clicks do not set the clock anew each time."""
        left = self._active_at + self.timeout_keep_alive - self.loop.time()
        if self._pending or left > 0:
            self._await_more(max(left, 1.0))
        else:
            super().timeout_keep_alive_handler()

    def respond(self, answer: bytes) -> None:
        """Send what the click at hand is answered with, then see to what came meanwhile."""
        self._pending = False
        if self.transport.is_closing():
            return
        self.transport.write(answer)
        if self._closing:
            self.transport.close()
            return
        if self.timeout_keep_alive_task is None:
            self._await_more(self.timeout_keep_alive)
        if self._late:
            late, self._late = self._late, b""
            self.flow.resume_reading()
            self.data_received(late)

    def _await_more(self, seconds: float) -> None:
        self.timeout_keep_alive_task = self.loop.call_later(
            seconds, self.timeout_keep_alive_handler
        )

    def _take(self, data: bytes) -> bool:
        """Take a plain click of a known link; False for anything else."""
        request = _CLICK.fullmatch(data)
        edge = self.edge
        if request is None or not edge.takes_clicks(self.loop):
            return False
        method, behind_l, code, query, lines = request.groups()
        headers = {name.lower(): value for name, value in _FIELDS.findall(lines)}
        if not _UNUSUAL.isdisjoint(headers):
            return False
        host = _host(headers, edge.domains())
        connection = headers.get(b"connection")
        if connection is not None and connection.lower() != b"keep-alive":
            return False
        if host is None or (not host and behind_l is None) or (query and len(query) > _QUERY_MAX):
            return False
        now_ms = clock.unix_ms()
        found = edge.known(host, code.decode())
        if found is None or not found.is_live(now_ms):
            return False
        peer = self.client[0] if self.client else ""
        visitor = visits.visitor(method.decode(), headers, peer=peer)
        number, record = edge.click(found, visitor, unix_ms=now_ms, query=query or b"")
        location = address(found, visitor, number=number, query=query or b"")
        self._pending = True
        self._active_at = self.loop.time()
        lane(edge).send(self, _head(self.server_state.default_headers) + location + _END, record)
        return True


class Lane:
    """Answers that wait for the same batch, sent together when it is down."""

    def __init__(self, edge: Edge) -> None:
        self._edge = edge
        self._batch: object = None
        self._answers: list[Answer] = []
        self._tasks: set[asyncio.Task[None]] = set()

    def send(self, protocol: EdgeProtocol, answer: bytes, record: bytes) -> None:
        """Write the record down, then answer."""
        assert self._edge.recording is not None
        batch = self._edge.recording.append(record)
        if batch is None:
            self._rescue([(protocol, answer, record)])
            return
        if batch is not self._batch:
            self._batch, self._answers = batch, []
            answers = self._answers
            batch.add_done_callback(lambda done: self._landed(done, answers))
        self._answers.append((protocol, answer, record))

    def _landed(self, batch: "asyncio.Future[None]", answers: list[Answer]) -> None:
        if batch is self._batch:
            self._batch = None
        if batch.exception() is not None:
            self._rescue(answers)
            return
        for protocol, answer, _ in answers:
            protocol.respond(answer)

    def _rescue(self, answers: list[Answer]) -> None:
        """Go the long way, each for itself: it is rare, and bounded by the recorder."""
        for one in answers:
            task = asyncio.get_running_loop().create_task(self._saved(*one))
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)

    async def _saved(self, protocol: EdgeProtocol, answer: bytes, record: bytes) -> None:
        assert self._edge.recording is not None
        await self._edge.recording.rescue(record)
        protocol.respond(answer)


@lru_cache(maxsize=4)
def lane(edge: Edge) -> Lane:
    """The lane of an edge."""
    return Lane(edge)


def _host(headers: Mapping[bytes, bytes], listed: Mapping[str, bool]) -> str | None:
    """The domain for short links that was asked for; nothing for our own host, None without one."""
    named = headers.get(b"host")
    if not named or len(named) > _HOST_MAX:
        return None
    if not listed:
        return ""
    host = named.decode("latin-1").strip().lower()
    if host == domains.own_host():
        return ""
    bare = host.partition(":")[0]
    return next((name for name in (host, bare) if name in listed), "")


class _Heads:
    """The start of every redirect, made anew when the server's date changes."""

    made_of: object = None
    head = b""


def _head(default_headers: list[tuple[bytes, bytes]]) -> bytes:
    if _Heads.made_of is not default_headers:
        _Heads.made_of = default_headers
        lines = [b"HTTP/1.1 302 Found", *(name + b": " + value for name, value in default_headers)]
        lines += [b"cache-control: no-store", b"content-length: 0", b"location: "]
        _Heads.head = b"\r\n".join(lines)
    return _Heads.head
