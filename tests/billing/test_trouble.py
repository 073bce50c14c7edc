"""The provider is down, slow or talks nonsense: nothing twice, nothing unpaid, and it is said."""

from collections.abc import Iterator, Mapping
from datetime import datetime, timedelta

import pytest
from fastapi.testclient import TestClient
from sqlalchemy import select
from sqlalchemy.orm import Session

from flowlink.app import checks
from flowlink.billing import charges, ids, limits, providers, purchases, renewals
from flowlink.billing.models import Payment, Resource
from flowlink.billing.providers import Away, Order, Seen, Told
from flowlink.billing.sandbox import Card, Sandbox
from flowlink.billing.sandbox_models import SandboxCharge, SandboxPayer
from flowlink.kernel import clock, jobs
from tests.billing.makers import Shop, key_of, pro_team


class Shaky:
    """The sandbox behind a bad line: `broken` names the calls that fail, before or after."""

    name = "sandbox"

    def __init__(self) -> None:
        self.inner = Sandbox()
        self.broken: dict[str, str] = {}

    def checkout(self, order: Order, *, now: datetime) -> str:
        self._before("checkout")
        url = self.inner.checkout(order, now=now)
        self._after("checkout")
        return url

    def charge(self, order: Order, *, now: datetime) -> Seen:
        self._before("charge")
        seen = self.inner.charge(order, now=now)
        self._after("charge")
        return seen

    def state(self, ref: str) -> Seen | None:
        self._before("state")
        return self.inner.state(ref)

    def close(self, ref: str, *, now: datetime) -> Seen | None:
        self._before("close")
        return self.inner.close(ref, now=now)

    def refund(self, ref: str, total_minor: int, *, now: datetime) -> Seen:
        self._before("refund")
        seen = self.inner.refund(ref, total_minor, now=now)
        self._after("refund")
        return seen

    def read(self, headers: Mapping[str, str], body: bytes, *, now: datetime) -> Told:
        return self.inner.read(headers, body, now=now)

    def _before(self, call: str) -> None:
        if self.broken.get(call) == "before":
            raise Away("no answer")

    def _after(self, call: str) -> None:
        if self.broken.get(call) == "after":
            raise Away("timed out")


@pytest.fixture
def line() -> Iterator[Shaky]:
    made = Shaky()
    providers.register(made)
    yield made
    providers.register(Sandbox())


@pytest.fixture
def shop(client: TestClient, session: Session) -> Iterator[Shop]:
    yield Shop(client, session, pro_team(session))
    session.expire_all()
    assert checks.problems(session) == []


@pytest.mark.parametrize("when", ["before", "after"])
def test_a_checkout_that_fails_can_be_asked_for_again(shop: Shop, line: Shaky, when: str) -> None:
    line.broken = {"checkout": when}
    refused = shop.buy("cpu", 1, **{"Idempotency-Key": "k"})
    line.broken = {}

    again = shop.buy("cpu", 1, **{"Idempotency-Key": "k"})

    assert refused.status_code == 409
    assert refused.json()["type"] == "urn:flowlink:problem:provider-away"
    assert len(shop.session.scalars(select(Payment)).all()) == 1
    shop.pay(again.json()["payment_id"])
    assert shop.get("limits")["cpu_cores"] == 5


def test_a_state_that_cannot_be_asked_is_asked_later(shop: Shop, line: Shaky) -> None:
    order = shop.buy("cpu").json()
    line.broken = {"state": "before"}

    shop.pay(order["payment_id"])
    assert shop.get("limits")["cpu_cores"] == 4
    line.broken = {}
    later = clock.now() + timedelta(minutes=11)
    jobs.run("billing_reconcile", later)

    assert limits.at(shop.session, shop.team.id, later).total.cpu_cores == 5


def test_a_lost_webhook_is_found(shop: Shop) -> None:
    order = shop.buy("cpu").json()
    shop.pay(order["payment_id"], copies=0)
    assert shop.get("limits")["cpu_cores"] == 4

    later = clock.now() + timedelta(minutes=11)
    jobs.run("billing_reconcile", later)

    assert limits.at(shop.session, shop.team.id, later).total.cpu_cores == 5


@pytest.mark.parametrize("when", ["before", "after"])
def test_a_renewal_without_answer_is_charged_once(shop: Shop, line: Shaky, when: str) -> None:
    order = shop.bought("cpu")
    soon = expiry(shop, order["resource_id"]) - timedelta(hours=1)
    line.broken = {"charge": when}
    renewals.renew_due(now=soon)
    assert shop.status(order["resource_id"]) == "renewing"
    renewals.renew_due(now=soon + timedelta(minutes=1))
    line.broken = {}

    charges.reconcile(now=soon + timedelta(minutes=30))
    charges.reconcile(now=soon + timedelta(minutes=40))

    assert shop.status(order["resource_id"]) == "active"
    paid = shop.session.scalars(select(SandboxCharge).where(SandboxCharge.status == "paid")).all()
    assert len(paid) == 2


def test_an_end_waits_for_a_provider_that_is_away(shop: Shop, line: Shaky) -> None:
    order = shop.bought("cpu")
    end = expiry(shop, order["resource_id"])
    line.broken = {"charge": "after"}
    renewals.renew_due(now=end - timedelta(hours=1))
    line.broken = {"close": "before"}
    assert renewals.expire(now=end + timedelta(days=7)) == 0
    line.broken = {}

    assert renewals.expire(now=end + timedelta(days=7)) == 0

    assert shop.status(order["resource_id"]) == "active"


def test_nothing_becomes_smaller_while_a_renewal_waits_for_its_provider(
    shop: Shop, line: Shaky
) -> None:
    order = shop.bought("cpu")
    end = expiry(shop, order["resource_id"])
    line.broken = {"charge": "before", "state": "before", "close": "before"}
    renewals.renew_due(now=end - timedelta(hours=1))
    assert [cpu(shop, end + timedelta(days=days)) for days in (0, 6, 7)] == [5, 5, 4]
    line.broken = {}

    charges.reconcile(now=end + timedelta(hours=5))

    assert shop.status(order["resource_id"]) == "active"
    until = expiry(shop, order["resource_id"])
    assert until == end + timedelta(days=30)
    assert [cpu(shop, at) for at in (end, until - timedelta(seconds=1), until)] == [5, 5, 4]


def test_a_renewal_that_was_cancelled_while_it_waits_ends_on_its_day(
    shop: Shop, line: Shaky
) -> None:
    order = shop.bought("cpu")
    end = expiry(shop, order["resource_id"])
    line.broken = {"charge": "before"}
    renewals.renew_due(now=end - timedelta(hours=1))
    line.broken = {}
    shop.cancel(order["resource_id"])
    assert cpu(shop, end) == 4

    charges.reconcile(now=end - timedelta(minutes=30))
    renewals.expire(now=end)

    assert shop.status(order["resource_id"]) == "cancelled"
    assert shop.session.scalars(select(SandboxCharge).where(SandboxCharge.status == "paid")).one()


def test_switched_on_again_it_stays_while_it_waits(shop: Shop, line: Shaky) -> None:
    order = shop.bought("cpu")
    end = expiry(shop, order["resource_id"])
    line.broken = {"charge": "before"}
    renewals.renew_due(now=end - timedelta(hours=1))
    line.broken = {}
    shop.cancel(order["resource_id"])

    purchases.set_renewal(
        shop.session,
        team=shop.team,
        resource_id=ids.parse_resource(order["resource_id"]),
        on=True,
        actor="test",
        now=end - timedelta(minutes=50),
    )

    assert cpu(shop, end) == 5
    charges.reconcile(now=end - timedelta(minutes=30))
    assert expiry(shop, order["resource_id"]) == end + timedelta(days=30)


def test_nothing_is_charged_when_the_grace_is_over(shop: Shop, line: Shaky) -> None:
    order = shop.bought("cpu")
    end = expiry(shop, order["resource_id"])
    line.broken = {"charge": "before", "state": "before", "close": "before"}
    renewals.renew_due(now=end - timedelta(hours=1))
    line.broken = {}

    late = end + timedelta(days=7, minutes=1)
    charges.reconcile(now=late)
    renewals.renew_due(now=late)
    renewals.expire(now=late)

    assert shop.status(order["resource_id"]) == "expired"
    assert cpu(shop, late) == 4
    assert shop.session.scalars(select(SandboxCharge).where(SandboxCharge.status == "paid")).one()


def test_a_late_third_try_is_not_made(shop: Shop, line: Shaky) -> None:
    order = shop.bought("cpu", card=Card.EXPIRES)
    end = expiry(shop, order["resource_id"])
    line.broken = {"charge": "before", "state": "before"}
    renewals.renew_due(now=end - timedelta(hours=1))
    line.broken = {}
    charges.reconcile(now=end + timedelta(hours=3))
    assert shop.status(order["resource_id"]) == "past_due"
    with_good_card(shop)

    assert renewals.renew_due(now=end + timedelta(days=7, hours=4)) == (0, 0)


@pytest.mark.parametrize("when", ["before", "after"])
def test_money_goes_back_once(shop: Shop, line: Shaky, when: str) -> None:
    order = shop.buy("cpu").json()
    shop.cancel(order["resource_id"])
    shop.pay(order["payment_id"])
    line.broken = {"refund": when}
    assert charges.refund(key_of(order), now=clock.now()) == "unknown"
    line.broken = {}

    charges.reconcile(now=clock.now())
    charges.reconcile(now=clock.now())

    shop.session.expire_all()
    charge = shop.session.get_one(SandboxCharge, order["payment_id"])
    assert charge.refunded_minor == 200
    assert shop.session.get_one(Payment, key_of(order)).refunded_minor == 200


def test_an_order_that_nobody_pays_is_closed(shop: Shop) -> None:
    order = shop.buy("cpu").json()

    charges.reconcile(now=clock.now() + timedelta(days=3, minutes=1))
    renewals.expire(now=clock.now() + timedelta(days=3, minutes=1))

    assert shop.status(order["resource_id"]) == "cancelled"
    shop.session.expire_all()
    assert shop.session.get_one(SandboxCharge, order["payment_id"]).status == "closed"


def test_a_declined_attempt_is_not_tried_under_its_old_name(shop: Shop) -> None:
    order = shop.bought("cpu", card=Card.DECLINED)

    url = charges.checkout(team_id=shop.team.id, payment_id=key_of(order), now=clock.now())
    shop.pay(url.rpartition("/")[2])

    assert url.endswith(f"{order['payment_id']}-2")
    assert shop.get("limits")["cpu_cores"] == 5


def expiry(shop: Shop, resource_id: str) -> datetime:
    shop.session.expire_all()
    found = shop.session.get_one(Resource, ids.parse_resource(resource_id)).expires_at
    assert found is not None
    return found


def cpu(shop: Shop, at: datetime) -> int:
    shop.session.expire_all()
    return limits.at(shop.session, shop.team.id, at).total.cpu_cores


def with_good_card(shop: Shop) -> None:
    """The card that failed is replaced at the provider."""
    [payer] = shop.session.scalars(select(SandboxPayer)).all()
    payer.card = Card.GOOD.value
    shop.session.commit()
