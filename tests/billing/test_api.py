"""The resources' API as the contract gives it, driven from outside."""

from collections.abc import Iterator

import pytest
from fastapi.testclient import TestClient
from sqlalchemy import select
from sqlalchemy.orm import Session

from flowlink.app import checks
from flowlink.billing.models import Payment, Resource
from flowlink.billing.sandbox import Card
from flowlink.kernel import clock, settings
from tests.billing.makers import Shop, pro_team
from tests.teams.makers import make_team, team_key


@pytest.fixture
def shop(client: TestClient, session: Session) -> Iterator[Shop]:
    yield Shop(client, session, pro_team(session))
    assert checks.problems(session) == []


def test_the_contracts_sum(shop: Shop) -> None:
    for kind, quantity in (("ram", 1), ("cpu", 2), ("traffic", 2), ("storage", 1)):
        shop.bought(kind, quantity)

    assert shop.get("limits") == {
        "cpu_cores": 6,
        "memory_mb": 6644,
        "traffic_gb": 30,
        "storage_mb": 20480,
        "plan_limits": {
            "cpu_cores": 4,
            "memory_mb": 6144,
            "traffic_gb": 10,
            "storage_mb": 10240,
        },
        "additional_resources": {
            "ram_mb": 500,
            "cpu_cores": 2,
            "traffic_gb": 20,
            "storage_gb": 10,
        },
    }


def test_what_is_on_sale(shop: Shop) -> None:
    found = {one["type"]: one for one in shop.get("available")["resources"]}

    assert {kind: one["price"] for kind, one in found.items()} == {
        "ram": 1.0,
        "cpu": 2.0,
        "traffic": 1.0,
        "storage": 1.0,
    }
    assert set(found["ram"]) >= {"type", "name", "unit", "price", "currency", "description", "icon"}


def test_a_purchase_waits_for_its_payment(shop: Shop) -> None:
    order = shop.buy("cpu", 2).json()

    assert order["amount"] == 4.0
    assert order["payment_url"].endswith(f"/sandbox/pay/{order['payment_id']}")
    (line,) = shop.get("list")["resources"]
    assert (line["status"], line["expires_at"]) == ("pending", None)
    assert shop.get("limits")["cpu_cores"] == 4


def test_a_paid_one_counts_at_once(shop: Shop) -> None:
    order = shop.bought("cpu", 2)

    listed = shop.get("list")
    assert listed["totals"] == {"ram_mb": 0, "cpu_cores": 2, "traffic_gb": 0, "storage_gb": 0}
    assert shop.status(order["resource_id"]) == "active"
    assert listed["resources"][0]["expires_at"] is not None


@pytest.mark.parametrize(
    "body",
    [
        {"resource_type": "gpu", "quantity": 1},
        {"resource_type": "cpu", "quantity": 0},
        {"resource_type": "cpu", "quantity": -1},
        {"resource_type": "cpu", "quantity": 17},
        {"resource_type": "ram", "quantity": 33},
        {"resource_type": "ram", "quantity": 1.5},
        {"resource_type": "ram", "quantity": "1"},
        {"resource_type": "ram"},
        {"resource_type": "ram", "quantity": 1, "price": 0},
    ],
)
def test_what_cannot_be_bought_is_refused(shop: Shop, body: dict[str, object]) -> None:
    answer = shop.client.post(f"{shop.base}/purchase", json=body, headers=shop.headers)

    assert answer.status_code == 422
    assert answer.headers["content-type"] == "application/problem+json"
    assert shop.session.scalars(select(Payment)).all() == []


@pytest.mark.parametrize(
    ("kind", "quantity", "word", "field"),
    [
        ("ram", 0, "quantity-out-of-range", "quantity"),
        ("ram", -1, "quantity-out-of-range", "quantity"),
        ("ram", 33, "quantity-out-of-range", "quantity"),
        ("ram", 10**30, "quantity-out-of-range", "quantity"),
        ("gpu", 1, "unknown-addon", "resource_type"),
        ("plan", 1, "unknown-addon", "resource_type"),
    ],
)
def test_one_reason_has_one_name(
    shop: Shop, kind: str, quantity: int, word: str, field: str
) -> None:
    answer = shop.buy(kind, quantity)

    assert answer.status_code == 422
    assert answer.json()["type"] == f"urn:flowlink:problem:{word}"
    assert answer.json()["errors"][0]["field"] == field


def test_a_team_cannot_have_more_than_the_maximum(shop: Shop) -> None:
    shop.bought("cpu", 16)

    assert shop.buy("cpu", 1).status_code == 422


def test_add_ons_need_the_plan_pro(client: TestClient, session: Session) -> None:
    shop = Shop(client, session, make_team(session))

    refused = shop.buy("ram")

    assert refused.status_code == 403
    assert refused.json()["type"] == "urn:flowlink:problem:not-pro"
    assert shop.get("limits")["memory_mb"] == 512


def test_the_same_key_is_the_same_purchase(shop: Shop) -> None:
    first = shop.buy("ram", 2, **{"Idempotency-Key": "one"})
    again = shop.buy("ram", 2, **{"Idempotency-Key": "one"})
    other = shop.buy("ram", 3, **{"Idempotency-Key": "one"})

    assert again.json() == first.json()
    assert other.status_code == 409
    assert len(shop.session.scalars(select(Resource).where(Resource.kind == "ram")).all()) == 1


def test_a_key_answers_after_its_payment_too(shop: Shop) -> None:
    first = shop.buy("ram", 1, **{"Idempotency-Key": "k"}).json()
    shop.pay(first["payment_id"])

    again = shop.buy("ram", 1, **{"Idempotency-Key": "k"})

    assert again.status_code == 201
    assert again.json()["payment_id"] == first["payment_id"]


def test_a_cancelled_one_stays_to_its_end(shop: Shop) -> None:
    order = shop.bought("cpu")

    answer = shop.cancel(order["resource_id"])

    assert answer.status_code == 200
    assert answer.json()["status"] == "active"
    assert answer.json()["expires_at"] is not None
    assert not answer.json()["auto_renew"]
    assert shop.get("limits")["cpu_cores"] == 5
    assert shop.cancel(order["resource_id"]).json() == answer.json()


def test_an_unpaid_one_is_cancelled_at_once(shop: Shop) -> None:
    order = shop.buy("cpu").json()

    assert shop.cancel(order["resource_id"]).json()["status"] == "cancelled"


def test_another_teams_add_on_does_not_exist(shop: Shop) -> None:
    order = shop.bought("cpu")
    other = pro_team(shop.session, slug="other")
    key = team_key(shop.session, other)

    mine = shop.client.delete(f"{shop.base}/cancel/{order['resource_id']}", headers=key)
    theirs = shop.client.delete(f"/api/resources/other/cancel/{order['resource_id']}", headers=key)

    assert mine.status_code == theirs.status_code == 404
    assert shop.status(order["resource_id"]) == "active"


def test_a_long_list_pages(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("flowlink.billing.api.PAGE", 2)
    bought = [shop.buy("ram").json()["resource_id"] for _ in range(5)]

    found, cursor = [], ""
    for _ in range(3):
        page = shop.get(f"list?cursor={cursor}")
        found.append([one["id"] for one in page["resources"]])
        cursor = page.get("next", "")

    assert [len(ids) for ids in found] == [2, 2, 1]
    assert [key for ids in found for key in ids] == bought[::-1]
    assert "next" not in page
    wrong = shop.client.get(f"{shop.base}/list?cursor=x", headers=shop.headers)
    assert (wrong.status_code, wrong.json()["type"]) == (422, "urn:flowlink:problem:bad-cursor")


def test_calls_are_counted_in_headers(shop: Shop) -> None:
    answer = shop.client.get(f"{shop.base}/limits", headers=shop.headers)

    assert int(answer.headers["ratelimit-remaining"]) < int(answer.headers["ratelimit-limit"])
    assert 0 < int(answer.headers["ratelimit-reset"]) <= 60


def test_refusals_say_too_how_many_calls_are_left(
    shop: Shop, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("flowlink.billing.deps.PER_MINUTE", 3)
    moment = clock.now()
    monkeypatch.setattr(clock, "now", lambda: moment)

    refused = [
        shop.buy("ram", 99),
        shop.client.post(f"{shop.base}/purchase", json={}, headers=shop.headers),
        shop.cancel("res_01m7zwssmqfpwreyjrnk393e9x"),
    ]
    over = shop.client.get(f"{shop.base}/limits", headers=shop.headers)

    assert [answer.status_code for answer in refused] == [422, 422, 404]
    assert [answer.headers["ratelimit-remaining"] for answer in refused] == ["2", "1", "0"]
    assert over.status_code == 429
    assert over.headers["content-type"] == "application/problem+json"
    assert over.headers["ratelimit-remaining"] == "0"
    assert over.headers["ratelimit-limit"] == "3"
    assert over.headers["ratelimit-reset"] == over.headers["retry-after"]


def test_a_declined_card_grants_nothing_and_can_be_followed_by_another(shop: Shop) -> None:
    order = shop.bought("cpu", card=Card.DECLINED)
    assert shop.get("limits")["cpu_cores"] == 4

    shop.pay(order["payment_id"], Card.GOOD)

    assert shop.get("limits")["cpu_cores"] == 5


def test_webhooks_come_twice(shop: Shop) -> None:
    order = shop.buy("cpu").json()

    shop.pay(order["payment_id"], copies=2)

    assert shop.get("limits")["cpu_cores"] == 5


def test_the_operator_makes_teams(client: TestClient, session: Session) -> None:
    secret = {"x-admin-secret": settings.current().admin_secret}
    wish = {"slug": "big", "name": "Big", "owner_email": "b@example.org", "plan": "pro"}

    made = client.post("/api/admin/teams", json=wish, headers=secret)
    again = client.post("/api/admin/teams", json=wish, headers=secret)
    stranger = client.post("/api/admin/teams", json=wish)
    odd = client.post("/api/admin/teams", json=wish | {"slug": "odd", "plan": "x"}, headers=secret)

    assert made.status_code == 201
    assert made.json()["plan"] == "pro"
    assert (again.status_code, stranger.status_code, odd.status_code) == (409, 401, 422)


@pytest.mark.parametrize("email", ["owner@acme.test", "root@localhost", "Zoé@Example.ORG"])
def test_an_owner_has_any_address_that_can_sign_in(
    client: TestClient, session: Session, email: str
) -> None:
    secret = {"x-admin-secret": settings.current().admin_secret}
    wish = {"slug": "big", "name": "Big", "owner_email": email}

    made = client.post("/api/admin/teams", json=wish, headers=secret)
    odd = client.post(
        "/api/admin/teams", json=wish | {"slug": "odd", "owner_email": "ada@"}, headers=secret
    )

    assert made.status_code == 201, made.text
    assert made.json()["owner_email"] == email.lower()
    assert (odd.status_code, odd.json()["errors"][0]["field"]) == (422, "owner_email")


def test_the_limit_on_calls_is_documented(client: TestClient) -> None:
    paths = client.get("/openapi.json").json()["paths"]
    of_team = {path: found for path, found in paths.items() if path.startswith("/api/resources/")}

    assert len(of_team) == 5
    for operations in of_team.values():
        for operation in operations.values():
            headers = operation["responses"]["429"]["headers"]
            assert {"retry-after", "ratelimit-limit", "ratelimit-remaining"} < set(headers)
