"""Killed between any two steps of a payment by Stripe: charged once, booked once, granted once."""

import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import datetime, timedelta
from uuid import UUID

import pytest
from sqlalchemy import select

from flowlink.app import checks
from flowlink.billing import charges, ids, renewals, settlement
from flowlink.billing.models import Grant, Payment
from flowlink.kernel import clock, db
from flowlink.teams.models import Team
from tests.billing.makers import pro_team
from tests.billing.stripes import Till, payment_now, resource_of, till

STEPS_MAX = 150

Act = Callable[[str, UUID, datetime, int], str]


@pytest.fixture
def shop(database: str) -> Iterator[Till]:
    with till() as opened:
        yield opened
        with db.read() as session:
            assert checks.problems(session) == []


@contextmanager
def worker(database: str, shop: Till) -> Iterator[Act]:
    """Acts in processes that may be killed; says `killed` or `done`."""
    command = [sys.executable, "-m", "tests.billing.stripe_worker", database, shop.url]
    with subprocess.Popen(
        [*command, shop.fake.key], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as running:
        assert running.stdin is not None
        assert running.stdout is not None
        assert running.stdout.readline() == "ready\n"

        def act(what: str, payment_id: UUID, at: datetime, kill_at: int) -> str:
            assert running.stdin is not None
            assert running.stdout is not None
            running.stdin.write(f"{what} {payment_id} {at.isoformat()} {kill_at}\n")
            running.stdin.flush()
            answer = running.stdout.readline().split()[0]
            assert answer != "failed"
            return answer

        yield act
        running.stdin.close()


def team_of(number: int) -> Team:
    with db.write() as session:
        return pro_team(session, slug=f"team-{number}")


def expiry(payment_id: UUID) -> datetime:
    with db.read() as session:
        ends = resource_of(session, payment_id).expires_at
    assert ends is not None
    return ends


@pytest.mark.timeout(900)
def test_killed_at_any_step_of_a_renewal(database: str, shop: Till) -> None:
    with worker(database, shop) as act:
        for step in range(1, STEPS_MAX):
            payment_id = shop.bought(team_of(step))
            at = expiry(payment_id) - timedelta(hours=1)
            word = act("renew", payment_id, at, step)
            renewals.renew_due(now=at)
            for minutes in (20, 40):
                charges.reconcile(now=at + timedelta(minutes=minutes))

            assert renewed(payment_id, shop) == ("paid", 1, 2), f"killed at step {step}"
            if word == "done":
                break

    assert step > 10, "no step was seen"


@pytest.mark.timeout(900)
@pytest.mark.parametrize("what", ["hear", "checkout", "refund"])
def test_killed_at_any_step_of_a_purchase(database: str, shop: Till, what: str) -> None:
    with worker(database, shop) as act:
        for step in range(1, STEPS_MAX):
            payment_id = shop.order(team_of(step))
            now = clock.now()
            word = act("checkout", payment_id, now, step) if what == "checkout" else ""
            shop.press(shop.checkout(payment_id))
            for event in shop.fake.ledger.take_owed():
                shop.hear(event, now=now)
            word = act("hear", payment_id, now, step) if what == "hear" else word
            charges.reconcile(now=now + timedelta(minutes=20))
            if what == "refund":
                ask_back(payment_id)
                word = act("refund", payment_id, now, step)
                charges.reconcile(now=now + timedelta(minutes=30))

            found = (paid(payment_id), shop.charged(ids.payment(ids.PaymentId(payment_id))))
            assert found == ((200, 150 if what == "refund" else 0, 1), 1), f"step {step}"
            if word == "done":
                break

    assert step > 5, "no step was seen"
    assert len(shop.fake.ledger.every("refund")) == (step if what == "refund" else 0)


def renewed(payment_id: UUID, shop: Till) -> tuple[str, int, int]:
    """How its renewal is, how often that was charged, and the paid grants there are."""
    with db.read() as session:
        resource = resource_of(session, payment_id)
        mine = Payment.resource_id == resource.id, Payment.purpose == "renewal"
        renewal = session.scalars(select(Payment).where(*mine)).one()
        granted = Grant.resource_id == resource.id, Grant.reason == "paid"
        grants = session.scalars(select(Grant).where(*granted)).all()
    return str(renewal.status), shop.charged(ids.payment(ids.PaymentId(renewal.id))), len(grants)


def paid(payment_id: UUID) -> tuple[int, int, int]:
    """What was paid and given back of it, and the grants there are."""
    with db.read() as session:
        payment = payment_now(session, payment_id)
        grants = session.scalars(select(Grant).where(Grant.payment_id == payment_id)).all()
    amount = payment.amount_minor if payment.status == "paid" else 0
    return amount, payment.refunded_minor, len(grants)


def ask_back(payment_id: UUID) -> None:
    with db.write() as session:
        [payment] = db.lock(session, Payment, Payment.id == payment_id)
        settlement.ask_refund(session, payment, total_minor=150, reason="kindness")
