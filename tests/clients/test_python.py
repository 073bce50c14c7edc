"""The Python client fits the product that it was written from, and buys with it."""

from decimal import Decimal
from typing import cast

import pytest
from fastapi.testclient import TestClient
from flowlink_client import Flowlink, Refused
from flowlink_client.models import PurchaseIn
from sqlalchemy.orm import Session

from flowlink.billing import payday
from flowlink.billing.sandbox import Card
from flowlink.kernel import clock
from tests.billing.makers import pro_team
from tests.teams.makers import make_team, team_key
from tools import client as written


@pytest.fixture
def api(client: TestClient, session: Session) -> Flowlink:
    """The client as a program of the team `acme` uses it."""
    team = pro_team(session)
    key = team_key(session, team)["authorization"].removeprefix("Bearer ")
    return Flowlink("http://testserver", key=key, http=client)


def test_it_is_as_new_as_the_api(shared: str) -> None:
    """When this fails: `make client`."""
    for name, text in written.files(written.document()).items():
        assert (written.PLACE / name).read_text() == text, f"{name} is old"


def test_the_contracts_sum(api: Flowlink) -> None:
    order = [("ram", 1), ("cpu", 2), ("traffic", 2), ("storage", 1)]
    for kind, quantity in order:
        body = cast("PurchaseIn", {"resource_type": kind, "quantity": quantity})
        bought = api.resources.purchase("acme", body)
        payday.pay(bought["payment_id"], card=Card.GOOD, now=clock.now())

    found = api.resources.show_limits("acme")

    assert found == {
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


def test_an_order_and_its_end(api: Flowlink) -> None:
    body: PurchaseIn = {"resource_type": "cpu", "quantity": 3}

    first = api.resources.purchase("acme", body, idempotency_key="k1")
    again = api.resources.purchase("acme", body, idempotency_key="k1")
    ended = api.resources.cancel("acme", first["resource_id"])

    assert first == again
    assert first["amount"] == Decimal(6)
    assert (ended["status"], ended["expires_at"]) == ("cancelled", None)
    assert [one["id"] for one in api.resources.list_resources("acme")["resources"]] == [
        first["resource_id"]
    ]


def test_amounts_are_no_floats(api: Flowlink) -> None:
    for one in api.resources.available("acme")["resources"]:
        assert isinstance(one["price"], (int, Decimal))


def test_a_refusal_says_what_was_wrong(api: Flowlink, session: Session) -> None:
    make_team(session, slug="other")
    with pytest.raises(Refused) as absent:
        api.resources.show_limits("other")
    with pytest.raises(Refused) as wrong:
        api.resources.purchase("acme", {"resource_type": "ram", "quantity": 99})

    assert (absent.value.status, absent.value.kind) == (404, "unknown-team")
    assert (wrong.value.status, wrong.value.errors[0]["field"]) == (422, "quantity")
    assert wrong.value.detail == "Choose a quantity from 1 to 32."


def test_a_purchase_without_the_plan_is_refused(client: TestClient, session: Session) -> None:
    team = make_team(session, slug="small")
    key = team_key(session, team)["authorization"].removeprefix("Bearer ")
    api = Flowlink("http://testserver", key=key, http=client)

    with pytest.raises(Refused) as refused:
        api.resources.purchase("small", {"resource_type": "ram", "quantity": 1})

    assert refused.value.status == 403
