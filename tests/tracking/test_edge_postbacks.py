"""Postbacks from the outside: numbers, JSON, sizes, and many at once."""

import asyncio
from collections import Counter
from collections.abc import Iterator
from typing import Any
from urllib.parse import urlencode

import httpx2
import pytest
from fastapi.testclient import TestClient

from flowlink.tracking import intake, postbacks, settling
from flowlink.tracking.edge import Edge
from tests.tracking.makers import BROWSER, Shop, ask, click_id, committed_shop, postback

PATH = "/aff/postback"
CONVERSIONS = "SELECT count(*) FROM tracking_conversion"


@pytest.fixture
def edge(database: str) -> Iterator[TestClient]:
    with TestClient(Edge(), follow_redirects=False) as client:
        yield client


def clicked(edge: TestClient, shop: Shop) -> str:
    answer = edge.get(f"/l/{shop.link.code}", headers={"user-agent": BROWSER})
    return click_id(answer.headers["location"])


def test_a_postback_is_answered_in_json(edge: TestClient) -> None:
    shop = committed_shop()
    query = postback(shop, subid=clicked(edge, shop), amount="10", txn_id="t1", status="approved")

    first, second = edge.get(f"{PATH}?{query}"), edge.get(f"{PATH}?{query}")

    assert (first.status_code, first.json()) == (200, {"result": "ok"})
    assert first.headers["content-type"] == "application/json"
    assert (second.status_code, second.json()["result"]) == (200, "duplicate")
    assert ask(CONVERSIONS) == [(1,)]


def test_a_form_is_as_good_as_a_query(edge: TestClient) -> None:
    shop = committed_shop()
    form = {"network": "direct", "key": shop.key, "subid": clicked(edge, shop), "amount": "10"}

    answer = edge.post(PATH, data=form)

    assert (answer.status_code, answer.json()) == (200, {"result": "ok"})
    ((body,),) = ask("SELECT body FROM tracking_postback")
    assert shop.key.encode() not in bytes(body)  # type: ignore[call-overload]


def test_a_wrong_key_is_401_and_kept_without_effect(edge: TestClient) -> None:
    shop = committed_shop()
    query = urlencode(
        {"network": "direct", "key": "x", "subid": clicked(edge, shop), "amount": "1"}
    )

    answer = edge.get(f"{PATH}?{query}")

    assert (answer.status_code, answer.json()) == (
        401,
        {"result": "rejected", "reason": "wrong_key"},
    )
    assert ask("SELECT result, reason FROM tracking_postback") == [("rejected", "wrong_key")]
    assert ask(CONVERSIONS) == [(0,)]


@pytest.mark.parametrize("query", ["", "network=direct", "network=nobody&key=k", "%00=%00&key=%ff"])
def test_strangers_learn_nothing_and_move_nothing(edge: TestClient, query: str) -> None:
    committed_shop()

    answer = edge.get(f"{PATH}?{query}")

    assert answer.status_code in {200, 401}
    assert answer.json()["result"] == "rejected"
    assert ask(CONVERSIONS) == [(0,)]


def test_absurd_sizes_and_other_methods_are_refused(edge: TestClient) -> None:
    committed_shop()

    assert edge.get(f"{PATH}?x={'y' * 8200}").status_code == 414
    assert edge.post(PATH, content=b"x" * 70_000).status_code == 413
    assert edge.put(PATH).status_code == 405
    assert ask("SELECT count(*) FROM tracking_postback") == [(0,)]


def test_the_same_postback_twenty_times_at_once_is_one_conversion(database: str) -> None:
    shop = committed_shop()

    async def story() -> Counter[str]:
        edge = Edge()
        transport = httpx2.ASGITransport(app=edge)
        async with httpx2.AsyncClient(transport=transport, base_url="http://x") as client:
            answer = await client.get(f"/l/{shop.link.code}", headers={"user-agent": BROWSER})
            subid = click_id(answer.headers["location"])
            query = postback(shop, subid=subid, amount="10", txn_id="t1")
            answers = await asyncio.gather(*(client.get(f"{PATH}?{query}") for _ in range(20)))
        await edge.close()
        return Counter(one.json()["result"] for one in answers)

    assert asyncio.run(story()) == {"ok": 1, "duplicate": 19}
    assert ask(CONVERSIONS) == [(1,)]
    assert ask("SELECT count(*) FROM tracking_conversion_revision") == [(1,)]
    assert ask("SELECT count(*) FROM kernel_event WHERE name = 'conversion.changed'") == [(1,)]


def test_what_fails_while_it_is_understood_is_kept_for_later(
    edge: TestClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    shop = committed_shop()
    query = postback(shop, subid=clicked(edge, shop), amount="10")
    with monkeypatch.context() as patch:
        patch.setattr(settling, "settle", lambda *_, **__: 1 / 0)
        with pytest.raises(ZeroDivisionError):
            edge.get(f"{PATH}?{query}")

    assert ask("SELECT result FROM tracking_postback") == [("received",)]


def test_who_finds_many_waiting_waits_too(database: str, monkeypatch: pytest.MonkeyPatch) -> None:
    shop = committed_shop()
    monkeypatch.setattr(intake, "WAITING_MAX", 3)
    sizes = []
    receive_all = postbacks.receive_all

    def receive(*args: Any, **given: Any) -> Any:
        sizes.append(len(given["requests"]))
        return receive_all(*args, **given)

    monkeypatch.setattr(postbacks, "receive_all", receive)

    async def story() -> Counter[int]:
        edge = Edge()
        transport = httpx2.ASGITransport(app=edge)
        async with httpx2.AsyncClient(transport=transport, base_url="http://x") as client:
            calls = (
                client.get(f"{PATH}?{postback(shop, subid='x', amount='1', txn_id=str(number))}")
                for number in range(20)
            )
            answers = await asyncio.gather(*calls)
        await edge.close()
        return Counter(one.status_code for one in answers)

    assert asyncio.run(story()) == {200: 20}
    assert max(sizes) <= 3
