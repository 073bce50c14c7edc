"""The pages of a team's money: plain words before each click that costs."""

import re
from collections.abc import Iterator

import pytest
from fastapi.testclient import TestClient
from sqlalchemy import select
from sqlalchemy.orm import Session

from flowlink.app import checks
from flowlink.billing import purchases, queries
from flowlink.billing.models import Payment, Resource
from flowlink.kernel import clock
from tests.billing.makers import Shop, pro_team
from tests.factories import Person, make_operator, make_person, sign_in
from tests.teams.makers import make_team


@pytest.fixture
def owner(client: TestClient, session: Session) -> Iterator[Person]:
    yield sign_in(client, make_person(session, email="ann@example.org"))
    assert checks.problems(session) == []


def text_of(client: TestClient, path: str) -> str:
    answer = client.get(path, headers={"accept": "text/html", "accept-language": "en"})
    assert answer.status_code == 200, answer.text
    return answer.text


def post(client: TestClient, path: str, **form: object) -> str:
    answer = client.post(path, data=form, headers={"accept": "text/html"}, follow_redirects=False)
    assert answer.status_code == 303, answer.text
    return str(answer.headers["location"])


def test_a_team_goes_pro_and_buys_on_its_pages(
    client: TestClient, session: Session, owner: Person
) -> None:
    team = make_team(session, owner)

    assert "€9.00" in text_of(client, "/teams/acme/billing/plan?plan=pro")
    url = post(client, "/teams/acme/billing/plan", plan="pro")
    path = url.removeprefix("http://testserver")
    assert "€9.00" in text_of(client, path)
    assert post(client, path, card="second_step") == path
    assert "Yes, it is me" in text_of(client, path)
    assert post(client, path, card="second_step", confirmed="on") == "/teams/acme/billing"

    running = queries.plan_of(session, team.id)
    assert running is not None
    assert running.plan == "pro"
    assert "€9.00" in text_of(client, "/teams/acme/billing")
    assert "You pay now" in text_of(client, "/teams/acme/addons/order?kind=cpu&quantity=2")
    paid = post(client, "/teams/acme/addons", kind="cpu", quantity=2)
    post(client, paid.removeprefix("http://testserver"), card="good")
    assert "€4.00" in text_of(client, "/teams/acme/addons")


def test_more_of_it_costs_the_rest_of_the_period(
    client: TestClient, session: Session, owner: Person
) -> None:
    team = make_team(session, owner)
    purchases.give_plan(session, team=team, plan="pro", actor="test", now=clock.now())
    session.flush()
    shop = Shop(client, session, team)
    key = shop.bought("cpu", 2)["resource_id"]

    assert "€6.00 every 30 days" in text_of(client, f"/teams/acme/addons/{key}/quantity?quantity=3")
    url = post(client, f"/teams/acme/addons/{key}/quantity", quantity=3)
    post(client, url.removeprefix("http://testserver"), card="good")

    assert shop.get("limits")["cpu_cores"] == 7
    post(client, f"/teams/acme/addons/{key}/quantity", quantity=1)
    assert shop.get("limits")["cpu_cores"] == 7


def test_the_operator_sees_finds_and_exports(client: TestClient, session: Session) -> None:
    team = pro_team(session)
    shop = Shop(client, session, team)
    shop.bought("ram")
    sign_in(client, make_operator(session))

    assert "acme" in text_of(client, "/admin/teams?q=acm")
    assert "No team was found" in text_of(client, "/admin/teams?q=nobody")
    assert "acme,Acme" in client.get("/admin/teams?format=csv").text
    page = text_of(client, "/admin/payments")
    assert "charge.paid" in page
    payment = session.scalars(select(Payment)).one()
    assert "acme" in client.get("/admin/payments?format=csv").text
    assert payment.status == "paid"
    assert session.scalars(select(Resource).where(Resource.kind == "ram")).one()


def test_earlier_add_ons_page(
    client: TestClient, session: Session, owner: Person, monkeypatch: pytest.MonkeyPatch
) -> None:
    team = make_team(session, owner)
    shop = Shop(client, session, team)
    purchases.give_plan(session, team=team, plan="pro", actor="test", now=clock.now())
    session.flush()
    for _ in range(52):
        bought = purchases.buy_addon(
            session, team=team, kind="ram", quantity=1, actor="test", now=clock.now()
        )
        key = bought.resource.id
        purchases.cancel(session, team=team, resource_id=key, actor="test", now=clock.now())
    session.flush()
    assert len(shop.get("list")["resources"]) == 52

    first = text_of(client, "/teams/acme/addons")
    found = re.search(r"/teams/acme/addons\?cursor=[^\"]+", first)
    assert found is not None
    second = text_of(client, found.group(0))
    assert [page.count("Cancelled") for page in (first, second)] == [50, 2]
