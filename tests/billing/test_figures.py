"""What teams bring in, as the operator reads it: what recurs, what runs, what was paid."""

from datetime import timedelta

import pytest
from fastapi.testclient import TestClient
from sqlalchemy.orm import Session

from flowlink.billing import charges, figures, refunds
from flowlink.billing.sandbox import Card
from flowlink.kernel import clock, settings
from flowlink.kernel.money import Money
from tests.billing.makers import Shop, key_of, pro_team

MONTH = timedelta(days=30)


@pytest.fixture
def shop(client: TestClient, session: Session) -> Shop:
    return Shop(client, session, pro_team(session))


def test_a_plan_that_was_given_brings_nothing(shop: Shop) -> None:
    found = figures.recurring(shop.session, now=clock.now())

    assert (found.total, found.plans, found.addons) == (Money.zero(), 0, 0)


def test_what_renews_by_itself_recurs(shop: Shop) -> None:
    shop.bought("cpu", 2)
    stopped = shop.bought("ram", 3)
    shop.buy("storage", 4)  # and never paid
    shop.cancel(stopped["resource_id"])

    found = figures.recurring(shop.session, now=clock.now())

    assert {kind: str(money) for kind, money in found.by_kind.items() if money} == {
        "cpu": "4.00 EUR"
    }
    assert (str(found.total), found.plans, found.addons) == ("4.00 EUR", 0, 5)


def test_what_is_over_or_failed_does_not_recur(shop: Shop) -> None:
    shop.bought("cpu", 2)

    assert not figures.recurring(shop.session, now=clock.now() + MONTH).total


def test_what_was_paid_is_counted_without_what_went_back(shop: Shop) -> None:
    now = clock.now()
    order = shop.bought("cpu", 2)
    shop.bought("ram", card=Card.DECLINED)
    refunds.ask(
        shop.session,
        payment_id=key_of(order),
        amount=Money.parse("1.00"),
        reason="test",
        actor="test",
        now=now,
    )
    shop.session.flush()
    charges.refund(key_of(order), now=now)
    shop.session.expire_all()

    assert figures.paid_by_day(shop.session, since=now - MONTH) == {now.date(): Money.parse("3.00")}


def test_the_monitoring_page_says_so(shop: Shop) -> None:
    shop.bought("cpu", 2)
    headers = {"x-admin-secret": settings.current().admin_secret, "accept-language": "en"}

    page = shop.client.get("/admin/monitoring", headers=headers).text
    header, *_, today = shop.client.get("/admin/monitoring.csv", headers=headers).text.splitlines()

    assert "Recurring revenue" in page
    assert "€4.00" in page
    cells = dict(zip(header.split(","), today.split(","), strict=True))
    assert cells["paid_by_teams_eur"] == "4.00"
    assert cells["assignments_pending"] == "0"
    assert cells["revenue_per_click_eur"] == "0.00"
