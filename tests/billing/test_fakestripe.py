"""The fake knows what the official client knows, and refuses everything else."""

from collections.abc import Iterator
from typing import Any, get_args

import httpx2
import pytest
import stripe

from flowlink.billing import stripe_api
from flowlink.billing.fakestripe import checks
from flowlink.billing.fakestripe.knobs import CARDS, Knobs
from flowlink.billing.fakestripe.pages import _CARDS
from flowlink.billing.fakestripe.server import signed
from flowlink.billing.fakestripe.state import VERSION, stamp
from flowlink.kernel import clock
from tests.billing.stripes import Till, till

OBJECTS: dict[str, Any] = {
    "customer": stripe.Customer,
    "checkout.session": stripe.checkout.Session,
    "payment_intent": stripe.PaymentIntent,
    "payment_method": stripe.PaymentMethod,
    "charge": stripe.Charge,
    "refund": stripe.Refund,
    "dispute": stripe.Dispute,
    "event": stripe.Event,
}


@pytest.fixture
def wire(fixed_settings: None) -> Iterator[Till]:
    with till() as opened:
        yield opened


def post(wire: Till, path: str, key: str = "", **form: str) -> Any:
    headers = {"authorization": f"Bearer {wire.fake.key}"}
    headers |= {"idempotency-key": key} if key else {}
    return httpx2.post(f"{wire.url}/v1/{path}", data=form, headers=headers)


def session(**change: str) -> dict[str, str]:
    plain = {
        "mode": "payment",
        "line_items[0][quantity]": "1",
        "line_items[0][price_data][currency]": "eur",
        "line_items[0][price_data][unit_amount]": "200",
        "line_items[0][price_data][product_data][name]": "Acme: 1 x cpu",
        "success_url": "https://example.org/",
    }
    return {name: value for name, value in (plain | change).items() if value != "-"}


def test_everything_that_can_happen_has_only_fields_that_the_client_names(wire: Till) -> None:
    customer = post(wire, "customers", description="Acme").json()["id"]
    for card in CARDS:
        made = post(wire, "checkout/sessions", **session(customer=customer)).json()
        wire.press(made["url"], card, confirmed=True)
    paid = wire.fake.ledger.every("charge")
    wire.fake.ledger.make_refund({"payment_intent": paid[-1]["payment_intent"]}, at=1)
    again = {"amount": "50", "currency": "eur", "customer": customer}
    post(wire, "payment_intents", payment_method=paid[0]["payment_method"], **again)
    post(wire, "checkout/sessions", **session())
    wire.fake.ledger.advance(stamp(clock.now()) + 90_000)

    kinds = set(wire.fake.ledger.by_kind) - {"hidden"}
    assert kinds == set(OBJECTS)
    for kind, known in OBJECTS.items():
        for thing in wire.fake.ledger.every(kind):
            assert set(thing) - set(known.__annotations__) == set(), kind


@pytest.mark.parametrize(
    ("kind", "name", "words"),
    [
        (stripe.PaymentIntent, "status", {"requires_payment_method", "requires_confirmation",
            "requires_action", "processing", "succeeded", "canceled"}),
        (stripe.checkout.Session, "status", {"open", "complete", "expired"}),
        (stripe.Dispute, "status", {"needs_response", "under_review", "won", "lost"}),
        (stripe.Event, "type", set(stripe_api.EVENTS)),
    ],
)  # fmt: skip
def test_the_words_that_we_go_by_are_the_clients(kind: Any, name: str, words: set[str]) -> None:
    assert words - set(_literals(kind.__annotations__[name])) == set()


def _literals(hint: Any) -> Iterator[str]:
    for each in get_args(hint):
        if isinstance(each, str):
            yield each
        else:
            yield from _literals(each)


def test_the_fake_speaks_the_clients_version() -> None:
    assert stripe.api_version == VERSION


def test_the_page_offers_every_card() -> None:
    assert {last4 for last4, _ in _CARDS} == set(CARDS)


def test_a_good_request_is_taken(wire: Till) -> None:
    answer = post(wire, "checkout/sessions", **session())

    assert (answer.status_code, answer.json()["amount_total"]) == (200, 200)


@pytest.mark.parametrize(
    ("change", "param"),
    [
        ({"colour": "red"}, "colour"),
        ({"line_items[0][price_data][color]": "red"}, "line_items[0][price_data][color]"),
        ({"line_items[0][price_data][unit_amount]": "2.50"}, "line_items[0][price_data]"),
        ({"line_items[0][quantity]": "one"}, "line_items[0][quantity]"),
        ({"line_items[0][price_data][currency]": "-"}, "line_items[0][price_data][currency]"),
        ({"line_items[1][quantity]": "1"}, "line_items"),
        ({"line_items": "1", "line_items[0][quantity]": "-"}, "line_items"),
        ({"line_items[0][price_data][unit_amount]": "49"}, "line_items"),
        ({"mode": "gift"}, "mode"),
        ({"payment_intent_data[setup_future_usage]": "always"}, "payment_intent_data"),
        ({"payment_method_types[0]": "card"}, "payment_method_types"),
        ({"allowed_payment_method_types[0]": "stone"}, "allowed_payment_method_types[0]"),
        ({"allow_promotion_codes": "perhaps"}, "allow_promotion_codes"),
        ({"metadata": "x"}, "metadata"),
        ({"customer": "cus_none"}, "customer"),
        ({"api_key": "sk"}, "api_key"),
    ],
)
def test_what_the_client_does_not_know_is_refused(
    wire: Till, change: dict[str, str], param: str
) -> None:
    if "line_items" in change:
        change = change | dict.fromkeys((n for n in session() if n.startswith("line_items[")), "-")

    answer = post(wire, "checkout/sessions", **session(**change))

    assert answer.status_code == 400, answer.text
    error = answer.json()["error"]
    assert error["type"] == "invalid_request_error"
    assert error["param"].startswith(param)
    assert wire.fake.ledger.every("checkout.session") == []


@pytest.mark.parametrize("path", ["subscriptions", "customers/cus_1/cards", "payment_intents/x/y"])
def test_calls_that_we_do_not_make_are_not_known(wire: Till, path: str) -> None:
    assert post(wire, path).status_code == 404


@pytest.mark.parametrize("form", ["a[b=1", "a=1&a=2", "a[b]=1&a=2", "=1"])
def test_a_form_of_another_shape_is_refused(form: str) -> None:
    with pytest.raises(ValueError, match=r".*"):
        checks.read(form)


def test_without_the_key_nothing_opens(wire: Till) -> None:
    answer = httpx2.post(f"{wire.url}/v1/customers", headers={"authorization": "Bearer no"})

    assert (answer.status_code, answer.json()["error"]["type"]) == (401, "invalid_request_error")


def test_the_same_key_is_the_same_answer(wire: Till) -> None:
    first = post(wire, "customers", "k", description="Acme")
    again = post(wire, "customers", "k", description="Acme")
    other = post(wire, "customers", "k", description="Else")

    assert again.json() == first.json()
    assert again.headers["idempotent-replayed"] == "true"
    assert (other.status_code, other.json()["error"]["type"]) == (400, "idempotency_error")
    assert len(wire.fake.ledger.every("customer")) == 1


def test_a_key_is_forgotten_after_a_day(wire: Till) -> None:
    post(wire, "customers", "k", description="Acme")
    for known in wire.fake.answered.values():
        object.__setattr__(known, "at", known.at - 90_000)

    post(wire, "customers", "k", description="Else")

    assert len(wire.fake.ledger.every("customer")) == 2


def test_the_client_verifies_what_the_fake_signs(wire: Till) -> None:
    wire.press(post(wire, "checkout/sessions", **session()).json()["url"])
    kinds = []

    for event in wire.fake.ledger.owed:
        body, headers = signed(event, wire.fake.webhook_secret, at=stamp(clock.now()))
        signature = headers["stripe-signature"]
        read = stripe.Webhook.construct_event(body, signature, wire.fake.webhook_secret)
        kinds.append(read.type)

    assert kinds == ["payment_intent.succeeded", "checkout.session.completed"]


def test_knobs_do_what_they_say(wire: Till) -> None:
    def owe() -> None:
        for number in range(200):
            wire.fake.ledger._owe("charge.refunded", {"id": f"ch_{number}"}, 1)

    def told(**knobs: int) -> list[str]:
        wire.fake.ledger.knobs = Knobs(**knobs)
        wire.fake.ledger.owed.clear()
        owe()
        return [one["data"]["object"]["id"] for one in wire.fake.ledger.take_owed()]

    assert told() == [f"ch_{number}" for number in range(200)]
    assert 200 < len(told(duplicated=30)) < 300
    assert 100 < len(told(lost=30)) < 200
    assert 100 < len(told(delayed=30)) < 200
    assert len(wire.fake.ledger.owed) > 20
    assert told(reordered=100) != sorted(told(reordered=100))
