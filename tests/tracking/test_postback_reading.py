"""Postbacks: how networks speak, who may, and what is not clear enough to move money."""

from datetime import datetime, timedelta
from typing import Any
from urllib.parse import urlencode

import pytest
from hypothesis import given, settings as hypothesis, strategies as st
from sqlalchemy.orm import Session

from flowlink.tracking import (
    claims,
    networks,
    postbacks,
)
from flowlink.tracking.models import AmountUnit
from flowlink.tracking.networks import NetworkIn
from flowlink.tracking.postbacks import PostbackIn
from tests.tracking.makers import (
    Send,
    Shop,
    conversions,
    events,
    postback,
    rows,
)


@pytest.mark.parametrize(
    ("pasted", "query"),
    [
        ("a=1&b=2", "a=1&b=2"),
        (" https://links.example/aff/postback?a=1 ", "a=1"),
        ("?a=1", "a=1"),
        ("a=1?b&c=2", "a=1?b&c=2"),
        ("", ""),
    ],
)
def test_a_query_is_found_in_what_is_pasted(pasted: str, query: str) -> None:
    assert claims.query_in(pasted) == query


@pytest.mark.parametrize(
    ("fields", "reason"),
    [
        ({"amount": "abc"}, "unreadable_amount"),
        ({"amount": "1e3"}, "unreadable_amount"),
        ({"amount": "NaN"}, "unreadable_amount"),
        ({"amount": "1.234,56"}, "unreadable_amount"),
        ({"amount": "1,234"}, "unreadable_amount"),
        ({"amount": "٣"}, "unreadable_amount"),
        ({"amount": "-5"}, "negative_amount"),
        ({"amount": "100000.01"}, "absurd_amount"),
        ({"amount": "9" * 12}, "absurd_amount"),
        ({"amount": "9" * 41}, "unreadable_amount"),
        ({"amount": ""}, "missing_amount"),
        ({"amount": "5", "currency": "USD"}, "unsupported_currency"),
        ({"amount": "5", "status": "maybe"}, "unknown_status"),
        ({"amount": "5", "status": "\x00"}, "unreadable_status"),
        ({"amount": "5", "txn_id": "x" * 201}, "unreadable_txn_id"),
        ({"amount": "5", "txn_id": "a\x00b"}, "unreadable_txn_id"),
        ({"amount": "5", "goal": "g" * 101}, "unreadable_goal"),
    ],
)
def test_what_is_not_clear_is_quarantined_and_moves_nothing(
    session: Session, click: str, send: Send, fields: dict[str, str], reason: str
) -> None:
    assert send(subid=click, **fields) == ("quarantined", reason)

    assert conversions(session) == []
    assert events(session) == 0


def test_a_field_that_comes_twice_with_two_values_is_quarantined(
    session: Session, shop: Shop, click: str, now: datetime
) -> None:
    query = postback(shop, subid=click, amount="5") + "&amount=500"

    result = postbacks.receive(session, request=PostbackIn("GET", query), now=now)

    assert (result.result, result.reason) == ("quarantined", "repeated_field")
    assert conversions(session) == []


@pytest.mark.parametrize(
    ("amount", "cents"), [("12,5", 1250), ("  7 ", 700), ("+3.10", 310), ("0", 0)]
)
def test_amounts_are_read_as_people_and_programs_write_them(
    session: Session, click: str, send: Send, amount: str, cents: int
) -> None:
    assert send(subid=click, amount=amount)[0] == "ok"

    assert conversions(session)[0][1] == cents


@pytest.mark.parametrize("key", ["", "wrong", "ключ"])
def test_a_wrong_key_is_rejected_and_moves_nothing(
    session: Session, shop: Shop, click: str, now: datetime, key: str
) -> None:
    query = urlencode({"network": "direct", "key": key, "subid": click, "amount": "5"})

    result = postbacks.receive(session, request=PostbackIn("GET", query), now=now)

    assert (result.result, result.reason) == ("rejected", postbacks.WRONG_KEY)
    assert conversions(session) == []


def test_the_key_alone_names_its_network_and_is_not_kept(
    session: Session, shop: Shop, click: str, now: datetime
) -> None:
    query = urlencode({"key": shop.key, "subid": click, "amount": "5"})

    result = postbacks.receive(session, request=PostbackIn("GET", query), now=now)

    assert result.result == "ok"
    ((kept,),) = rows(session, "SELECT query FROM tracking_postback")
    assert shop.key not in str(kept)
    assert f"subid={click}" in str(kept)


def test_an_unknown_network_is_rejected(
    session: Session, shop: Shop, click: str, now: datetime
) -> None:
    query = urlencode({"network": "nobody", "key": shop.key, "subid": click, "amount": "5"})

    result = postbacks.receive(session, request=PostbackIn("GET", query), now=now)

    assert (result.result, result.reason) == ("rejected", "unknown_network")
    assert conversions(session) == []


def network_of(session: Session, now: datetime, **given: Any) -> str:
    """A network with this map; the part of a query that names it."""
    network = networks.create(session, given=NetworkIn(name="acme", **given), actor="test", now=now)
    return urlencode({"network": "acme", "key": networks.key_of(network)})


def test_a_network_speaks_in_its_own_words(
    session: Session, shop: Shop, click: str, now: datetime
) -> None:
    sender = network_of(
        session,
        now,
        fields={"subid": "aff_sub", "amount": "payout", "txn_id": "tid", "status": "state"},
        statuses={"1": "approved", "Hold": "pending"},
        amount_unit=AmountUnit.CENTS,
        currency="EUR",
        default_status=None,
    )

    def say(**fields: str) -> tuple[str, str | None]:
        request = PostbackIn("GET", f"{sender}&{urlencode({'aff_sub': click} | fields)}")
        result = postbacks.receive(session, request=request, now=now)
        return result.result, result.reason

    assert say(payout="1234", tid="t1", state="HOLD", currency="USD") == ("ok", None)
    assert say(payout="1234", tid="t1", state="1") == ("ok", None)
    assert say(payout="1234", tid="t2") == ("quarantined", "missing_status")
    assert say(payout="1234", tid="t2", state="sale") == ("quarantined", "unknown_status")
    assert conversions(session) == [("approved", 1234, 2)]


@pytest.mark.parametrize(
    ("address", "result"),
    [
        ("198.51.100.7", "ok"),
        ("::ffff:198.51.100.7", "ok"),
        ("203.0.113.9", "ok"),
        ("2001:db8:0:1::2", "ok"),
        ("198.51.101.7", "rejected"),
        ("2001:db8:1::1", "rejected"),
        ("x", "rejected"),
    ],
)
def test_a_network_may_only_call_from_its_addresses(
    session: Session, shop: Shop, click: str, now: datetime, address: str, result: str
) -> None:
    addresses = ["198.51.100.0/24", "::ffff:203.0.113.9", "2001:DB8::/48"]
    sender = network_of(session, now, addresses=addresses)
    query = f"{sender}&subid={click}&amount=5"

    answer = postbacks.receive(session, request=PostbackIn("GET", query, address=address), now=now)

    assert answer.result == result
    assert len(conversions(session)) == (result == "ok")


def test_a_network_that_pays_again_says_so_by_amount_and_day(
    session: Session, shop: Shop, click: str, now: datetime
) -> None:
    sender = network_of(session, now, rebill=True)

    def pay(amount: str, at: datetime) -> str:
        request = PostbackIn("GET", f"{sender}&subid={click}&amount={amount}")
        return postbacks.receive(session, request=request, now=at).result.value

    day = timedelta(days=1)
    answers = [pay("5", now), pay("5", now), pay("6", now), pay("5", now + day)]

    assert answers == ["ok", "duplicate", "ok", "ok"]


@pytest.mark.parametrize(
    ("content_type", "body"),
    [
        ("application/x-www-form-urlencoded", "subid={click}&amount=5&txn_id=t9"),
        ("application/json", '{{"subid": "{click}", "amount": 5.00, "txn_id": "t9"}}'),
    ],
)
def test_a_posted_form_or_json_object_is_read_too(
    session: Session, shop: Shop, click: str, now: datetime, content_type: str, body: str
) -> None:
    query = urlencode({"network": "direct", "key": shop.key})
    request = PostbackIn("POST", query, content_type, body.format(click=click).encode())

    assert postbacks.receive(session, request=request, now=now).result == "ok"
    assert conversions(session) == [("approved", 500, 1)]


@hypothesis(max_examples=60)
@given(
    query=st.text(max_size=80) | st.binary(max_size=80).map(lambda raw: raw.decode("latin-1")),
    body=st.binary(max_size=80),
    content_type=st.sampled_from(["", "application/json", "text/plain", "multipart/form-data"]),
)
def test_nothing_that_is_sent_breaks_it_or_moves_money(
    session: Session, shop: Shop, now: datetime, query: str, body: bytes, content_type: str
) -> None:
    query = query.encode("utf-8", "surrogatepass").decode("latin-1")
    request = PostbackIn("POST", f"{postback(shop)}&{query}", content_type, body)

    result = postbacks.receive(session, request=request, now=now)

    assert result.result in {"orphan", "quarantined", "rejected"}
    assert conversions(session) == []
