"""The lane for postbacks, over real sockets: the same rows and words as the long way."""

import re
import socket
from collections.abc import Iterator

import pytest

from flowlink.app import server
from flowlink.kernel import clock, db
from flowlink.tracking import domains, edge_postbacks, settling
from flowlink.tracking.postback_lane import InboxProtocol
from tests.factories import free_port
from tests.tracking.makers import BROWSER, Shop, ask, committed_shop, make_click, postback

HOST = "go.example.org"
OK, AGAIN = b'{"result": "ok"}', b'{"result": "duplicate", "reason": "already_known"}'
SECOND = "Connection: keep-alive, x"  # which the lane leaves alone


class Line:
    """A connection of a network, and which of its requests the lane took."""

    def __init__(self, made: socket.socket, taken: list[bool]) -> None:
        self.socket, self.taken = made, taken

    def ask(self, data: bytes) -> tuple[bytes, bytes]:
        """Head and body of the answer; broken off when it is closed."""
        self.socket.sendall(data)
        received = b""
        while not (match := re.search(rb"(?i)content-length: (\d+)[^~]*?\r\n\r\n", received)) or (
            len(received) < match.end() + int(match[1])
        ):
            more = self.socket.recv(65536)
            assert more, f"closed after {received!r}"
            received += more
        head, _, body = received.partition(b"\r\n\r\n")
        return head, body

    def send(self, query: str, *lines: str, host: str = "testserver") -> tuple[bytes, bytes]:
        return self.ask(get(f"/aff/postback?{query}", *lines, host=host))


def get(path: str, *lines: str, host: str = "testserver", method: str = "GET") -> bytes:
    head = [f"{method} {path} HTTP/1.1", f"Host: {host}", f"User-Agent: {BROWSER}", *lines]
    return "\r\n".join([*head, "", ""]).encode("latin-1")


@pytest.fixture
def shop(database: str) -> Shop:
    return committed_shop(slug="summer")


@pytest.fixture
def subid(shop: Shop) -> str:
    with db.write() as session:
        return make_click(session, shop, clock.now())


@pytest.fixture
def line(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> Iterator[Line]:
    port = free_port()
    taken: list[bool] = []
    take = InboxProtocol._take_postback

    def watched(self: InboxProtocol, data: bytes) -> bool:
        taken.append(take(self, data))
        return taken[-1]

    monkeypatch.setattr(InboxProtocol, "_take_postback", watched)
    with (
        server.in_thread(port=port),
        socket.create_connection(("127.0.0.1", port), timeout=20) as made,
    ):
        opened = Line(made, taken)
        assert b" 302 " in opened.ask(get("/l/summer"))[0]  # opens the edge, the long way
        taken.clear()
        yield opened


def test_both_ways_answer_and_keep_the_same(line: Line, shop: Shop, subid: str) -> None:
    named = {"subid": subid, "amount": "10", "status": "approved"}
    forwarded = "X-Forwarded-For: 198.51.100.7"

    quick = line.send(postback(shop, **named, txn_id="t1"), forwarded)
    slow = line.send(postback(shop, **named, txn_id="t2"), forwarded, SECOND)
    again = line.send(postback(shop, **named, txn_id="t1"))

    assert line.taken == [True, False, True]
    assert (quick[1], slow[1], again[1]) == (OK, OK, AGAIN)
    assert sorted(quick[0].lower().split(b"\r\n")) == sorted(slow[0].lower().split(b"\r\n"))
    kinds = (
        "SELECT count(DISTINCT (method, replace(query, 't2', 't1'), content_type, body, address,"
        " key_ok, result)) FROM tracking_postback"
    )
    assert ask(kinds) == [(2,)]  # the third came without a proxy's word, and was a duplicate
    assert ask("SELECT status, amount_micro FROM tracking_conversion") == [
        ("approved", 10_000_000),
        ("approved", 10_000_000),
    ]
    assert ask("SELECT count(*) FROM tracking_postback WHERE query LIKE '%key=***%'") == [(3,)]


def test_a_wrong_key_is_401(line: Line, subid: str) -> None:
    head, body = line.send(f"network=direct&key=nobody&subid={subid}&amount=1")

    assert line.taken == [True]
    assert head.startswith(b"HTTP/1.1 401 Unauthorized\r\n")
    assert body == b'{"result": "rejected", "reason": "wrong_key"}'


@pytest.mark.parametrize(
    "request_",
    [
        get("/aff/postback?x=1", "Content-Length: 0"),
        get("/aff/postback?x=1", "Content-Type: text/plain"),
        get("/aff/postback?x=1", "Host: other"),
        get("/aff/postback?x=1", method="DELETE"),
        get("/aff/postback"),
        get(f"/aff/postback?{'y' * (edge_postbacks.QUERY_MAX + 1)}"),
    ],
)
def test_what_is_unusual_goes_the_long_way(line: Line, request_: bytes) -> None:
    head, _ = line.ask(request_)

    assert re.match(rb"HTTP/1.1 (200|401|404|405|414) ", head)
    assert not any(line.taken)


def test_a_short_host_takes_no_postbacks(line: Line, shop: Shop, subid: str) -> None:
    with db.write() as session:
        domains.add(session, host=HOST, actor="test", now=clock.now())

    for _ in range(200):
        head, _ = line.send(postback(shop, subid=subid, amount="1"), host=HOST)
        if b" 404 " in head:
            break

    assert b" 404 " in head
    assert not line.taken[-1]


def test_what_fails_by_our_fault_is_kept_and_the_line_is_closed(
    line: Line, shop: Shop, subid: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(settling, "settle", lambda *_, **__: 1 / 0)

    head, _ = line.send(postback(shop, subid=subid, amount="1"))

    assert head.startswith(b"HTTP/1.1 500 ")
    assert line.socket.recv(10) == b""
    assert ask("SELECT result FROM tracking_postback") == [("received",)]


def test_a_full_inbox_lets_the_long_way_wait(
    line: Line, shop: Shop, subid: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    query = postback(shop, subid=subid, amount="1", txn_id="t1")
    assert line.send(query)[1] == OK
    monkeypatch.setattr("flowlink.tracking.intake.WAITING_MAX", 0)

    assert line.send(query)[1] == AGAIN
    assert line.taken == [True, False]
