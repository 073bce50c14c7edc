"""Clicks from the outside: what is answered, what is stored, what counts."""

import re
from collections.abc import Iterator
from functools import partial
from urllib.parse import parse_qs, urlsplit

import pytest
from fastapi.testclient import TestClient

from flowlink.kernel import clock, db
from flowlink.tracking import clickid, networks, offers, service
from flowlink.tracking.edge import Edge
from flowlink.tracking.ids import LinkId
from flowlink.tracking.models import Mode
from flowlink.tracking.networks import NetworkIn
from flowlink.tracking.offers import OfferIn
from tests.tracking.makers import BROWSER, ask, click_id, committed_shop, eventually

COUNTED = "SELECT coalesce(sum(valid), 0), coalesce(sum(flagged), 0) FROM "
ROLLUPS = ("tracking_click_minute", "tracking_click_hour", "tracking_click_day")


@pytest.fixture
def edge(database: str) -> Iterator[TestClient]:
    with TestClient(Edge(), follow_redirects=False) as client:
        client.headers["user-agent"] = BROWSER
        yield client


def counts() -> set[tuple[object, ...]]:
    """Valid and flagged clicks, as every rollup and the clicks themselves tell it."""
    tables = (*ROLLUPS, "tracking_click_link_day")
    raw = "SELECT count(*) FILTER (WHERE reason = 0), count(*) FILTER (WHERE reason <> 0) "
    return {ask(COUNTED + table)[0] for table in tables} | {ask(raw + "FROM tracking_click")[0]}


def leads_nowhere(edge: TestClient, code: str) -> bool:
    return edge.get(f"/l/{code}").status_code == 404


def test_a_click_is_stored_and_sent_on(edge: TestClient) -> None:
    shop = committed_shop()

    answer = edge.get(f"/l/{shop.link.code}", headers={"referer": "https://blog.example/post?x=1"})

    assert answer.status_code == 302
    assert answer.headers["cache-control"] == "no-store"
    ref = clickid.read(click_id(answer.headers["location"]))
    assert answer.headers["location"].startswith("http://testserver/go?subid=")
    assert ref is not None
    assert ask(
        "SELECT c.id, c.link, host, text, reason FROM tracking_click c"
        " JOIN tracking_agent a ON a.id = agent JOIN tracking_referrer r ON r.id = referrer"
    ) == [(ref.number, shop.link.number, "blog.example", BROWSER, 0)]
    assert counts() == {(1, 0)}


def test_a_click_lands_on_the_partition_of_its_day(edge: TestClient) -> None:
    shop = committed_shop()

    edge.get(f"/l/{shop.link.code}")

    assert ask("SELECT count(*) FROM tracking_click_default") == [(0,)]
    assert ask(f"TABLE tracking_click_{clock.now():%Y%m%d}") == ask("TABLE tracking_click")


def test_the_second_click_of_a_visitor_does_not_count(edge: TestClient) -> None:
    shop, other = committed_shop(), committed_shop()

    for code in (shop.link.code, shop.link.code, other.link.code):
        assert edge.get(f"/l/{code}").status_code == 302
    edge.get(f"/l/{shop.link.code}", headers={"user-agent": BROWSER.replace("131", "132")})

    assert counts() == {(3, 1)}
    assert ask("SELECT reason FROM tracking_click WHERE reason <> 0") == [(4,)]


@pytest.mark.parametrize(
    ("headers", "reason"),
    [
        ({"user-agent": "Googlebot/2.1 (+http://www.google.com/bot.html)"}, 1),
        ({"user-agent": "WhatsApp/2.24"}, 1),
        ({"user-agent": ""}, 1),
        ({"sec-purpose": "prefetch;prerender"}, 2),
        ({"purpose": "prefetch"}, 2),
        ({"x-moz": "prefetch"}, 2),
    ],
)
def test_a_machine_is_sent_on_but_does_not_count(
    edge: TestClient, headers: dict[str, str], reason: int
) -> None:
    shop = committed_shop()

    assert edge.get(f"/l/{shop.link.code}", headers=headers).status_code == 302

    assert ask("SELECT reason FROM tracking_click") == [(reason,)]
    assert counts() == {(0, 1)}


def test_head_is_sent_on_but_does_not_count_nor_spoil_the_visit_after_it(edge: TestClient) -> None:
    shop = committed_shop()

    head = edge.head(f"/l/{shop.link.code}")
    edge.get(f"/l/{shop.link.code}")

    assert (head.status_code, head.content) == (302, b"")
    assert ask("SELECT reason FROM tracking_click ORDER BY id") == [(3,), (0,)]
    assert counts() == {(1, 1)}


def test_no_address_of_a_visitor_is_kept(edge: TestClient) -> None:
    shop = committed_shop()

    edge.get(f"/l/{shop.link.code}", headers={"x-forwarded-for": "203.0.113.77"})

    with db.read() as session:
        columns = session.connection().exec_driver_sql(
            "SELECT c::text || s::text || seen::text FROM tracking_click c, tracking_salt s,"
            " tracking_seen seen"
        )
        assert all("203.0.113.77" not in row[0] for row in columns)


@pytest.mark.parametrize("code", ["nosuchcode", "NoSuchCode/", "ast_01abc?pid=par_01abc"])
def test_an_unknown_code_gets_a_friendly_page_and_is_counted(edge: TestClient, code: str) -> None:
    committed_shop()

    answer = edge.get(f"/l/{code}")

    assert answer.status_code == 404
    assert answer.headers["content-type"] == "text/html; charset=utf-8"
    assert "Ce lien ne mène nulle part" in answer.text
    assert ask("SELECT reason, count FROM tracking_miss") == [("unknown", 1)]
    assert counts() == {(0, 0)}


def test_the_page_speaks_english_to_those_who_ask_for_it(edge: TestClient) -> None:
    answer = edge.get("/l/nosuchcode", headers={"accept-language": "en-GB,en;q=0.9"})

    assert "This link leads nowhere" in answer.text
    assert 'lang="en"' in answer.text


def test_a_disabled_link_and_one_of_a_closed_partner_lead_nowhere(edge: TestClient) -> None:
    shop, closed = committed_shop(), committed_shop()
    with db.write() as session:
        service.disable_link(session, link_id=LinkId(shop.link.id), now=clock.now())
        session.connection().exec_driver_sql(
            "UPDATE partners_partner SET status = 'closed' WHERE id = %s", (closed.partner_id,)
        )

    for one in (shop, closed):
        eventually(partial(leads_nowhere, edge, one.link.code))

    assert ask("SELECT reason, count FROM tracking_miss") == [("disabled", 2)]


HOSTILE = ["%00", "a%00b", "..%2f..%2fetc", "x" * 500, "%F0%9F%98%80", "%ff%fe", "", "a b", "a'--"]


@pytest.mark.parametrize("code", HOSTILE)
def test_a_hostile_code_is_a_miss(edge: TestClient, code: str) -> None:
    committed_shop()

    assert edge.get(f"/l/{code}").status_code == 404

    assert counts() == {(0, 0)}
    assert ask("SELECT sum(count) FROM tracking_miss") == [(1,)]


@pytest.mark.parametrize(
    "headers",
    [
        {"user-agent": "x" * 10_000},
        {"user-agent": "Mozilla \x80\xff\xfe"},
        {"referer": "http://[broken"},
        {"referer": "x" * 10_000},
        {"x-forwarded-for": "1.2.3.4, nonsense, ' OR 1=1"},
        {"accept-language": "\xff" * 100, "cookie": "lang=xx"},
    ],
)
def test_hostile_headers_change_nothing(edge: TestClient, headers: dict[str, str]) -> None:
    shop = committed_shop()
    raw = [(name.encode(), value.encode("latin-1")) for name, value in headers.items()]

    assert edge.get(f"/l/{shop.link.code}", headers=raw).status_code == 302
    assert edge.get("/l/unknown", headers=raw).status_code == 404


def test_an_edge_says_that_it_lives_and_is_ready(edge: TestClient) -> None:
    lives, ready = edge.get("/healthz"), edge.get("/readyz")

    assert (lives.status_code, lives.text) == (200, "ok")
    assert (ready.status_code, ready.json()) == (200, {"ready": True, "problems": []})
    assert (edge.head("/healthz").text, edge.post("/healthz").status_code) == ("", 405)
    assert ask("TABLE tracking_miss") == []


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "OPTIONS", "PATCH"])
def test_other_methods_are_refused_and_not_stored(edge: TestClient, method: str) -> None:
    shop = committed_shop()

    answer = edge.request(method, f"/l/{shop.link.code}")

    assert (answer.status_code, answer.headers["allow"]) == (405, "GET, HEAD")
    assert counts() == {(0, 0)}


def test_the_visitor_neither_chooses_the_destination_nor_replaces_our_parameter(
    edge: TestClient,
) -> None:
    shop = committed_shop()
    hostile = (
        "subid=evil&SubId[]=evil&sub%69d=evil&url=https://evil.example&a=1%3bsubid=evil&%0d%0aX:=1"
    )

    location = edge.get(f"/l/{shop.link.code}?{hostile}&utm_source=x").headers["location"]

    assert re.fullmatch(r"[\x21-\x7e]+", location)
    parts = urlsplit(location)
    query = parse_qs(parts.query, separator="&")
    assert (parts.scheme, parts.netloc, parts.path) == ("http", "testserver", "/go")
    assert clickid.read(query["subid"][0])
    assert len(query["subid"]) == 1
    assert query["utm_source"] == ["x"]
    assert ";" not in parts.query


def test_a_ten_kilobyte_query_is_dropped_and_the_click_stored(edge: TestClient) -> None:
    shop = committed_shop()

    answer = edge.get(f"/l/{shop.link.code}?x={'y' * 10_000}")

    assert answer.status_code == 302
    assert len(answer.headers["location"]) < 200
    assert counts() == {(1, 0)}


def test_the_networks_own_parameter_carries_the_click_before_the_fragment(edge: TestClient) -> None:
    with db.write() as session:
        network = networks.create(
            session,
            given=NetworkIn(name="acme", fields={"subid": "aff_sub"}),
            actor="test",
            now=clock.now(),
        )
        offers.create(
            session,
            given=OfferIn(
                name="acme-shop",
                mode=Mode.REVSHARE,
                destination="https://shop.example/p?a=1&aff_sub=theirs#buy",
            ),
            network=network,
            actor="test",
            now=clock.now(),
        )
    shop = committed_shop()
    with db.write() as session:
        offer = offers.named(session, "acme-shop")
        session.connection().exec_driver_sql(
            "UPDATE tracking_link SET offer_id = %s WHERE id = %s", (offer.id, shop.link.id)
        )

    def location() -> str:
        return edge.get(f"/l/{shop.link.code}?a=2&b=%C3%A9").headers["location"]

    eventually(lambda: "shop.example" in location())

    pattern = r"https://shop\.example/p\?a=1&b=%C3%A9&aff_sub=([0-9a-z]{36})#buy"
    found = re.fullmatch(pattern, location())
    assert found
    assert clickid.read(found[1])


def test_a_link_works_from_the_moment_it_was_made_and_in_capitals_if_typed_so(
    edge: TestClient,
) -> None:
    assert edge.get("/l/summer").status_code == 404
    committed_shop(slug="summer")

    assert edge.get("/l/summer").status_code == 302
    assert edge.get("/l/Summer/").status_code == 302
