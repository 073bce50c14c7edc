"""Our PayPal client against the fake, over a real socket: what is said, checked and refused."""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import httpx2
import pytest
from fastapi.testclient import TestClient
from sqlalchemy import select
from sqlalchemy.orm import Session

from flowlink.kernel import clock
from flowlink.kernel.inbound import ProviderEvent
from flowlink.payouts import paypal, paypal_runs, run_files
from flowlink.payouts.fakepay import checks
from flowlink.payouts.fakepay.server import FakePay
from flowlink.payouts.models import Rail
from flowlink.payouts.paypal import Paypal, PaypalRefused, Unsure
from tests.factories import free_port, make_operator, make_partner
from tests.payouts.acts import ask
from tests.payouts.chaos import serving
from tests.payouts.makers import DAY, assert_clean
from tests.payouts.run_acts import propose, release, set_up


@dataclass
class Wire:
    """A fake on a port, and our client for it."""

    fake: FakePay
    client: Paypal
    url: str


@pytest.fixture
def wire() -> Iterator[Wire]:
    fake, url = FakePay(), f"http://127.0.0.1:{(port := free_port())}"
    with serving(fake, port), set_up(paypal_url=url):
        yield Wire(fake, paypal.configured(), url)


def batch(**change: Any) -> dict[str, Any]:
    item = {
        "recipient_type": "EMAIL",
        "amount": {"currency": "EUR", "value": "12.50"},
        "receiver": "ada@example.org",
        "sender_item_id": "PAY1",
    }
    head = {"sender_batch_id": "FL1", "recipient_type": "EMAIL"}
    return {"sender_batch_header": head, "items": [item | change]}


def send(wire: Wire, body: dict[str, Any]) -> str:
    return wire.client.create(json.dumps(body).encode(), now=clock.now())


def test_what_our_runs_send_is_what_the_documentation_knows(session: Session) -> None:
    with set_up():
        ask(session, make_partner(session, available="50.00"))
        run = propose(session, Rail.PAYPAL)

        assert checks.batch(json.loads(run_files.of(session, run).body)) == []


def test_a_batch_is_made_and_read_back(wire: Wire) -> None:
    batch_id = send(wire, batch())
    wire.fake.ledger.advance(clock.now())

    found = wire.client.batch(batch_id, now=clock.now())

    assert (found.sender_batch_id, found.status) == ("FL1", "SUCCESS")
    (item,) = found.items
    assert (item.sender_item_id, item.status) == ("PAY1", "SUCCESS")
    assert wire.client.item(item.item_id, now=clock.now()) == item


def test_a_batch_of_many_pages_is_read_whole(wire: Wire) -> None:
    body = batch()
    body["items"] = [body["items"][0] | {"sender_item_id": f"PAY{n}"} for n in range(2500)]

    found = wire.client.batch(send(wire, body), now=clock.now())

    assert len({item.sender_item_id for item in found.items}) == 2500


def test_the_same_id_again_finds_the_first_batch(wire: Wire) -> None:
    first = send(wire, batch())

    assert send(wire, batch()) == first
    assert len(wire.fake.ledger.batches) == 1


def test_accepted_but_not_answered_is_unsure_and_found_again(wire: Wire) -> None:
    wire.fake.ledger.knobs.unanswered = 100

    with pytest.raises(Unsure):
        send(wire, batch())

    (made,) = wire.fake.ledger.batches
    assert send(wire, batch()) == made


def test_a_server_error_is_unsure(wire: Wire) -> None:
    send(wire, batch())
    wire.fake.ledger.knobs.server_errors = 100

    with pytest.raises(Unsure, match="503"):
        send(wire, batch())


def test_a_wrong_secret_is_unsure_and_names_no_secret(wire: Wire) -> None:
    client = Paypal(url=wire.url, client_id="fake-client", secret="WRONG", webhook_id="")

    with pytest.raises(Unsure) as trouble:
        client.batch("B1", now=clock.now())

    assert "WRONG" not in str(trouble.value)


@pytest.mark.parametrize(
    ("change", "issue"),
    [
        ({"amount": {"currency": "EUR", "value": "12.505"}}, "INVALID_AMOUNT"),
        ({"amount": {"currency": "EUR", "value": 12.5}}, "INVALID_AMOUNT"),
        ({"amount": {"currency": "EUR", "value": "0.00"}}, "INVALID_AMOUNT"),
        ({"amount": {"currency": "XXX", "value": "1.00"}}, "CURRENCY_NOT_SUPPORTED"),
        ({"amount": {"currency_code": "EUR", "value": "1.00"}}, "UNKNOWN_FIELD"),
        ({"receiver": "nobody"}, "INVALID_EMAIL_FORMAT"),
        ({"receiver": ""}, "MISSING_REQUIRED_PARAMETER"),
        ({"sender_item_id": "x" * 64}, "INVALID_STRING_LENGTH"),
        ({"recipient_type": "IBAN"}, "INVALID_RECIPIENT_TYPE"),
        ({"recipient_wallet": "BANK"}, "INVALID_RECIPIENT_WALLET"),
        ({"purpose": "FUN"}, "INVALID_PURPOSE"),
        ({"reference": "x"}, "UNKNOWN_FIELD"),
    ],
)
def test_what_the_documentation_does_not_know_is_refused(
    wire: Wire, change: dict[str, Any], issue: str
) -> None:
    with pytest.raises(PaypalRefused, match=issue):
        send(wire, batch(**change))

    assert wire.fake.ledger.batches == {}


@pytest.mark.parametrize(
    "body",
    [[], {}, {"items": []}, {"sender_batch_header": {}, "items": []}, batch() | {"more": 1}],
)
def test_a_batch_of_another_shape_is_refused(body: object) -> None:
    assert checks.batch(body) != []


def test_two_items_of_one_name_are_refused(wire: Wire) -> None:
    body = batch()
    body["items"] *= 2

    with pytest.raises(PaypalRefused, match="DUPLICATE_SENDER_ITEM_ID"):
        send(wire, body)


def test_every_event_of_the_fake_is_genuine_to_itself(wire: Wire) -> None:
    ledger = wire.fake.ledger
    for number in range(200):
        send(wire, batch() | {"sender_batch_header": {"sender_batch_id": f"FL{number}"}})

    events = ledger.take_owed()

    signatures = {event.headers["paypal-transmission-sig"] for event in events}
    assert len(signatures) == 200
    assert all(checks.SIGNATURE["transmission_sig"].fullmatch(each) for each in signatures)


def test_without_a_token_nothing_opens(wire: Wire) -> None:
    answer = httpx2.get(f"{wire.url}/v1/payments/payouts/B1")

    assert (answer.status_code, answer.json()["name"]) == (401, "AUTHENTICATION_FAILURE")


def test_a_genuine_event_is_told_from_a_forged_one(wire: Wire) -> None:
    send(wire, batch())
    event = wire.fake.ledger.owed[0]
    now = clock.now()

    assert wire.client.genuine(event.headers, event.body, now=now)
    assert not wire.client.genuine(event.headers, event.body.replace(b"FL1", b"FL2"), now=now)
    forged = event.headers | {"paypal-transmission-sig": "Zm9yZ2Vk"}
    assert not wire.client.genuine(forged, event.body, now=now)
    assert not wire.client.genuine({}, event.body, now=now)


def test_the_hook_keeps_a_genuine_event_once(
    wire: Wire, client: TestClient, session: Session
) -> None:
    send(wire, batch())
    event = wire.fake.ledger.owed[0]

    answers = [
        client.post("/webhooks/paypal", content=event.body, headers=event.headers).status_code
        for _ in range(2)
    ]

    assert answers == [200, 200]
    (kept,) = session.scalars(select(ProviderEvent)).all()
    assert (kept.body, kept.copies) == (event.body, 2)


def test_the_hook_keeps_nothing_forged(wire: Wire, client: TestClient, session: Session) -> None:
    send(wire, batch())
    event = wire.fake.ledger.owed[0]
    forged = event.headers | {"paypal-transmission-sig": "Zm9yZ2Vk"}

    answer = client.post("/webhooks/paypal", content=event.body, headers=forged)

    assert answer.status_code == 403
    assert session.scalars(select(ProviderEvent)).all() == []


def test_the_hook_asks_for_the_event_again_while_paypal_is_away(
    wire: Wire, client: TestClient
) -> None:
    send(wire, batch())
    event = wire.fake.ledger.owed[0]
    wire.fake.ledger.knobs.server_errors = 100

    answer = client.post("/webhooks/paypal", content=event.body, headers=event.headers)

    assert answer.status_code == 409


@pytest.mark.parametrize("body", [b"", b"[]", b"{}", b'{"id": "1", "event_type": "x"}', b"\xff"])
def test_the_hook_refuses_what_is_no_event(wire: Wire, client: TestClient, body: bytes) -> None:
    headers = {"content-type": "application/json"}
    assert client.post("/webhooks/paypal", content=body, headers=headers).status_code == 422


def test_from_release_to_return_over_the_wire(wire: Wire, session: Session) -> None:
    ada = make_partner(session, available="50.00")
    withdrawal = ask(session, ada, details="returned@example.org")
    run = release(session, propose(session, Rail.PAYPAL), make_operator(session))
    session.flush()
    seen = []

    for _ in range(3):
        paypal_runs.drive(wire.client, run_id=run.id, now=DAY)
        session.expire_all()
        seen.append(str(withdrawal.state))
        wire.fake.ledger.advance(clock.now())

    assert seen == ["sent", "sent", "returned"]
    assert_clean(session)
