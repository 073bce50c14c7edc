"""Links, networks and offers over HTTP."""

from datetime import datetime
from typing import Any

import pytest
from fastapi.testclient import TestClient
from sqlalchemy.orm import Session

from flowlink.identity import service as identity
from flowlink.tracking import networks, offers, service
from flowlink.tracking.models import Mode
from flowlink.tracking.offers import OfferIn
from tests.tracking.makers import Shop, make_partner, postback, rows

LINKS = "/api/partner/links"
ADMIN = {"x-admin-secret": "an-admin-secret-for-tests-only"}


def count(session: Session, table: str) -> int:
    ((counted,),) = rows(session, f"SELECT count(*) FROM {table}")  # noqa: S608
    assert isinstance(counted, int)
    return counted


@pytest.fixture
def partner(session: Session, client: TestClient, shop: Shop, now: datetime) -> TestClient:
    """The client, carrying the key of the shop's partner."""
    key = identity.make_api_key(
        session, owner_kind="partner", owner_id=shop.partner_id, scopes=None, actor="test", now=now
    )
    client.headers["authorization"] = f"Bearer {key}"
    return client


def test_a_partner_makes_a_link(session: Session, partner: TestClient, shop: Shop) -> None:
    answer = partner.post(LINKS, json={})

    assert answer.status_code == 201
    made = answer.json()
    assert set(made) == {"id", "code", "url"}
    assert made["id"].startswith("lnk_")
    assert made["url"] == f"http://testserver/l/{made['code']}"
    assert len(made["code"]) >= 7
    listed = partner.get(LINKS).json()
    assert [one["code"] for one in listed["links"]] == [made["code"], shop.link.code]
    assert listed["next"] is None


def test_the_same_wish_for_a_name_gives_the_same_link(
    session: Session, partner: TestClient, shop: Shop, now: datetime
) -> None:
    first, again = (partner.post(LINKS, json={"slug": "My-Summer"}) for _ in range(2))
    other = service.create_link(
        session, partner_id=make_partner(session, now=now), slug="taken-one", now=now
    )

    taken = partner.post(LINKS, json={"slug": other.code})

    assert first.json() == again.json()
    assert first.json()["code"] == "My-Summer"
    assert (taken.status_code, taken.headers["content-type"]) == (409, "application/problem+json")
    assert count(session, "tracking_link") == 3


@pytest.mark.parametrize(
    "body",
    [
        {"slug": "ab"},
        {"slug": "admin"},
        {"slug": "has space"},
        {"slug": "é" * 5},
        {"slug": "par_123"},
        {"slug": "x" * 51},
        {"slug": "nul\x00nul"},
        {"destination": "https://evil.example/"},
        {"destination": "http://testserver.evil.example/go"},
        {"destination": "http://testserver@evil.example/"},
        {"destination": "http://testserver:81/go"},
        {"destination": "//evil.example"},
        {"destination": "javascript:alert(1)"},
        {"destination": "http://evil.example\\@testserver/"},
        {"destination": "{base_url}.evil.example/"},
        {"destination": "nowhere"},
        {"expires_at": "9999-12-31T23:59:59-14:00"},
        {"expires_at": "0001-01-01T00:00:00+14:00"},
        {"nonsense": 1},
        {"slug": 5},
        [],
        None,
    ],
)
def test_a_bad_wish_is_refused_and_makes_no_link(
    session: Session, partner: TestClient, body: object
) -> None:
    assert partner.post(LINKS, json=body).status_code == 422

    assert count(session, "tracking_link") == 1


def test_an_unknown_offer_is_not_found(session: Session, partner: TestClient) -> None:
    for name in ("nope", "off_00000000000000000000000000", "off_"):
        assert partner.post(LINKS, json={"offer": name}).status_code == 404

    assert count(session, "tracking_link") == 1


def test_a_destination_may_be_any_page_of_an_allowed_host(
    session: Session, partner: TestClient, now: datetime
) -> None:
    given = OfferIn(
        name="shop",
        mode=Mode.REVSHARE,
        destination="https://shop.example/land",
        allowed_hosts=["*.shop.example"],
    )
    network = networks.named(session, "direct")
    offers.create(session, given=given, network=network, actor="test", now=now)

    for page in (
        "https://shop.example/p/1?x=1",
        "https://fr.shop.example/",
        "https://SHOP.example",
    ):
        body = {"offer": "shop", "destination": page}
        assert partner.post(LINKS, json=body).status_code == 201

    body = {"offer": "shop", "destination": "https://evilshop.example/"}
    assert partner.post(LINKS, json=body).status_code == 422


def test_a_partner_makes_a_link_with_a_form(session: Session, partner: TestClient) -> None:
    form = {"offer": "", "destination": " ", "slug": "by-hand", "unknown": "ignored"}

    made = partner.post("/partner/links", data=form, follow_redirects=False)
    refused = partner.post("/partner/links", data={"slug": "admin"}, follow_redirects=False)

    assert (made.status_code, made.headers["location"]) == (303, "/partner/portal")
    assert refused.status_code == 400
    assert rows(session, "SELECT destination FROM tracking_link WHERE code = 'by-hand'") == [
        (None,)
    ]
    assert count(session, "tracking_link") == 2


def test_links_are_a_partners_own(client: TestClient, shop: Shop) -> None:
    assert client.get(LINKS).status_code == 401
    assert client.post(LINKS, json={}).status_code == 401


def test_lists_page(session: Session, partner: TestClient, shop: Shop, now: datetime) -> None:
    for _ in range(60):
        service.create_link(session, partner_id=shop.partner_id, now=now)

    first = partner.get(LINKS).json()
    second = partner.get(LINKS, params={"cursor": first["next"]}).json()

    codes = [one["code"] for one in first["links"] + second["links"]]
    assert (len(first["links"]), len(set(codes)), second["next"]) == (50, 61, None)
    assert partner.get(LINKS, params={"cursor": "garbage"}).status_code == 422


def test_a_partner_sees_their_conversions(
    session: Session, partner: TestClient, shop: Shop
) -> None:
    ((number,),) = rows(session, "SELECT number FROM partners_partner")
    sent = postback(shop, subid=f"{number}:{shop.link.code}:1", amount="10", txn_id="t1")

    answer = partner.get(f"/aff/postback?{sent}", headers={"authorization": ""})
    listed = partner.get("/api/partner/conversions").json()

    assert answer.json() == {"result": "ok"}
    (row,) = listed["conversions"]
    assert (row["status"], row["txn_id"], row["link"]) == ("approved", "t1", shop.link.code)
    assert row["amount"] == {"amount": "10.00", "currency": "EUR"}
    assert row["commission"] == {"amount": "6.00", "currency": "EUR"}
    assert row["id"].startswith("cnv_")


def test_the_page_that_links_lead_to_shows_what_arrived(client: TestClient) -> None:
    answer = client.get("/go", params={"subid": "<b>x</b>", "utm": "é"})

    assert answer.status_code == 200
    assert "&lt;b&gt;x&lt;/b&gt;" in answer.text
    assert "<b>x</b>" not in answer.text


def make_network(client: TestClient, **body: Any) -> Any:
    answer = client.post("/api/admin/networks", json={"name": "acme"} | body, headers=ADMIN)
    assert answer.status_code == 201, answer.text
    return answer.json()


def test_an_operator_adds_a_network_and_an_offer(session: Session, client: TestClient) -> None:
    made = make_network(
        client,
        fields={"subid": "aff_sub", "payout": "amount"},
        statuses={"approved": ["1", "Sale"], "wait": "pending"},
        amount_unit="cents",
        addresses=["198.51.100.7"],
    )

    assert made["click_param"] == "aff_sub"
    assert made["fields"]["amount"] == "payout"
    assert made["statuses"] == {
        "1": "approved",
        "sale": "approved",
        "wait": "pending",
        "pending": "pending",
        "approved": "approved",
        "rejected": "rejected",
        "reversed": "reversed",
    }
    assert f"key={made['key']}" in made["postback_url"]
    assert "aff_sub={subid}" in made["postback_url"]
    body = {
        "name": "summer",
        "network": "acme",
        "mode": "cpc",
        "destination": "https://shop.example/",
        "cpc": "0.085",
        "budget": {"amount": "100", "currency": "EUR"},
    }
    answer = client.post("/api/admin/offers", json=body, headers=ADMIN)
    assert answer.status_code == 201
    assert offers.named(session, "summer").cpc_micro == 85_000
    assert answer.json()["budget"] == {"amount": "100.00", "currency": "EUR"}
    listed = client.get("/api/admin/networks", headers=ADMIN).json()["networks"]
    assert "key" not in listed[0]
    assert client.get("/api/admin/offers", headers=ADMIN).json()["offers"][0]["name"] == "summer"
    actions = {row[0] for row in rows(session, "SELECT action FROM kernel_audit")}
    assert {"network.created", "offer.created"} <= actions


@pytest.mark.parametrize(
    "body",
    [
        {"name": "bad/name"},
        {"name": "acme", "fields": {"subid": "key"}},
        {"name": "acme", "fields": {"what": "ever"}},
        {"name": "acme", "fields": {"amount": "subid"}},
        {"name": "acme", "statuses": {"ok": "maybe"}},
        {"name": "acme", "statuses": {" ": "approved"}},
        {"name": "acme", "statuses": {"Paid": "approved", "paid": "rejected"}},
        {"name": "acme", "addresses": ["not an address"]},
        {"name": "acme", "currency": "USD"},
        {"name": "acme", "key": "short"},
        {"name": "acme", "lookback_days": 0},
        {"name": "acme", "unknown": 1},
        {},
    ],
)
def test_a_bad_network_is_refused(session: Session, client: TestClient, body: object) -> None:
    before = count(session, "tracking_network")

    assert client.post("/api/admin/networks", json=body, headers=ADMIN).status_code == 422

    assert count(session, "tracking_network") == before


@pytest.mark.parametrize(
    ("change", "status"),
    [
        ({"name": "default"}, 409),
        ({"network": "nope"}, 404),
        ({"mode": "cpa"}, 422),
        ({"mode": "cpc"}, 422),
        ({"mode": "cpc", "cpc": 0}, 422),
        ({"cpc": "0.10"}, 422),
        ({"share": "1.01"}, 422),
        ({"share": "0.33333"}, 422),
        ({"share": -0.1}, 422),
        ({"share": "NaN"}, 422),
        ({"budget": "-1"}, 422),
        ({"budget": True}, 422),
        ({"budget": {"amount": "1", "currency": "USD"}}, 422),
        ({"destination": "ftp://x"}, 422),
        ({"allowed_hosts": ["a/b"]}, 422),
        ({"allowed_hosts": ["*"]}, 422),
        ({"surprise": 1}, 422),
    ],
)
def test_a_bad_offer_is_refused(
    session: Session, client: TestClient, shop: Shop, change: dict[str, Any], status: int
) -> None:
    body = {
        "name": "o",
        "network": "direct",
        "mode": "revshare",
        "destination": "https://s.example/",
    }
    before = count(session, "tracking_offer")

    answer = client.post("/api/admin/offers", json=body | change, headers=ADMIN)

    assert (answer.status_code, count(session, "tracking_offer")) == (status, before)


def test_networks_and_offers_are_for_operators(client: TestClient, partner: TestClient) -> None:
    for path in ("/api/admin/networks", "/api/admin/offers"):
        assert partner.get(path).status_code == 403
        assert partner.post(path, json={}).status_code == 403


def test_names_are_taken_once(session: Session, client: TestClient) -> None:
    make_network(client)

    answer = client.post("/api/admin/networks", json={"name": "acme"}, headers=ADMIN)

    assert answer.status_code == 409
