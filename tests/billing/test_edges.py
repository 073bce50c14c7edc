"""Cases at the edges: two things at once that each alone were right."""

from collections.abc import Iterator
from datetime import datetime, timedelta
from typing import Any

import pytest
from fastapi.testclient import TestClient
from sqlalchemy import select
from sqlalchemy.orm import Session

from flowlink.app import checks
from flowlink.billing import (
    charges,
    ids,
    limits,
    payday,
    providers,
    purchases,
    quantities,
    refunds,
    renewals,
)
from flowlink.billing.models import Paid, Payment, Status
from flowlink.billing.sandbox import Card, ChargeClosed, Sandbox
from flowlink.billing.sandbox_models import SandboxCharge
from flowlink.kernel import clock, jobs
from flowlink.kernel.money import Money
from flowlink.teams import service as teams
from flowlink.teams.ids import TeamId
from tests.billing.makers import Shop, key_of, pro_team
from tests.billing.test_life import DAY, MONTH, Life
from tests.billing.test_trouble import Shaky
from tests.teams.makers import make_team


@pytest.fixture
def shop(client: TestClient, session: Session) -> Iterator[Life]:
    made = Life(client, session, pro_team(session))
    yield made
    session.expire_all()
    assert checks.problems(session) == []


@pytest.fixture
def line() -> Iterator[Shaky]:
    made = Shaky()
    providers.register(made)
    yield made
    providers.register(Sandbox())


def delete_team(shop: Shop, now: datetime) -> None:
    team_id = TeamId(shop.team.id)
    teams.delete(shop.session, team_id=team_id, confirm="acme", actor="test", now=now)
    shop.session.flush()


def paid_charges(shop: Shop) -> int:
    shop.session.expire_all()
    paid = select(SandboxCharge).where(SandboxCharge.status == "paid")
    return len(shop.session.scalars(paid).all())


def unanswered_renewal(shop: Life, line: Shaky) -> tuple[dict[str, str], datetime]:
    """An add-on whose next period was ordered, and whose charge the provider never heard of."""
    order = shop.bought("cpu")
    soon = shop.until(order) - timedelta(hours=1)
    line.broken = {"charge": "before"}
    renewals.renew_due(now=soon)
    line.broken = {}
    assert shop.status(order["resource_id"]) == "renewing"
    return order, soon


def test_a_cancellation_stops_a_renewal_that_was_not_charged_yet(shop: Life, line: Shaky) -> None:
    order, soon = unanswered_renewal(shop, line)
    end = shop.until(order)
    shop.cancel(order["resource_id"])

    charges.reconcile(now=soon + timedelta(minutes=30))
    charges.reconcile(now=soon + timedelta(minutes=40))

    assert paid_charges(shop) == 1
    assert shop.until(order) == end
    renewals.expire(now=end)
    assert shop.status(order["resource_id"]) == "cancelled"


def test_renewal_switched_on_again_is_charged_after_all(shop: Life, line: Shaky) -> None:
    order, soon = unanswered_renewal(shop, line)
    end = shop.until(order)
    shop.cancel(order["resource_id"])
    charges.reconcile(now=soon + timedelta(minutes=30))
    purchases.set_renewal(
        shop.session,
        team=shop.team,
        resource_id=ids.parse_resource(order["resource_id"]),
        on=True,
        actor="test",
        now=soon,
    )
    shop.session.flush()

    assert renewals.renew_due(now=soon + timedelta(minutes=45)) == (1, 0)

    assert paid_charges(shop) == 2
    assert shop.until(order) == end + MONTH


def test_a_deleted_team_is_not_charged_again(shop: Life) -> None:
    order = shop.bought("cpu", card=Card.EXPIRES)
    first = shop.until(order) - timedelta(hours=2)
    renewals.renew_due(now=first)
    delete_team(shop, first)

    assert renewals.renew_due(now=first + 2 * DAY) == (0, 0)


def test_a_deleted_team_is_not_charged_for_what_was_begun(shop: Life, line: Shaky) -> None:
    _, soon = unanswered_renewal(shop, line)
    delete_team(shop, soon)

    charges.reconcile(now=soon + timedelta(minutes=30))

    assert paid_charges(shop) == 1


def test_orders_that_wait_do_not_add_up_to_more_than_the_maximum(shop: Life) -> None:
    first, second = shop.buy("cpu", 16).json(), shop.buy("cpu", 16).json()
    shop.pay(first["payment_id"])

    shop.pay(second["payment_id"])
    charges.reconcile(now=clock.now())

    assert shop.get("limits")["cpu_cores"] == 20
    assert shop.payment(second).refunded_minor == 3200
    assert shop.status(second["resource_id"]) in {"cancelled", "voided"}


def test_of_two_orders_only_what_fits_can_still_be_paid(shop: Life) -> None:
    first, second = shop.buy("cpu", 16).json(), shop.buy("cpu", 16).json()
    shop.pay(first["payment_id"])

    with pytest.raises(charges.NotPayable):
        charges.checkout(team_id=shop.team.id, payment_id=key_of(second), now=clock.now())


def test_a_declined_attempt_cannot_be_paid_beside_the_next(shop: Life) -> None:
    order = shop.bought("cpu", card=Card.DECLINED)
    url = charges.checkout(team_id=shop.team.id, payment_id=key_of(order), now=clock.now())

    with pytest.raises(ChargeClosed):
        shop.pay(order["payment_id"])
    shop.pay(url.rpartition("/")[2])

    assert paid_charges(shop) == 1
    assert shop.get("limits")["cpu_cores"] == 5


def refunded_in_a_dispute(shop: Life) -> dict[str, Any]:
    """An order of which 1 EUR is to go back when its buyer's bank asks for all of it."""
    order = shop.bought("cpu", 2)
    refunds.ask(
        shop.session,
        payment_id=key_of(order),
        amount=Money.from_cents(100),
        reason="slow",
        actor="test",
        now=clock.now(),
    )
    shop.session.flush()
    payday.dispute(order["payment_id"], to="open", now=clock.now())
    return order


def test_a_refund_that_arrives_in_a_dispute_keeps_the_books(shop: Life) -> None:
    order = refunded_in_a_dispute(shop)

    charge = shop.session.get_one(SandboxCharge, order["payment_id"], populate_existing=True)
    charge.refunded_minor = 100
    shop.session.flush()
    charges.look(key_of(order), now=clock.now())
    shop.session.expire_all()
    assert checks.problems(shop.session) == []
    payday.dispute(order["payment_id"], to="lost", now=clock.now())

    assert shop.status(order["resource_id"]) == "voided"


def test_nothing_is_given_back_while_the_bank_decides(shop: Life) -> None:
    order = refunded_in_a_dispute(shop)

    charges.refund(key_of(order), now=clock.now())
    charges.reconcile(now=clock.now())
    assert shop.payment(order).refunded_minor == 0
    payday.dispute(order["payment_id"], to="won", now=clock.now())
    charges.reconcile(now=clock.now())

    assert shop.payment(order).refunded_minor == 100


def test_a_plan_that_is_over_can_be_bought_anew_before_any_job(
    client: TestClient, session: Session
) -> None:
    team = make_team(session)
    start = clock.now()
    bought = purchases.buy_plan(session, team=team, plan="pro", actor="test", now=start)
    charges.checkout(team_id=team.id, payment_id=bought.payment.id, now=start)
    payday.pay(ids.payment(bought.payment.id), card=Card.GOOD, now=start)
    session.expire_all()
    purchases.cancel(
        session, team=team, resource_id=bought.resource.id, actor="test", now=start + DAY
    )
    session.flush()
    end = start + MONTH

    again = purchases.buy_plan(session, team=team, plan="pro", actor="test", now=end)
    charges.checkout(team_id=team.id, payment_id=again.payment.id, now=end)
    payday.pay(ids.payment(again.payment.id), card=Card.GOOD, now=end)

    session.expire_all()
    assert limits.at(session, team.id, end).plan == "pro"
    assert bought.resource.status == Status.CANCELLED
    assert checks.problems(session) == []


def test_what_is_over_does_not_count_for_the_maximum(shop: Life) -> None:
    order = shop.bought("cpu", 16)
    end = shop.until(order)
    shop.cancel(order["resource_id"])

    again = purchases.buy_addon(
        shop.session, team=shop.team, kind="cpu", quantity=16, actor="test", now=end
    )

    assert again.payment.amount_minor == 3200


def test_more_asked_for_twice_is_not_paid_twice(shop: Life) -> None:
    order = shop.bought("cpu")
    refs = []
    for _ in range(2):
        more = quantities.change(
            shop.session,
            team=shop.team,
            resource_id=ids.parse_resource(order["resource_id"]),
            quantity=3,
            actor="test",
            now=clock.now(),
        )
        assert more is not None
        url = charges.checkout(team_id=shop.team.id, payment_id=more.payment.id, now=clock.now())
        refs.append(url.rpartition("/")[2])

    for ref in refs:
        shop.pay(ref)
    charges.reconcile(now=clock.now())

    assert shop.resource(order).quantity == 3
    assert shop.get("limits")["cpu_cores"] == 7


def test_money_back_for_the_first_pieces_leaves_the_others(shop: Life) -> None:
    order = shop.bought("cpu")
    more = quantities.change(
        shop.session,
        team=shop.team,
        resource_id=ids.parse_resource(order["resource_id"]),
        quantity=3,
        actor="test",
        now=clock.now(),
    )
    assert more is not None
    charges.checkout(team_id=shop.team.id, payment_id=more.payment.id, now=clock.now())
    shop.pay(ids.payment(more.payment.id))
    refunds.ask(
        shop.session,
        payment_id=key_of(order),
        amount=Money.from_cents(200),
        reason="first ones",
        actor="test",
        now=clock.now(),
    )
    shop.session.flush()

    charges.refund(key_of(order), now=clock.now())

    assert shop.get("limits")["cpu_cores"] == 6
    assert shop.resource(order).quantity == 2
    assert shop.resource(order).next_quantity == 2


def test_an_ended_add_on_stays_expired_when_cancelled_late(shop: Life) -> None:
    order = shop.bought("cpu")
    found = shop.resource(order)
    end = shop.until(order)
    found.auto_renew = False
    shop.session.flush()

    purchases.cancel(
        shop.session, team=shop.team, resource_id=found.id, actor="test", now=end + DAY
    )
    renewals.expire(now=end + DAY)

    assert shop.status(order["resource_id"]) == "expired"


def test_a_signature_of_strange_digits_is_refused(client: TestClient) -> None:
    for header in (b"t=\xb2,v1=x", b"t=99999999999999999999,v1=\xe9", b"t=,v1=", b"\xff"):
        answer = client.post(
            "/webhooks/sandbox", content=b"{}", headers={b"sandbox-signature": header}
        )
        assert answer.status_code == 403


def test_nobody_pays_for_a_team_that_was_deleted(shop: Life) -> None:
    order = shop.buy("cpu").json()
    delete_team(shop, clock.now())

    with pytest.raises(purchases.TeamEnds):
        charges.checkout(team_id=shop.team.id, payment_id=key_of(order), now=clock.now())


def test_more_that_came_too_late_cannot_be_paid(shop: Life) -> None:
    order = shop.bought("cpu")
    end = shop.until(order)
    more = quantities.change(
        shop.session,
        team=shop.team,
        resource_id=ids.parse_resource(order["resource_id"]),
        quantity=3,
        actor="test",
        now=end - DAY,
    )
    assert more is not None

    with pytest.raises(charges.NotPayable):
        charges.checkout(team_id=shop.team.id, payment_id=more.payment.id, now=end)


def test_a_next_period_that_was_given_back_ends_with_this_one(shop: Life) -> None:
    order = shop.bought("cpu")
    end = shop.until(order)
    renewals.renew_due(now=end - timedelta(hours=2))
    renewal = shop.session.scalars(select(Payment).where(Payment.purpose == "renewal")).one()
    refunds.ask(
        shop.session,
        payment_id=renewal.id,
        amount=Money.from_cents(200),
        reason="asked too late",
        actor="test",
        now=end - timedelta(hours=1),
    )
    shop.session.flush()

    charges.refund(renewal.id, now=end - timedelta(hours=4))

    assert shop.until(order) == end
    assert not shop.resource(order).auto_renew
    assert renewals.renew_due(now=end - timedelta(hours=3)) == (0, 0)
    renewals.expire(now=end)
    assert shop.status(order["resource_id"]) == "expired"


def test_the_page_of_a_cancelled_order_closes(shop: Life) -> None:
    order = shop.buy("cpu").json()

    shop.cancel(order["resource_id"])
    jobs.run_pending(clock.now())

    assert shop.payment(order).status == Paid.CANCELLED
    charge = shop.session.get_one(SandboxCharge, order["payment_id"])
    assert charge.status == "closed"
    with pytest.raises(ChargeClosed):
        payday.pay(order["payment_id"], card=Card.GOOD, now=clock.now())
