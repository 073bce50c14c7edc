"""What a team is told of money is what will happen, also where something was cancelled."""

import re
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

import pytest
from fastapi.testclient import TestClient
from sqlalchemy import select
from sqlalchemy.orm import Session

from flowlink.app import checks
from flowlink.billing import charges, ids, payday, purchases, queries, renewals, screens
from flowlink.billing.sandbox import Card
from flowlink.kernel import clock
from flowlink.notify.models import Mail
from tests.billing.makers import pro_team
from tests.billing.test_edges import delete_team
from tests.billing.test_life import DAY, Life
from tests.factories import make_person, sign_in
from tests.teams.makers import make_team


@pytest.fixture
def shop(client: TestClient, session: Session) -> Iterator[Life]:
    made = Life(client, session, pro_team(session))
    yield made
    session.expire_all()
    assert checks.problems(session) == []


def test_a_price_is_shown_only_for_what_may_be_bought(
    client: TestClient, session: Session, shop: Life
) -> None:
    free = Life(client, session, make_team(session, slug="free"))
    shop.bought("cpu", 16)

    def ask(of: Life, what: str) -> int:
        path = f"/teams/{of.team.slug}/{what}"
        return int(client.get(path, headers=of.headers | {"accept": "text/html"}).status_code)

    assert ask(free, "addons/order?kind=ram&quantity=1") == 403
    assert ask(shop, "addons/order?kind=cpu&quantity=1") == 400
    assert ask(shop, "addons/order?kind=ram&quantity=1") == 200
    assert ask(shop, "billing/plan?plan=pro") == 400
    assert ask(free, "billing/plan?plan=pro") == 200


def test_a_deleted_team_is_told_of_no_charge(shop: Life, client: TestClient) -> None:
    order = shop.bought("cpu")
    end = shop.until(order)
    delete_team(shop, clock.now())

    assert queries.next_charges(shop.session, shop.team.id, clock.now()) == []
    assert renewals.remind(now=end - DAY) == 0


def test_the_pages_of_a_deleted_team_name_no_charge(client: TestClient, session: Session) -> None:
    owner = sign_in(client, make_person(session))
    team = make_team(session, owner)
    start = clock.now()
    plan = purchases.buy_plan(session, team=team, plan="pro", actor="test", now=start)
    charges.checkout(team_id=team.id, payment_id=plan.payment.id, now=start)
    payday.pay(ids.payment(plan.payment.id), card=Card.GOOD, now=start)
    shop = Life(client, session, team)
    shop.bought("cpu")
    delete_team(shop, clock.now())

    html = {"accept": "text/html", "accept-language": "en"}
    pages = [client.get(f"/teams/acme/{name}", headers=html).text for name in ("billing", "addons")]

    assert all("Nothing more is charged" in page for page in pages)
    assert all("then every 30 days" not in page for page in pages)
    assert all("/plan?plan=" not in page and "/addons/order" not in page for page in pages)


def test_an_add_on_whose_plan_ends_is_told_to_end(client: TestClient, session: Session) -> None:
    team = make_team(session)
    start = clock.now()
    plan = purchases.buy_plan(session, team=team, plan="pro", actor="test", now=start)
    charges.checkout(team_id=team.id, payment_id=plan.payment.id, now=start)
    payday.pay(ids.payment(plan.payment.id), card=Card.GOOD, now=start)
    session.expire_all()
    life = Life(client, session, team)
    order = life.bought("cpu")
    end = life.until(order)
    assert len(queries.next_charges(session, team.id, clock.now())) == 2

    purchases.cancel(
        session, team=team, resource_id=plan.resource.id, actor="test", now=clock.now()
    )
    session.flush()

    assert queries.next_charges(session, team.id, clock.now()) == []
    [held] = screens.addons(session, team.id, now=clock.now()).held
    assert not held.renews
    assert renewals.remind(now=end - DAY) == 2
    assert life.mails()[-2:] == ["ends", "ends"]


def test_a_plan_that_waits_to_be_paid_can_be_given_up(client: TestClient, session: Session) -> None:
    owner = make_person(session, email="owner@free.example")
    make_team(session, owner, slug="free")
    sign_in(client, owner)
    client.post("/teams/free/billing/plan", data={"plan": "pro"}, follow_redirects=False)

    shown = client.get("/teams/free/billing").text
    [action] = re.findall(r'action="(/teams/free/addons/res_\w+/cancel)"', shown)
    client.post(action, follow_redirects=False)

    assert "/teams/free/billing/plan?plan=pro" in client.get("/teams/free/billing").text


def test_add_ons_export_with_what_became_of_them(shop: Life) -> None:
    ended, kept = shop.buy("ram").json(), shop.bought("cpu", 2)
    shop.cancel(ended["resource_id"])

    answer = shop.client.get("/teams/acme/addons.csv", headers=shop.headers)

    lines = answer.text.splitlines()
    assert answer.headers["content-type"].startswith("text/csv")
    assert lines[0].endswith("add_on,type,quantity,price,currency,status,renews,bought_at,until")
    assert lines[1].startswith(f"{kept['resource_id']},cpu,2,")
    assert ",cancelled," in lines[2]


def test_no_page_names_a_later_day_than_the_charge(shop: Life) -> None:
    order = shop.bought("cpu")
    end = shop.until(order)
    [(resource, _)] = queries.next_charges(shop.session, shop.team.id, clock.now())
    named = resource.next_charge_at

    assert named is not None
    assert renewals.renew_due(now=named - timedelta(seconds=1)) == (0, 0)
    assert renewals.renew_due(now=named) == (1, 0)
    assert timedelta(0) < end - named <= timedelta(hours=3)


def test_the_pages_and_the_mail_name_the_day_of_the_charge(
    shop: Life, client: TestClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    order = shop.bought("cpu")
    night = datetime(2027, 1, 20, 1, 30, tzinfo=UTC)
    shop.resource(order).expires_at = night
    shop.session.commit()
    monkeypatch.setattr(clock, "now", lambda: night - 6 * DAY)
    html = shop.headers | {"accept": "text/html", "accept-language": "en"}
    pages = [
        client.get(f"/teams/{shop.team.slug}/{name}", headers=html).text
        for name in ("billing", "addons")
    ]
    renewals.remind(now=night - 6 * DAY)

    assert all('datetime="2027-01-19' in page for page in pages)
    mail = shop.session.scalars(select(Mail).order_by(Mail.id.desc()).limit(1)).one()
    assert mail.context is not None
    assert mail.context["charged"].startswith("19 ")
    assert mail.context["until"].startswith("20 ")


def test_a_team_is_told_why_a_payment_failed_and_what_waits(
    shop: Life, client: TestClient, session: Session
) -> None:
    declined = shop.bought("cpu", card=Card.DECLINED)
    waiting = shop.buy("ram").json()
    shop.payment(waiting).trouble = "the provider does not answer"
    session.commit()
    page = client.get(
        f"/teams/{shop.team.slug}/billing",
        headers=shop.headers | {"accept": "text/html", "accept-language": "en"},
    ).text

    assert shop.payment(declined).status == "failed"
    assert "The card was declined. Nothing was charged." in " ".join(page.split())
    assert "We do not know yet whether it went through." in page
