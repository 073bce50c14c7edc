"""Endpoints: signed requests, retries, replays, an end to long failure, and no way inside."""

import hashlib
import hmac
import ipaddress
import json
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread
from typing import Any
from uuid import UUID, uuid4

import pytest
from sqlalchemy import text
from sqlalchemy.orm import Session

from flowlink.notify import outbound, webhook_delivery, webhooks
from flowlink.notify.ids import DeliveryId, EndpointId
from flowlink.notify.models import Delivery, Endpoint
from flowlink.notify.outbound import Answer, Guarded, Outgoing, Unreachable

OWNER = UUID(int=7)
OFFERED = ("conversion.changed", "hold.placed")


@dataclass
class Heard:
    """What an endpoint was sent, and what it answers."""

    url: str
    status: int = 200
    location: str = ""
    requests: list[tuple[str, str, dict[str, str], bytes]] = field(default_factory=list)


@contextmanager
def endpoint_of_others() -> Iterator[Heard]:
    heard = Heard("")

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers.get("content-length", 0)))
            headers = {name.lower(): value for name, value in self.headers.items()}
            heard.requests.append((self.command, self.path, headers, body))
            self.send_response(heard.status)
            if heard.location:
                self.send_header("location", heard.location)
            self.end_headers()
            self.wfile.write(b"thanks" * 1000)

        def do_GET(self) -> None:
            self.do_POST()

        def log_message(self, *_: Any) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    heard.url = f"http://127.0.0.1:{server.server_address[1]}/hook"
    thread = Thread(target=server.serve_forever)
    thread.start()
    yield heard
    server.shutdown()
    thread.join()
    server.server_close()


@pytest.fixture
def heard() -> Iterator[Heard]:
    with endpoint_of_others() as made:
        yield made


OPEN = Guarded(allow=lambda _: True)


def make(session: Session, url: str, now: datetime, method: str = "POST") -> Endpoint:
    made = webhooks.add(
        session,
        owner_id=OWNER,
        url="https://example.org/hook",
        chosen=["conversion.changed"],
        offered=OFFERED,
        method=method,
        now=now,
    )
    made.url = url  # a test's own server is inside, where `add` lets nobody point
    session.flush()
    return made


def publish(session: Session, now: datetime, source: str = "c:1", **data: Any) -> int:
    made = webhooks.publish(
        session,
        owner_id=OWNER,
        event="conversion.changed",
        source=source,
        data={"status": "approved", "amount": {"amount": "5.00", "currency": "EUR"}} | data,
        happened_at=now,
        now=now,
    )
    session.flush()
    return made


def one(session: Session) -> Delivery:
    session.expire_all()
    return session.query(Delivery).one()


def test_an_event_is_posted_once_and_signed(session: Session, heard: Heard, now: datetime) -> None:
    endpoint = make(session, heard.url, now)
    assert (publish(session, now), publish(session, now)) == (1, 0)

    webhook_delivery.deliver_due(now=now, way=OPEN)
    webhook_delivery.deliver_due(now=now, way=OPEN)

    ((method, path, headers, body),) = heard.requests
    assert (method, path) == ("POST", "/hook")
    assert json.loads(body)["data"]["status"] == "approved"
    stamp, code = (part.partition("=")[2] for part in headers["flowlink-signature"].split(","))
    secret = webhooks.secret_of(endpoint).encode()
    assert code == hmac.new(secret, f"{stamp}.".encode() + body, hashlib.sha256).hexdigest()
    assert stamp == str(int(now.timestamp()))
    kept = one(session)
    assert (kept.state, kept.answer_status, kept.attempts) == ("delivered", 200, 1)
    assert kept.answer.startswith("thanks")
    assert len(kept.answer) == outbound.ANSWER_MAX


def test_a_postback_has_its_places_filled_in(session: Session, heard: Heard, now: datetime) -> None:
    places = "?e={event}&a={amount}&c={amount_currency}&s={status}&click={click_id}"
    make(session, heard.url + places, now, method="GET")
    publish(session, now, click_id="a&b=c")

    webhook_delivery.deliver_due(now=now, way=OPEN)

    ((method, path, _, _),) = heard.requests
    filled = "/hook?e=conversion.changed&a=5.00&c=EUR&s=approved&click=a%26b%3Dc"
    assert (method, path) == ("GET", filled)


def test_a_failure_is_tried_again_later(session: Session, heard: Heard, now: datetime) -> None:
    make(session, heard.url, now)
    publish(session, now)
    heard.status = 500
    webhook_delivery.deliver_due(now=now, way=OPEN)
    assert (one(session).state, one(session).answer_status) == ("queued", 500)
    heard.status = 200

    webhook_delivery.deliver_due(now=now + timedelta(seconds=59), way=OPEN)
    assert len(heard.requests) == 1
    webhook_delivery.deliver_due(now=now + timedelta(seconds=60), way=OPEN)

    assert (one(session).state, len(heard.requests)) == ("delivered", 2)
    assert session.query(Endpoint).one().failing_since is None


def test_redirects_are_not_followed(session: Session, heard: Heard, now: datetime) -> None:
    with endpoint_of_others() as inside:
        make(session, heard.url, now)
        publish(session, now)
        heard.status, heard.location = 302, inside.url

        webhook_delivery.deliver_due(now=now, way=OPEN)

        assert inside.requests == []
    assert (one(session).state, one(session).answer_status) == ("queued", 302)


def test_nothing_is_sent_into_our_own_network(
    session: Session, heard: Heard, now: datetime
) -> None:
    make(session, heard.url, now)
    publish(session, now)

    webhook_delivery.deliver_due(now=now, way=Guarded())

    assert heard.requests == []
    assert (one(session).state, one(session).answer_status) == ("queued", None)
    assert "private network" in one(session).error


def test_a_name_with_one_inner_address_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    found = [(socket.AF_INET, 0, 0, "", (ip, 80)) for ip in ("93.184.216.34", "10.0.0.1")]
    monkeypatch.setattr(socket, "getaddrinfo", lambda *_, **__: found)

    with pytest.raises(Unreachable, match="private network"):
        Guarded().send(Outgoing("GET", "http://rebinding.example/", {}, b""))


@pytest.mark.parametrize(
    "address",
    [
        "127.0.0.1",
        "10.1.2.3",
        "169.254.169.254",
        "100.64.0.1",
        "0.0.0.0",  # noqa: S104
        "224.0.0.1",
        "::1",
        "fd00::1",
        "fe80::1",
        "::ffff:10.0.0.1",
        "64:ff9b::a00:1",
        "2002:a00:1::",
    ],
)
def test_inner_addresses_are_told_apart(address: str) -> None:
    assert not outbound.is_public(ipaddress.ip_address(address))


@pytest.mark.parametrize(
    "url",
    [
        "http://127.0.0.1/",
        "http://127.1/",
        "http://2130706433/",
        "http://0x7f000001/",
        "http://[::1]/",
        "http://localhost:8000/",
        "http://LOCALHOST./",
        "http://db.internal/",
        "https://user:pass@example.org/",
        "https://{status}.example.org/",
        "ftp://example.org/",
        "https:///x",
        "https://example.org/a b",
        "https://example.org:0/",
    ],
)
def test_bad_addresses_make_no_endpoint(session: Session, now: datetime, url: str) -> None:
    with pytest.raises(outbound.BadAddress):
        webhooks.add(
            session,
            owner_id=OWNER,
            url=url,
            chosen=["hold.placed"],
            offered=OFFERED,
            method="POST",
            now=now,
        )

    assert session.query(Endpoint).count() == 0


def test_an_endpoint_that_fails_for_days_is_disabled(session: Session, now: datetime) -> None:
    endpoint = make(session, "https://example.org/", now)
    endpoint.failing_since = now - webhooks.DISABLED_AFTER
    publish(session, now)
    publish(session, now, source="c:2")

    class Silent:
        def send(self, request: Outgoing) -> Answer:
            raise Unreachable("nobody")

    webhook_delivery.deliver_due(now=now, way=Silent())

    session.expire_all()
    assert endpoint.state == "disabled"
    assert {row.state for row in session.query(Delivery)} == {"failed"}
    told = "SELECT count(*) FROM kernel_event WHERE name = 'endpoint.disabled'"
    assert session.scalar(text(told)) == 1
    assert publish(session, now, source="c:3") == 0


def test_an_endpoint_that_is_gone_is_not_asked_again(
    session: Session, heard: Heard, now: datetime
) -> None:
    endpoint = make(session, heard.url, now)
    publish(session, now)
    publish(session, now, source="c:2")
    heard.status = 410

    made = webhook_delivery.deliver_due(now=now, way=OPEN)

    session.expire_all()
    assert (made, endpoint.state) == (1, "disabled")
    assert {row.state for row in session.query(Delivery)} == {"failed"}
    told = "SELECT count(*) FROM kernel_event WHERE name = 'endpoint.disabled'"
    assert session.scalar(text(told)) == 1


def test_the_last_attempt_ends_it_and_a_replay_begins_anew(
    session: Session, heard: Heard, now: datetime
) -> None:
    make(session, heard.url, now)
    publish(session, now)
    heard.status = 500
    one(session).attempts = webhooks.ATTEMPTS_MAX - 1
    session.flush()
    webhook_delivery.deliver_due(now=now, way=OPEN)
    assert one(session).state == "failed"
    heard.status = 204
    key = DeliveryId(one(session).id)

    webhooks.replay(session, owner_id=OWNER, delivery_id=key, now=now)
    session.flush()
    webhook_delivery.deliver_due(now=now, way=OPEN)

    assert (one(session).state, one(session).attempts) == ("delivered", 1)


def test_others_cannot_touch_an_endpoint(session: Session, now: datetime) -> None:
    endpoint = make(session, "https://example.org/", now)
    publish(session, now)
    stranger, key = uuid4(), DeliveryId(one(session).id)

    with pytest.raises(webhooks.UnknownEndpoint):
        webhooks.remove(session, owner_id=stranger, endpoint_id=EndpointId(endpoint.id))
    with pytest.raises(webhooks.UnknownDelivery):
        webhooks.replay(session, owner_id=stranger, delivery_id=key, now=now)

    assert session.query(Endpoint).count() == 1


def test_an_endpoint_hears_only_what_it_chose_and_when_it_was_there(
    session: Session, now: datetime
) -> None:
    make(session, "https://example.org/", now)

    assert publish(session, now - timedelta(seconds=1)) == 0
    webhooks.publish(
        session,
        owner_id=OWNER,
        event="hold.placed",
        source="h:1",
        data={},
        happened_at=now,
        now=now,
    )

    assert session.query(Delivery).count() == 0


def test_a_sixth_endpoint_is_refused(session: Session, now: datetime) -> None:
    for _ in range(webhooks.ENDPOINTS_MAX):
        make(session, "https://example.org/", now)

    with pytest.raises(webhooks.TooManyEndpoints):
        make(session, "https://example.org/", now)

    assert session.query(Endpoint).count() == webhooks.ENDPOINTS_MAX
