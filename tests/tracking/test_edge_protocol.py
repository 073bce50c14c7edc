"""The fast lane, over real sockets: it takes plain clicks, and leaves everything else alone."""

import re
import socket
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass

import pytest

from flowlink.app import server
from flowlink.kernel import clock, db
from flowlink.tracking import clickid, domains, service
from tests.factories import free_port
from tests.tracking.makers import BROWSER, Shop, ask, committed_shop, eventually

HOST = "go.example.org"
LANE = b"content-length: 0\r\nlocation: "


# What Chrome sends with a click from page to page.
CHROME = (
    "Connection: keep-alive",
    'sec-ch-ua: "Chromium";v="130", "Not?A_Brand";v="99"',
    "sec-ch-ua-mobile: ?0",
    "Upgrade-Insecure-Requests: 1",
    "Accept: text/html,application/xhtml+xml,application/xml;q=0.9,image/avif,*/*;q=0.8",
    "Sec-Fetch-Site: cross-site",
    "Sec-Fetch-Mode: navigate",
    "Referer: https://blog.example/x",
    "Accept-Encoding: gzip, deflate, br, zstd",
    "Accept-Language: fr-FR,fr;q=0.9",
    "Cookie: a=b; c=\u00e9",
)


@dataclass
class Line:
    """A connection of a visitor."""

    socket: socket.socket
    received: bytes = b""

    def send(self, data: bytes) -> None:
        self.socket.sendall(data)

    def answer(self) -> bytes:
        """The next answer, whole."""
        while b"\r\n\r\n" not in self.received:
            self._more()
        head, _, rest = self.received.partition(b"\r\n\r\n")
        length = re.search(rb"(?i)content-length: (\d+)", head)
        size = int(length[1]) if length else 0
        while len(rest) < size:
            self._more()
            rest = self.received.partition(b"\r\n\r\n")[2]
        self.received = rest[size:]
        return head + b"\r\n\r\n"

    def ask(self, data: bytes) -> bytes:
        self.send(data)
        return self.answer()

    def is_closed(self) -> bool:
        return self.received == b"" and self.socket.recv(100) == b""

    def _more(self) -> None:
        data = self.socket.recv(65536)
        assert data, f"closed after {self.received!r}"
        self.received += data


@pytest.fixture
def shop(database: str) -> Shop:
    return committed_shop(slug="summer")


@pytest.fixture
def line(shop: Shop) -> Iterator[Line]:
    port = free_port()
    with (
        server.in_thread(port=port),
        socket.create_connection(("127.0.0.1", port), timeout=20) as made,
    ):
        opened = Line(made)
        assert status(opened.ask(get("/l/summer"))) == 302  # opens the edge, the long way
        yield opened


def get(path: str, *lines: str, method: str = "GET", host: str = "testserver") -> bytes:
    agent = f"User-Agent: {BROWSER}"
    head = [f"{method} {path} HTTP/1.1", f"Host: {host}", agent, *lines]
    return "\r\n".join([*head, "", ""]).encode("latin-1")


def status(answer: bytes) -> int:
    return int(answer[9:12])


def test_a_plain_click_takes_the_lane_and_is_stored_as_any_other(line: Line, shop: Shop) -> None:
    answer = line.ask(
        get("/l/Summer/", "Referer: https://Blog.example/x", "X-Forwarded-For: 198.51.100.7")
    )

    assert status(answer) == 302
    assert LANE in answer
    assert b"cache-control: no-store" in answer
    assert b"x-flowlink-build: " in answer
    found = re.search(rb"location: http://testserver/go\?subid=([0-9a-z]{36})\r\n", answer)
    assert found
    ref = clickid.read(found[1].decode())
    assert ref is not None
    stored = ask(
        "SELECT link, host, text, reason FROM tracking_click c"
        " JOIN tracking_agent a ON a.id = agent JOIN tracking_referrer r ON r.id = referrer"
        " WHERE c.id = :id",
        id=ref.number,
    )
    assert stored == [(shop.link.number, "blog.example", BROWSER, 0)]


def test_a_browsers_own_headers_are_plain(line: Line) -> None:
    assert LANE in line.ask(get("/l/summer", *CHROME))


def test_both_ways_tell_the_same_visitor(line: Line) -> None:
    line.ask(get("/l/summer"))
    line.ask(get("/l/summer", "Connection: keep-alive, x"))

    assert ask("SELECT count(DISTINCT visitor), count(*) FROM tracking_click") == [(1, 3)]


@pytest.mark.parametrize(
    ("request_", "reason"),
    [
        (get("/l/summer", method="HEAD"), 3),
        (get("/l/summer", "Sec-Purpose: prefetch"), 2),
        (b"GET /l/summer HTTP/1.1\r\nHost: testserver\r\nUser-Agent: Googlebot/2.1\r\n\r\n", 1),
        (b"GET /l/summer HTTP/1.1\r\nHost: testserver\r\n\r\n", 1),
    ],
)
def test_machines_are_told_in_the_lane_too(line: Line, request_: bytes, reason: int) -> None:
    assert LANE in line.ask(request_)

    assert ask("SELECT reason FROM tracking_click ORDER BY id DESC LIMIT 1") == [(reason,)]


def test_the_visitors_query_is_passed_on_in_the_lane(line: Line) -> None:
    answer = line.ask(get("/l/summer?utm=x&subid=evil&a=%0d%0aX:1"))

    assert LANE in answer
    assert re.search(rb"/go\?utm=x&a=%0D%0AX%3A1&subid=[0-9a-z]{36}\r\n", answer)


@pytest.mark.parametrize(
    "lines",
    [
        ("Content-Length: 0",),
        ("content-LENGTH: 0",),
        ("Connection: upgrade", "Upgrade: h2c"),
        ("Expect: nothing",),
        ("X-Long: a",),
    ],
)
def test_what_is_not_plain_is_answered_all_the_same(line: Line, lines: tuple[str, ...]) -> None:
    answer = line.ask(get("/l/summer", *lines))

    assert status(answer) == 302
    assert (LANE in answer) == (lines == ("X-Long: a",))


@pytest.mark.parametrize(
    "bad",
    [
        b"GET /l/summer HTTP/1.1\r\nHost: testserver\r\nContent-Length : 5\r\n\r\n",
        b"GET /l/summer HTTP/1.1\r\nHost: testserver\r\nX: a\x00b\r\n\r\n",
        b"GET /l/summer HTTP/1.1\r\nHost: testserver\r\nX: a\x01b\r\n\r\n",
        get("/l/summer", "Content-Length: 1", "Transfer-Encoding: chunked"),
    ],
)
def test_what_is_no_http_is_refused_and_not_stored(line: Line, bad: bytes) -> None:
    assert status(line.ask(bad)) == 400

    assert ask("SELECT count(*) FROM tracking_click") == [(1,)]


def test_a_body_is_no_second_request(line: Line) -> None:
    hidden = get("/l/summer")

    answer = line.ask(get("/l/summer", f"Content-Length: {len(hidden)}") + hidden)
    after = line.ask(get("/l/summer"))

    assert (status(answer), status(after)) == (302, 302)
    assert ask("SELECT count(*) FROM tracking_click") == [(3,)]


def test_requests_in_pieces_and_in_a_row_are_answered_in_order(line: Line) -> None:
    for piece in get("/l/summer?n=1"):
        line.send(bytes([piece]))
    pieces = line.answer()
    line.send(get("/l/summer?n=2") + get("/l/nobody") + get("/l/summer?n=3"))
    row = [line.answer() for _ in range(3)]
    for number in range(4, 9):
        line.send(get(f"/l/summer?n={number}"))
        time.sleep(0.0005)
    late = [line.answer() for _ in range(5)]

    assert b"/go?n=1&" in pieces
    assert [status(one) for one in row] == [302, 404, 302]
    for number, one in zip(range(4, 9), late, strict=True):
        assert f"/go?n={number}&".encode() in one


def test_the_lane_is_open_again_after_a_page(line: Line) -> None:
    assert status(line.ask(get("/l/nobody"))) == 404

    assert LANE in line.ask(get("/l/summer"))


def test_a_visitor_who_wants_to_leave_may(line: Line) -> None:
    assert status(line.ask(get("/l/summer", "Connection: close"))) == 302

    assert line.is_closed()


def test_a_domain_has_codes_of_its_own_in_the_lane(line: Line, shop: Shop) -> None:
    with db.write() as session:
        domains.add(session, host=HOST, actor="test", now=clock.now())
        service.create_link(
            session, partner_id=shop.partner_id, slug="winter", host=HOST, now=clock.now()
        )

    eventually(lambda: status(line.ask(get("/winter", host=HOST))) == 302)
    assert LANE in line.ask(get("/winter", host=f"{HOST.upper()}:8000"))
    assert status(line.ask(get("/l/summer", host=HOST))) == 404
    assert status(line.ask(get("/l/winter"))) == 404
    assert LANE in line.ask(get("/l/summer", host="elsewhere.example"))


def test_the_server_stops_while_visitors_stay(shop: Shop) -> None:
    port = free_port()
    with server.in_thread(port=port):
        lines = [Line(socket.create_connection(("127.0.0.1", port), timeout=20)) for _ in range(8)]
        answers: list[int] = []

        def click(line: Line) -> None:
            answers.extend(status(line.ask(get("/l/summer"))) for _ in range(20))

        threads = [threading.Thread(target=click, args=(line,)) for line in lines]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    for line in lines:
        line.socket.close()

    assert answers == [302] * 160
    assert ask("SELECT count(*) FROM tracking_click") == [(160,)]
