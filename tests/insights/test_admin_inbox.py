"""Console pages about networks: what they sent, and new networks and offers."""

import pytest
from fastapi.testclient import TestClient
from sqlalchemy import text, update
from sqlalchemy.orm import Session

from flowlink.kernel import ids
from flowlink.tracking import offers
from flowlink.tracking.ids import CONVERSION, POSTBACK
from flowlink.tracking.models import Mode, Postback
from tests.factories import Person
from tests.insights.makers import World, read, send


def test_a_postback_is_shown_as_it_came_without_its_key(
    client: TestClient, session: Session, operator: Person, world: World
) -> None:
    (row,) = session.query(Postback).all()
    path = f"/admin/postbacks/{ids.public(POSTBACK, row.id)}"
    assert path in read(client, "/admin/postbacks?result=ok&network=direct&q=txn_id%3Dt1")
    assert "No postbacks" in read(client, "/admin/postbacks?result=rejected")

    page = read(client, path)

    assert "amount=100.00" in page
    assert world.shop.key not in page
    assert ids.public(CONVERSION, world.conversion.id) in page


def test_a_hostile_postback_is_only_text(
    client: TestClient, session: Session, operator: Person, world: World
) -> None:
    session.execute(update(Postback).values(query="<script>alert(1)</script>", body=b"\xff<b>"))
    (row,) = session.query(Postback).all()

    for path in ("/admin/postbacks", f"/admin/postbacks/{ids.public(POSTBACK, row.id)}"):
        assert "<script>alert" not in read(client, path)


def test_an_offer_is_made_by_form(client: TestClient, session: Session, operator: Person) -> None:
    form = {"name": "summer", "network": "direct", "destination": "https://shop.example/"}

    made = send(client, "/admin/offers", mode="revshare", share="62.5", **form)
    clicks = form | {"name": "clicks"}
    assert send(client, "/admin/offers", mode="cpc", cpc="0,09", budget="100", **clicks)[0] == 303

    assert made == (303, "/admin/offers")
    assert offers.named(session, "summer").share_bps == 6250
    assert offers.named(session, "clicks").cpc_micro == 90_000
    assert offers.named(session, "clicks").mode == Mode.CPC
    page = read(client, "/admin/offers")
    assert ("62.5% of a sale" in page, "€0.09 a click" in page) == (True, True)


@pytest.mark.parametrize(
    "changes",
    [
        {"name": "not/a name"},
        {"name": "DEFAULT"},
        {"name": "default"},
        {"network": "nowhere"},
        {"mode": "free"},
        {"destination": "javascript:alert(1)"},
        {"share": "101"},
        {"share": "half"},
        {"cpc": "0.10"},
        {"budget": "-1"},
        {"allowed_hosts": "a b/c"},
    ],
)
def test_a_bad_offer_makes_nothing(
    client: TestClient, session: Session, operator: Person, changes: dict[str, str]
) -> None:
    form = {"name": "summer", "network": "direct", "mode": "revshare"}
    form |= {"destination": "https://shop.example/"} | changes
    before = session.scalar(text("SELECT count(*) FROM tracking_offer"))

    assert send(client, "/admin/offers", **form)[0] in {400, 404}

    assert session.scalar(text("SELECT count(*) FROM tracking_offer")) == before


def test_a_network_is_made_by_form(client: TestClient, operator: Person) -> None:
    made = send(client, "/admin/networks", name="acme", click_param="aff_sub", amount_unit="cents")

    assert made == (303, "/admin/networks/acme")
    page = read(client, "/admin/networks/acme")
    assert ("aff_sub" in page, "/aff/postback?network=acme" in page) == (True, True)
    assert send(client, "/admin/networks", name="acme")[0] == 400
