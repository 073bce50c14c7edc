"""Postbacks in batches do what they do one by one, and nobody suffers from another's fault."""

import asyncio
import threading
from collections import Counter
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime, timedelta
from itertools import pairwise

import httpx2
import pytest
from fastapi.testclient import TestClient
from hypothesis import given, settings as hypothesis, strategies as st
from sqlalchemy.orm import Session

from flowlink.kernel import clock, db
from flowlink.tracking import networks, postbacks, settling
from flowlink.tracking.edge import Edge
from flowlink.tracking.networks import NetworkIn
from flowlink.tracking.postbacks import PostbackIn, PostbackResult
from tests.tracking.makers import (
    Send,
    Shop,
    ask,
    committed_shop,
    conversions,
    events,
    make_click,
    postback,
    rows,
)

STORED = """
SELECT c.dedupe_key, c.status, c.amount_micro, c.revision, c.goal, c.txn_id, c.click_id,
  c.share_bps, c.offer_version,
  array_agg(r.status || r.amount_micro ORDER BY r.revision)
FROM tracking_conversion c JOIN tracking_conversion_revision r ON r.conversion_id = c.id
GROUP BY c.id ORDER BY c.dedupe_key
"""
LOGGED = """
SELECT p.query, p.result, p.reason, p.word, p.revision, p.attempts, c.dedupe_key
FROM tracking_postback p LEFT JOIN tracking_conversion c ON c.id = p.conversion_id ORDER BY p.id
"""

word = st.sampled_from(["pending", "approved", "rejected", "reversed", "what"])
sent = st.fixed_dictionaries(
    {"subid": st.integers(0, 2), "status": word},
    optional={
        "txn_id": st.sampled_from(["a", "b"]),
        "amount": st.sampled_from(["1", "2", "x"]),
        "goal": st.sampled_from(["", "g"]),
        "network": st.sampled_from(["again", "nobody"]),
    },
)


def requests_of(queries: Sequence[str]) -> list[PostbackIn]:
    return [PostbackIn(method="GET", query=query) for query in queries]


def results(found: Sequence[PostbackResult]) -> list[tuple[str, str | None]]:
    return [(one.result.value, one.reason) for one in found]


def again(session: Session, shop: Shop, now: datetime) -> None:
    """A network that pays again for one click."""
    given = NetworkIn(name="again", rebill=True, key="another-key-of-sixteen")
    networks.create(session, given=given, actor="test", now=now)


@given(stream=st.lists(sent, max_size=14), cuts=st.sets(st.integers(1, 13), max_size=4))
@hypothesis(max_examples=60)
def test_a_stream_means_the_same_however_it_is_cut(
    session: Session,
    shop: Shop,
    click: str,
    now: datetime,
    stream: list[dict[str, str]],
    cuts: set[int],
) -> None:
    with session.begin_nested() as undone:
        again(session, shop, now)
        clicks = [click, make_click(session, shop, now), "not-a-click"]
        queries = []
        for fields in stream:
            named = {**fields, "subid": clicks[int(fields["subid"])]}
            if fields.get("network") == "again":
                named["key"] = "another-key-of-sixteen"
            queries.append(postback(shop, **named))
        requests = requests_of(queries)
        ends = sorted({0, len(requests)} | {cut for cut in cuts if cut < len(requests)})

        seen = []
        for pieces in (pairwise(range(len(requests) + 1)), pairwise(ends)):
            with session.begin_nested() as once:
                answers = []
                for start, end in pieces:
                    some = requests[start:end]
                    answers += results(postbacks.receive_all(session, requests=some, now=now))
                seen.append((answers, rows(session, STORED), rows(session, LOGGED)))
                once.rollback()
            session.expire_all()
        undone.rollback()

    assert seen[0] == seen[1]


def test_ten_thousand_identical_ones_are_one_conversion(
    session: Session, shop: Shop, click: str, now: datetime
) -> None:
    query = postback(shop, subid=click, amount="10", txn_id="t1")
    seen: Counter[str] = Counter()
    for _ in range(20):
        found = postbacks.receive_all(session, requests=requests_of([query] * 500), now=now)
        seen.update(one.result.value for one in found)

    assert seen == {"ok": 1, "duplicate": 9_999}
    assert conversions(session) == [("approved", 1000, 1)]
    assert events(session) == 1
    assert rows(session, "SELECT count(*) FROM tracking_postback") == [(10_000,)]


def test_a_batch_wakes_others_once(session: Session, shop: Shop, click: str, now: datetime) -> None:
    steps = [
        postback(shop, subid=click, amount="10", txn_id="t1", status=status)
        for status in ("pending", "approved", "reversed", "approved")
    ]

    found = postbacks.receive_all(session, requests=requests_of(steps), now=now)

    assert [one.result for one in found] == ["ok", "ok", "ok", "duplicate"]
    assert conversions(session) == [("reversed", 1000, 3)]
    assert events(session) == 1


@pytest.fixture
def rebilling(session: Session, shop: Shop) -> Shop:
    networks.named(session, "direct").rebill = True
    session.flush()
    return shop


def test_a_return_without_number_takes_back_the_newest_payment(
    rebilling: Shop, send: Send, session: Session, click: str, now: datetime
) -> None:
    day = timedelta(days=1)
    for number, amount in enumerate(("10", "20", "10")):
        assert send(subid=click, amount=amount, at=now + number * day)[0] == "ok"
    send(subid=click, amount="30", txn_id="named", at=now + 3 * day)

    returned = send(subid=click, amount="10", status="reversed", at=now + 9 * day)
    repeated = send(subid=click, amount="10", status="reversed", at=now + 10 * day)
    newest = send(subid=click, status="reversed", at=now + 11 * day)

    assert (returned, repeated) == (("ok", None), ("duplicate", "already_known"))
    assert newest == ("ok", None)
    assert conversions(session) == [
        ("approved", 1000, 1),
        ("approved", 2000, 1),
        ("reversed", 1000, 2),
        ("reversed", 3000, 2),
    ]


def test_a_return_of_nothing_waits_for_a_person(
    rebilling: Shop, send: Send, session: Session, click: str, now: datetime
) -> None:
    send(subid=click, amount="10")

    for fields in ({"amount": "11"}, {"goal": "other"}):
        answer = send(subid=click, status="reversed", **fields)
        assert answer == ("quarantined", "nothing_to_take_back")

    assert conversions(session) == [("approved", 1000, 1)]


@pytest.fixture
def edge(database: str) -> Iterator[TestClient]:
    with TestClient(Edge(), follow_redirects=False) as client:
        yield client


def committed_click(shop: Shop) -> str:
    with db.write() as session:
        return make_click(session, shop, clock.now())


@pytest.mark.usefixtures("database")
def test_one_bad_postback_spoils_only_its_own_answer(monkeypatch: pytest.MonkeyPatch) -> None:
    shop = committed_shop()
    click = committed_click(shop)
    true_settle = settling.settle

    def settle(session: Session, told: Sequence[settling.Told], *, now: datetime) -> object:
        if any(one.claim.txn_id == "bad" for one in told):
            raise ArithmeticError
        return true_settle(session, told, now=now)

    monkeypatch.setattr(settling, "settle", settle)

    async def story() -> list[object]:
        edge = Edge()
        transport = httpx2.ASGITransport(app=edge, raise_app_exceptions=True)
        async with httpx2.AsyncClient(transport=transport, base_url="http://x") as client:
            queries = [
                postback(shop, subid=click, amount="1", txn_id=name)
                for name in ("a", "bad", "b", "c", "a")
            ]
            calls = (client.get(f"/aff/postback?{query}") for query in queries)
            answers = await asyncio.gather(*calls, return_exceptions=True)
        await edge.close()
        return [
            one.json()["result"] if isinstance(one, httpx2.Response) else type(one)
            for one in answers
        ]

    assert asyncio.run(story()) == ["ok", ArithmeticError, "ok", "ok", "duplicate"]
    assert ask("SELECT count(*) FROM tracking_conversion") == [(3,)]
    assert ask("SELECT count(*) FROM tracking_postback WHERE result = 'received'") == [(1,)]


@pytest.mark.usefixtures("database")
def test_two_processes_with_the_same_sales_never_quarrel() -> None:
    shop = committed_shop()
    click = committed_click(shop)
    queries = [postback(shop, subid=click, amount="1", txn_id=f"t{n}") for n in range(60)]
    together = threading.Barrier(2, timeout=20)

    def receive(some: list[str]) -> Counter[str]:
        seen: Counter[str] = Counter()
        for start in range(0, len(some), 20):
            together.wait()
            with db.write() as session:
                requests = requests_of(some[start : start + 20])
                found = postbacks.receive_all(session, requests=requests, now=clock.now())
            seen.update(one.result.value for one in found)
        return seen

    turned = [*reversed(queries[:20]), *reversed(queries[20:40]), *reversed(queries[40:])]
    with ThreadPoolExecutor(2) as pool:
        first, second = pool.map(receive, (queries, turned))

    assert first + second == {"ok": 60, "duplicate": 60}
    assert ask("SELECT count(*) FROM tracking_conversion_revision") == [(60,)]


@pytest.mark.usefixtures("database")
def test_a_return_waits_for_a_payment_that_is_being_stored() -> None:
    shop = committed_shop()
    click = committed_click(shop)
    with db.write() as session:
        networks.named(session, "direct").rebill = True

    def take_back() -> PostbackResult:
        query = postback(shop, subid=click, amount="5", status="reversed")
        with db.write() as session:
            (found,) = postbacks.receive_all(
                session, requests=requests_of([query]), now=clock.now()
            )
        return found

    with ThreadPoolExecutor(1) as pool:
        with db.write() as session:
            paid = postback(shop, subid=click, amount="5", txn_id="p1")
            postbacks.receive_all(session, requests=requests_of([paid]), now=clock.now())
            returned = pool.submit(take_back)
            while not returned.done():
                if ask("SELECT count(*) FROM pg_locks WHERE NOT granted") != [(0,)]:
                    break
        assert returned.result().result == "ok"

    assert ask("SELECT status FROM tracking_conversion") == [("reversed",)]
