"""From one paid plan to another: what was paid counts, nothing is given unpaid, and it is said."""

import json
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import pytest
from fastapi.testclient import TestClient
from sqlalchemy import select
from sqlalchemy.orm import Session

from flowlink.app import checks
from flowlink.billing import (
    charges,
    figures,
    limits,
    payday,
    plans,
    purchases,
    queries,
    renewals,
)
from flowlink.billing.models import Paid, Payment, Status
from flowlink.billing.sandbox import Card, ChargeClosed
from flowlink.billing.sandbox_models import SandboxCharge
from flowlink.kernel import clock, db, jobs
from flowlink.kernel.money import Money
from tests.billing.buyers import DAY, MONTH, Buyer, price_list
from tests.billing.test_races import at_once
from tests.conftest import chosen_settings
from tests.factories import make_person, sign_in
from tests.teams.makers import make_team


@pytest.fixture
def more_plans(tmp_path: Path) -> Iterator[None]:
    path = tmp_path / "prices.json"
    path.write_text(json.dumps(price_list()))
    with chosen_settings(pricing_specs=str(path)):
        yield


@pytest.fixture
def buyer(client: TestClient, session: Session, more_plans: None) -> Iterator[Buyer]:
    yield Buyer(session, make_team(session))
    session.expire_all()
    assert checks.problems(session) == []


def test_a_greater_plan_counts_at_once_for_the_difference(buyer: Buyer) -> None:
    half = buyer.start + MONTH / 2

    paid = buyer.changed("max", half)

    assert paid.amount == Money.parse("10.00")
    assert (paid.starts_at, paid.ends_at) == (half, buyer.end)
    moments = [half - timedelta(seconds=1), half, buyer.end - timedelta(seconds=1), buyer.end]
    assert [buyer.cpu(at) for at in moments] == [4, 12, 12, 1]
    running = buyer.running()
    assert (running.plan, running.expires_at) == ("max", buyer.end)
    [(charged, amount)] = queries.next_charges(buyer.session, buyer.team.id, half)
    assert (charged.plan, amount) == ("max", Money.parse("29.00"))
    assert renewals.renew_due(now=buyer.end - timedelta(hours=1)) == (1, 0)
    assert buyer.running().expires_at == buyer.end + MONTH
    assert buyer.cpu(buyer.end) == 12


def test_the_difference_is_by_the_second_and_its_rest_the_customers(buyer: Buyer) -> None:
    now = buyer.end - timedelta(days=1, seconds=1)

    paid = buyer.changed("max", now)

    assert paid.amount_minor == 2000 * 86_401 // (30 * 86_400)


def test_what_is_not_paid_changes_nothing(buyer: Buyer) -> None:
    now = buyer.start + DAY
    bought = buyer.order("max", now)
    assert bought is not None
    buyer.pay(bought.payment.id, now, Card.DECLINED)

    assert buyer.cpu(now) == 4
    assert buyer.running().plan == "pro"


def test_another_order_takes_the_place_of_one_that_waits(buyer: Buyer) -> None:
    early, late = buyer.start + DAY, buyer.start + 10 * DAY
    first = buyer.order("max", early)
    assert first is not None
    old = first.payment.id
    url = charges.checkout(team_id=buyer.team.id, payment_id=old, now=early)

    second = buyer.changed("max", late)
    jobs.run_pending(late)

    assert second.amount_minor == 2000 * 20 // 30
    assert buyer.session.get_one(Payment, old).status == Paid.CANCELLED
    with pytest.raises(ChargeClosed):
        payday.pay(url.rpartition("/")[2], card=Card.GOOD, now=late)


def test_up_and_down_and_up_again_at_once(buyer: Buyer) -> None:
    now = buyer.start + DAY
    buyer.changed("max", now)

    assert buyer.order("pro", now) is None
    assert (buyer.cpu(now), buyer.running().next_price) == (12, Money.parse("9.00"))
    assert buyer.order("max", now) is None
    assert buyer.running().next_price == Money.parse("29.00")
    with pytest.raises(purchases.AlreadyOnPlan):
        buyer.order("max", now)


def test_a_smaller_plan_counts_from_the_next_period_on(buyer: Buyer) -> None:
    now = buyer.start + DAY

    assert buyer.order("lite", now) is None

    assert figures.recurring(buyer.session, now=now).total == Money.parse("5.00")
    assert renewals.renew_due(now=buyer.end - timedelta(hours=1)) == (1, 0)
    moments = [now, buyer.end - timedelta(seconds=1), buyer.end, buyer.end + MONTH]
    assert [buyer.cpu(at) for at in moments] == [4, 4, 2, 1]
    lines = queries.payments(buyer.session, team_id=buyer.team.id)
    assert [(line.plan, str(line.payment.amount)) for line in lines] == [
        ("lite", "5.00 EUR"),
        ("pro", "9.00 EUR"),
    ]


def test_add_ons_end_with_a_plan_that_has_none(buyer: Buyer) -> None:
    now = buyer.start + DAY
    bought = purchases.buy_addon(
        buyer.session, team=buyer.team, kind="cpu", quantity=1, actor="test", now=now
    )
    buyer.pay(bought.payment.id, now)
    assert len(queries.next_charges(buyer.session, buyer.team.id, now)) == 2

    buyer.order("lite", now)

    [(charged, _)] = queries.next_charges(buyer.session, buyer.team.id, now)
    assert charged.kind == "plan"
    assert renewals.renew_due(now=now + MONTH - timedelta(hours=1)) == (1, 0)


def test_a_failed_charge_leaves_the_plan_as_it_was(
    client: TestClient, session: Session, more_plans: None
) -> None:
    buyer = Buyer(session, make_team(session), Card.EXPIRES)
    buyer.order("lite", buyer.start + DAY)

    renewals.renew_due(now=buyer.end - timedelta(hours=1))

    assert [buyer.cpu(buyer.end), buyer.running().status] == [4, Status.PAST_DUE]
    with pytest.raises(plans.PlanUnsettled):
        buyer.order("max", buyer.end - timedelta(minutes=30))


def test_cancelling_forgets_the_smaller_plan(buyer: Buyer) -> None:
    buyer.order("lite", buyer.start + DAY)
    running = buyer.running()
    purchases.cancel(
        buyer.session, team=buyer.team, resource_id=running.id, actor="test", now=buyer.start + DAY
    )
    buyer.session.flush()

    assert buyer.running().next_terms is None
    assert renewals.renew_due(now=buyer.end - timedelta(hours=1)) == (0, 0)


def test_the_difference_given_back_brings_the_plan_before_back(buyer: Buyer) -> None:
    now, later = buyer.start + DAY, buyer.start + 2 * DAY
    paid = buyer.changed("max", now)

    buyer.give_back(paid.id, later)

    assert [buyer.cpu(at) for at in (now, later, buyer.end)] == [12, 4, 1]
    assert (buyer.running().plan, buyer.running().auto_renew) == ("pro", True)
    assert renewals.renew_due(now=buyer.end - timedelta(hours=1)) == (1, 0)
    assert buyer.cpu(buyer.end) == 4


def test_the_first_payment_given_back_ends_what_stands_on_it(buyer: Buyer) -> None:
    now, later = buyer.start + DAY, buyer.start + 2 * DAY
    buyer.changed("max", now)

    buyer.give_back(buyer.first, later)

    assert [buyer.cpu(now), buyer.cpu(later)] == [12, 1]
    assert queries.plan_of(buyer.session, buyer.team.id) is None


def test_a_difference_paid_after_the_period_goes_back(buyer: Buyer) -> None:
    now = buyer.end - timedelta(hours=4)
    bought = buyer.order("max", now)
    assert bought is not None
    url = charges.checkout(team_id=buyer.team.id, payment_id=bought.payment.id, now=now)
    renewals.renew_due(now=buyer.end - timedelta(hours=1))

    late = buyer.end - timedelta(minutes=30)
    payday.pay(url.rpartition("/")[2], card=Card.GOOD, now=late)
    jobs.run_pending(late)

    buyer.session.expire_all()
    payment = buyer.session.get_one(Payment, bought.payment.id)
    assert payment.refunded_minor == payment.amount_minor
    assert (buyer.running().plan, buyer.cpu(buyer.end)) == ("pro", 4)


def test_a_difference_paid_while_the_plan_renews_goes_back(buyer: Buyer) -> None:
    now = buyer.end - timedelta(hours=4)
    bought = buyer.order("max", now)
    assert bought is not None
    url = charges.checkout(team_id=buyer.team.id, payment_id=bought.payment.id, now=now)
    late = buyer.end - timedelta(hours=1)
    assert renewals.begin(buyer.session, resource_id=buyer.running().id, now=late) is not None
    buyer.session.flush()

    payday.pay(url.rpartition("/")[2], card=Card.GOOD, now=late)
    jobs.run_pending(late)
    charges.reconcile(now=late + timedelta(minutes=20))

    assert (buyer.running().plan, buyer.running().expires_at) == ("pro", buyer.end + MONTH)
    payment = buyer.session.get_one(Payment, bought.payment.id)
    assert payment.refunded_minor == payment.amount_minor


def test_a_difference_paid_after_the_operator_gave_a_plan_goes_back(buyer: Buyer) -> None:
    now = buyer.start + DAY
    bought = buyer.order("max", now)
    assert bought is not None
    url = charges.checkout(team_id=buyer.team.id, payment_id=bought.payment.id, now=now)
    purchases.give_plan(buyer.session, team=buyer.team, plan="lite", actor="test", now=now)
    buyer.session.flush()

    payday.pay(url.rpartition("/")[2], card=Card.GOOD, now=now)
    jobs.run_pending(now)

    assert (buyer.running().plan, buyer.cpu(now)) == ("lite", 2)
    payment = buyer.session.get_one(Payment, bought.payment.id)
    assert payment.refunded_minor == payment.amount_minor


def test_less_than_a_cent_is_given_at_once(buyer: Buyer) -> None:
    now = buyer.end - timedelta(minutes=1)
    assert buyer.order("max", now) is None

    assert [buyer.cpu(now), buyer.cpu(buyer.end)] == [12, 1]
    [(charged, amount)] = queries.next_charges(buyer.session, buyer.team.id, now)
    assert (charged.plan, amount) == ("max", Money.parse("29.00"))


def test_a_given_plan_has_no_price_to_go_by(
    client: TestClient, session: Session, more_plans: None
) -> None:
    team = make_team(session)
    purchases.give_plan(session, team=team, plan="pro", actor="test", now=clock.now())

    with pytest.raises(purchases.GivenPlan):
        plans.order(session, team=team, plan="max", actor="test", now=clock.now())


def test_the_price_is_kept_from_the_click_on(buyer: Buyer, tmp_path: Path) -> None:
    buyer.order("lite", buyer.start + DAY)
    dearer = price_list()
    dearer["plans"]["lite"]["price_minor"] = 800
    path = tmp_path / "dearer.json"
    path.write_text(json.dumps(dearer))

    with chosen_settings(pricing_specs=str(path)):
        renewals.renew_due(now=buyer.end - timedelta(hours=1))

    [line, _] = queries.payments(buyer.session, team_id=buyer.team.id)
    assert line.payment.amount == Money.parse("5.00")


def test_paid_twice_at_once_the_plan_changes_once(database: str, more_plans: None) -> None:
    with db.write() as session:
        team = make_team(session)
    now = clock.now()
    with db.write() as session:
        first = plans.order(session, team=team, plan="pro", actor="test", now=now)
    assert first is not None
    url = charges.checkout(team_id=team.id, payment_id=first.payment.id, now=now)
    payday.pay(url.rpartition("/")[2], card=Card.GOOD, now=now)

    def change() -> None:
        with db.write() as session:
            bought = plans.order(session, team=team, plan="max", actor="test", now=now)
        assert bought is not None
        address = charges.checkout(team_id=team.id, payment_id=bought.payment.id, now=now)
        payday.pay(address.rpartition("/")[2], card=Card.GOOD, now=now)

    refused = at_once(*[change] * 4)

    charges.reconcile(now=now)  # what was paid for nothing goes back
    with db.read() as session:
        kept = select(SandboxCharge.amount_minor - SandboxCharge.refunded_minor)
        amounts = session.scalars(kept.where(SandboxCharge.status == "paid")).all()
        assert sorted(amount for amount in amounts if amount) == [900, 2000]
        assert limits.at(session, team.id, now).total.cpu_cores == 12
        assert checks.problems(session) == []
    known = (charges.NotPayable, charges.AlreadyPaid, ChargeClosed, purchases.AlreadyOnPlan)
    assert all(isinstance(error, known) for error in refused), refused


def test_the_pages_say_the_price_before_the_click(
    client: TestClient, session: Session, more_plans: None
) -> None:
    owner = sign_in(client, make_person(session))
    buyer = Buyer(session, make_team(session, owner))
    html = {"accept": "text/html", "accept-language": "en"}

    def page(path: str) -> str:
        return " ".join(client.get(f"/teams/acme/billing{path}", headers=html).text.split())

    assert "Change to Max" in page("")
    assert "you pay the difference" in page("/plan?plan=max")
    assert "Pay €20.00" in page("/plan?plan=max") or "Pay €19.99" in page("/plan?plan=max")
    assert "€29.00 every 30 days" in page("/plan?plan=max")
    later = page("/plan?plan=lite")
    assert "nothing" in later
    assert "CPU cores: 4 today, 2 then" in later
    for plan in ("lite", "pro"):
        client.post("/teams/acme/billing/plan", data={"plan": plan}, headers=html)
        assert ("Lite from" in page("")) == (plan == "lite")
    assert buyer.running().next_terms is None
