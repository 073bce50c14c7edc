"""Two things at once: one of them wins, and nothing is charged or granted twice."""

import threading
from collections.abc import Callable
from datetime import datetime, timedelta
from functools import partial
from uuid import UUID

import pytest
from sqlalchemy import select

from flowlink.app import checks
from flowlink.billing import (
    charges,
    ids,
    inbox,
    limits,
    payday,
    purchases,
    quantities,
    renewals,
    sandbox,
)
from flowlink.billing.models import Grant, Payment, Resource
from flowlink.billing.sandbox import Card
from flowlink.kernel import clock, db
from flowlink.teams.models import Team
from tests.billing.makers import pro_team

ROUNDS = 8


def at_once(*acts: Callable[[], object]) -> list[BaseException]:
    """Each in a thread of its own, all let go at the same moment; what they raised."""
    gate, raised = threading.Barrier(len(acts)), []

    def run(act: Callable[[], object]) -> None:
        gate.wait()
        try:
            act()
        except BaseException as error:  # noqa: BLE001
            raised.append(error)

    threads = [threading.Thread(target=run, args=(act,)) for act in acts]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    return raised


@pytest.fixture
def team(database: str) -> Team:
    with db.write() as session:
        return pro_team(session)


def order(team: Team, now: datetime, key: str | None = None) -> ids.PaymentId:
    with db.write() as session:
        bought = purchases.buy_addon(
            session, team=team, kind="ram", quantity=1, actor="test", now=now, idempotency_key=key
        )
    payment_id = ids.PaymentId(bought.payment.id)
    charges.checkout(team_id=team.id, payment_id=payment_id, now=now)
    return payment_id


def paid_at_provider(payment_id: ids.PaymentId, now: datetime) -> None:
    """The customer has paid; we were not told yet."""
    with db.write() as session:
        charge = sandbox.pay(
            session, ids.payment(payment_id), card=Card.GOOD, confirmed=True, now=now
        )
        told = sandbox.webhook(charge, now=now)
    inbox.receive("sandbox", told.headers, told.body, now=now)


def sound() -> None:
    with db.read() as session:
        assert checks.problems(session) == []


def test_one_key_at_once_is_one_purchase(team: Team) -> None:
    now = clock.now()

    raised = at_once(*[lambda: order(team, now, "key")] * 8)

    assert raised == []
    with db.read() as session:
        assert len(session.scalars(select(Payment)).all()) == 1


def test_one_message_at_many_workers_is_handled_once(team: Team) -> None:
    now = clock.now()
    payment_id = order(team, now)
    paid_at_provider(payment_id, now)

    looks = [lambda: charges.look(payment_id, now=now)] * 4
    raised = at_once(*[lambda: inbox.handle_due("sandbox", now=now)] * 4, *looks)

    assert raised == []
    with db.read() as session:
        assert len(session.scalars(select(Grant).where(Grant.reason == "paid")).all()) == 1
    sound()


def test_cancelling_and_paying_end_in_one_way(team: Team) -> None:
    for _ in range(ROUNDS):
        now = clock.now()
        payment_id = order(team, now)
        paid_at_provider(payment_id, now)
        with db.read() as session:
            resource_id = session.get_one(Payment, payment_id).resource_id

        def cancel(resource_id: UUID = resource_id, now: datetime = now) -> None:
            with db.write() as session:
                purchases.cancel(
                    session,
                    team=team,
                    resource_id=resource_id,
                    actor="test",
                    now=now,
                )

        assert at_once(cancel, partial(inbox.handle_due, "sandbox", now=now)) == []
        charges.reconcile(now=now + timedelta(minutes=20))
        with db.read() as session:
            resource = session.get_one(Resource, resource_id)
            payment = session.get_one(Payment, payment_id)
        assert (resource.status, payment.refunded_minor) in {("active", 0), ("cancelled", 100)}
        assert resource.cancelled_at is not None
    sound()


def test_expiry_and_a_renewals_message_end_in_one_way(database: str) -> None:
    for number in range(ROUNDS):
        with db.write() as session:
            team = pro_team(session, slug=f"team-{number}")
        now = clock.now()
        payment_id = order(team, now)
        payday.pay(ids.payment(payment_id), card=Card.EXPIRES, now=now)
        with db.read() as session:
            resource = session.get_one(Resource, session.get_one(Payment, payment_id).resource_id)
        assert resource.expires_at is not None
        renewals.renew_due(now=resource.expires_at - timedelta(hours=1))
        over = resource.expires_at + timedelta(days=7)
        renewal = pay_renewal(team, resource, over - timedelta(hours=1))

        raised = at_once(
            partial(renewals.expire, now=over),
            partial(inbox.handle_due, "sandbox", now=over),
        )

        assert raised == []
        charges.reconcile(now=over + timedelta(minutes=20))
        with db.read() as session:
            after = session.get_one(Resource, resource.id)
            payment = session.get_one(Payment, renewal)
            found = limits.at(session, team.id, over + timedelta(hours=1))
        assert (after.status, payment.refunded_minor) in {("active", 0), ("expired", 100)}
        assert found.of_addons.memory_mb == (500 if after.status == "active" else 0)
    sound()


def pay_renewal(team: Team, resource: Resource, now: datetime) -> ids.PaymentId:
    """The failed renewal is paid at the provider; we were not told yet."""
    with db.read() as session:
        failed = session.scalars(
            select(Payment).where(Payment.resource_id == resource.id, Payment.purpose == "renewal")
        ).one()
    url = charges.checkout(team_id=team.id, payment_id=failed.id, now=now)
    with db.write() as session:
        charge = sandbox.pay(
            session, url.rpartition("/")[2], card=Card.GOOD, confirmed=True, now=now
        )
        told = sandbox.webhook(charge, now=now)
    inbox.receive("sandbox", told.headers, told.body, now=now)
    return ids.PaymentId(failed.id)


def test_renewing_twice_at_once_charges_once(team: Team) -> None:
    now = clock.now()
    payday.pay(ids.payment(order(team, now)), card=Card.GOOD, now=now)
    soon = now + timedelta(days=29, hours=22)

    raised = at_once(*[lambda: renewals.renew_due(now=soon)] * 6)

    assert raised == []
    with db.read() as session:
        assert len(session.scalars(select(Payment)).all()) == 2
    sound()


def test_two_orders_paid_at_once_stay_below_the_maximum(database: str) -> None:
    for number in range(ROUNDS):
        with db.write() as session:
            team = pro_team(session, slug=f"team-{number}")
            now = clock.now()
            bought = [
                purchases.buy_addon(
                    session, team=team, kind="ram", quantity=20, actor="test", now=now
                ).payment.id
                for _ in range(2)
            ]
        for key in bought:
            charges.checkout(team_id=team.id, payment_id=key, now=now)
            paid_at_provider(ids.PaymentId(key), now)

        raised = at_once(*[partial(charges.look, key, now=now) for key in bought])

        assert raised == []
        with db.read() as session:
            assert limits.at(session, team.id, now).of_addons.memory_mb == 20 * 500
    charges.reconcile(now=clock.now())
    sound()


def test_more_and_a_renewal_do_not_wait_for_each_other(team: Team) -> None:
    for _ in range(ROUNDS):
        now = clock.now()
        payment_id = order(team, now)
        payday.pay(ids.payment(payment_id), card=Card.GOOD, now=now)
        soon = now + timedelta(days=29, hours=22)
        with db.read() as session:
            resource_id = session.get_one(Payment, payment_id).resource_id

        def more(resource_id: UUID = resource_id, soon: datetime = soon) -> None:
            with db.write() as session:
                try:
                    quantities.change(
                        session,
                        team=team,
                        resource_id=resource_id,
                        quantity=3,
                        actor="test",
                        now=soon,
                    )
                except purchases.NotRunning:
                    return  # its renewal was first

        def renew(resource_id: UUID = resource_id, soon: datetime = soon) -> None:
            with db.write() as session:
                renewals.begin(session, resource_id=resource_id, now=soon)

        assert at_once(more, renew) == []
