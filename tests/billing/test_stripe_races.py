"""Two things at once with one charge at Stripe, and messages in any order: one end, one charge."""

import random
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import timedelta
from functools import partial

import pytest
from sqlalchemy import select
from starlette.requests import Request
from starlette.responses import Response

from flowlink.app import checks
from flowlink.billing import (
    charges,
    ids,
    inbox,
    renewals,
    settlement,
    stripe_api,
    stripe_events,
    stripe_missed,
    stripe_rows as rows,
)
from flowlink.billing.fakestripe.knobs import Knobs
from flowlink.billing.fakestripe.server import FakeStripe
from flowlink.billing.fakestripe.state import stamp
from flowlink.billing.fakestripe.things import Thing
from flowlink.billing.models import Paid, Payment
from flowlink.billing.providers import ProviderAway
from flowlink.kernel import clock, db
from flowlink.teams.models import Team
from tests.billing.makers import pro_team
from tests.billing.stripes import Till, payment_now, resource_of, row_of, till
from tests.billing.test_races import at_once

ROUNDS = 6


@dataclass
class Between(FakeStripe):
    """Lets something happen after a call has come and before it is carried out, once."""

    then: dict[str, Callable[[], object]] = field(default_factory=dict)

    def answer(self, request: Request, body: str) -> Response:
        happens = self.then.pop(f"{request.method} {request.url.path}", None)
        if happens is not None:
            happens()
        return super().answer(request, body)


@pytest.fixture
def shop(database: str) -> Iterator[Till]:
    with till(Between()) as opened:
        yield opened
        with db.read() as session:
            assert checks.problems(session) == []


def team_of(number: int) -> Team:
    with db.write() as session:
        return pro_team(session, slug=f"team-{number}")


def waiting_renewal(shop: Till, team: Team) -> tuple[ids.PaymentId, ids.PaymentId]:
    """A purchase, and its renewal that was ordered while Stripe was down."""
    payment_id = shop.bought(team)
    with db.read() as session:
        resource = resource_of(session, payment_id)
    assert resource.expires_at is not None
    shop.fake.ledger.knobs = Knobs(server_errors=100)
    renewals.renew_due(now=resource.expires_at - timedelta(hours=1))
    shop.fake.ledger.knobs = Knobs()
    with db.read() as session:
        mine = Payment.resource_id == resource.id, Payment.purpose == "renewal"
        return payment_id, ids.PaymentId(session.scalars(select(Payment.id).where(*mine)).one())


def between(shop: Till, call: str, happens: Callable[[], object]) -> None:
    assert isinstance(shop.fake, Between)
    shop.fake.then[call] = happens


def test_closed_while_it_is_prepared_it_is_not_confirmed(shop: Till) -> None:
    _, renewal = waiting_renewal(shop, team_of(0))
    ref, now = ids.payment(renewal), clock.now()
    between(shop, "POST /v1/payment_intents", lambda: rows.close(ref, now=now))

    charges.charge(renewal, now=now)

    assert shop.charged(ref) == 0


def test_on_a_page_while_it_is_prepared_it_is_not_confirmed(shop: Till) -> None:
    _, renewal = waiting_renewal(shop, team_of(0))
    ref, now = ids.payment(renewal), clock.now()
    row = rows.find(ref)
    assert row is not None
    between(shop, "POST /v1/payment_intents", lambda: rows.to_page(row, now=now))

    charges.charge(renewal, now=now)

    assert shop.charged(ref) == 0


def test_prepared_twice_at_once_one_of_both_is_confirmed(shop: Till) -> None:
    """The other worker took another key; only the intent that is written down is charged."""
    _, renewal = waiting_renewal(shop, team_of(0))
    ref, now = ids.payment(renewal), clock.now()
    row = rows.find(ref)
    assert row is not None
    payer = rows.payer(row.payer)
    assert payer is not None
    asked = {"amount": row.amount_minor, "currency": "eur", "customer": payer.customer_id}
    asked |= {"payment_method": payer.method_id, "metadata": {"ref": ref}}
    other = shop.fake.ledger.make_intent(asked, at=stamp(now))["id"]
    between(shop, "POST /v1/payment_intents", lambda: rows.move(row, now=now, intent_id=other))

    charges.charge(renewal, now=now)
    charges.charge(renewal, now=now)

    assert shop.charged(ref) == 1
    assert shop.fake.ledger.get("payment_intent", other)["status"] == "succeeded"


def test_closed_while_its_page_is_made_nobody_sees_the_page(shop: Till) -> None:
    payment_id = shop.order(team_of(0))
    now = clock.now()
    between(
        shop,
        "POST /v1/checkout/sessions",
        lambda: rows.close(ids.payment(payment_id), now=now),
    )

    with pytest.raises(ProviderAway):
        shop.checkout(payment_id)


def test_two_that_see_the_same_rest_give_it_back_once(shop: Till) -> None:
    row = row_of(shop.bought(team_of(0)))

    for _ in range(2):
        stripe_api.configured().refund(row, gone_minor=0, more_minor=90)

    assert [one["amount"] for one in shop.fake.ledger.every("refund")] == [90]


def test_many_workers_charge_a_renewal_once(shop: Till) -> None:
    for number in range(ROUNDS):
        _, renewal = waiting_renewal(shop, team_of(number))
        now = clock.now()

        raised = at_once(*[partial(charges.charge, renewal, now=now)] * 5)

        assert raised == []
        charges.look(renewal, now=now)
        with db.read() as session:
            assert payment_now(session, renewal).status == "paid"
        assert shop.charged(ids.payment(renewal)) == 1


def test_a_page_opened_while_we_charge_is_not_paid_twice(shop: Till) -> None:
    for number in range(ROUNDS):
        team = team_of(number)
        _, renewal = waiting_renewal(shop, team)
        now = clock.now()
        urls: list[str] = []

        def pay(renewal: ids.PaymentId = renewal, urls: list[str] = urls) -> None:
            try:
                url = shop.checkout(renewal)
            except (ProviderAway, charges.AlreadyPaid):
                return
            if url.startswith(shop.url):
                urls.append(url)
                shop.press(url)

        raised = at_once(
            partial(charges.charge, renewal, now=now),
            pay,
            partial(charges.look, renewal, now=now),
        )

        assert raised == []
        charges.look(renewal, now=now)
        assert shop.charged(ids.payment(renewal)) == 1
        with db.read() as session:
            assert payment_now(session, renewal).status == "paid"


def test_closed_while_we_charge_it_is_one_of_both(shop: Till) -> None:
    for number in range(ROUNDS):
        _, renewal = waiting_renewal(shop, team_of(number))
        now = clock.now()

        raised = at_once(
            partial(charges.close, renewal, now=now),
            partial(charges.charge, renewal, now=now),
        )

        assert raised == []
        charges.close(renewal, now=now)
        with db.read() as session:
            status = payment_now(session, renewal).status
        assert shop.charged(ids.payment(renewal)) == (status == "paid")


def test_tried_again_while_the_team_opens_a_page_is_charged_once(shop: Till) -> None:
    """A failed renewal: the team presses Pay at the moment when we try it again."""
    for number in range(ROUNDS):
        _, renewal = waiting_renewal(shop, team_of(number))
        now = clock.now()
        with db.write() as session:
            [payment] = db.lock(session, Payment, Payment.id == renewal)
            resource = resource_of(session, renewal)
            payment.status = Paid.FAILED
            resource.status, resource.failed_at = "past_due", now - timedelta(days=3)  # type: ignore[assignment]
            resource.grace_until = now + timedelta(days=90)
        urls: list[str] = []

        def pay(renewal: ids.PaymentId = renewal, urls: list[str] = urls) -> None:
            try:
                urls.append(shop.checkout(renewal))
            except (ProviderAway, charges.AlreadyPaid, charges.NotPayable):
                return

        at_once(pay, partial(renewals._try_again, renewal, now=now))
        for url in urls:
            if url.startswith(shop.url):
                shop.press(url)
        shop.deliver()
        charges.look(renewal, now=now)

        made = sum(shop.charged(ids.ref(renewal, attempt)) for attempt in (1, 2, 3, 4))
        assert made <= 1
        with db.read() as session:
            assert (payment_now(session, renewal).status == "paid") == (made == 1)


def test_refunds_at_once_give_back_once(shop: Till) -> None:
    payment_id = shop.bought(team_of(0))
    with db.write() as session:
        [payment] = db.lock(session, Payment, Payment.id == payment_id)
        settlement.ask_refund(session, payment, total_minor=150, reason="kindness")
    now = clock.now()

    raised = at_once(*[lambda: charges.refund(payment_id, now=now)] * 5)

    assert raised == []
    charges.refund(payment_id, now=now)
    assert [one["amount"] for one in shop.fake.ledger.every("refund")] == [150]
    with db.read() as session:
        assert payment_now(session, payment_id).refunded_minor == 150


def play(shop: Till, teams: list[Team], dice: random.Random) -> list[ids.PaymentId]:
    """Purchases that are paid, declined, given back, disputed; nothing is told yet."""
    bought = []
    for number in range(40):
        payment_id = shop.order(teams[number % len(teams)], kind="traffic")
        url = shop.checkout(payment_id)
        bought.append(payment_id)
        shop.press(url, dice.choice(["4242", "4242", "0002", "0259"]))
        session = shop.fake.ledger.get("checkout.session", row_of(payment_id).session_id)
        if session["status"] != "complete":
            continue
        ending, at = dice.choice(["", "back", "won", "lost"]), stamp(clock.now())
        charge = shop.fake.ledger.get("payment_intent", session["payment_intent"])["latest_charge"]
        if ending == "back" and not shop.fake.ledger.get("charge", charge)["disputed"]:
            some = {"payment_intent": session["payment_intent"], "amount": "30"}
            shop.fake.ledger.make_refund(some, at=at)
        elif ending in {"won", "lost"}:
            shop.fake.ledger.dispute(session["payment_intent"], to="open", at=at)
            shop.fake.ledger.dispute(session["payment_intent"], to=ending, at=at)
    return bought


def state_of(bought: list[ids.PaymentId]) -> list[tuple[object, ...]]:
    with db.read() as session:
        rows = [payment_now(session, key) for key in bought]
        return [
            (row.status, row.refunded_minor, row.dispute, resource_of(session, row.id).status)
            for row in rows
        ]


@pytest.mark.timeout(900)
def test_the_end_is_the_same_in_any_order(shop: Till) -> None:
    teams = [team_of(number) for number in range(8)]
    first = play(shop, teams, random.Random(3))  # noqa: S311
    shop.deliver()
    expected = state_of(first)
    second = play(shop, teams, random.Random(3))  # noqa: S311
    shop.fake.ledger.knobs = Knobs(seed=5, duplicated=30, delayed=30, lost=10, reordered=100)
    handled: list[Thing] = []

    while shop.fake.ledger.owed:
        handled += shop.fake.ledger.take_owed()
        for event in handled:
            shop.hear(event, now=clock.now())
        inbox.handle_due(stripe_events.NAME, now=clock.now())
    charges.reconcile(now=clock.now() + timedelta(minutes=11))
    missed()

    assert state_of(second) == expected
    assert {row[0] for row in expected} == {"paid", "pending"}


def missed() -> None:
    stripe_missed.catch_up(now=clock.now() + timedelta(seconds=1))
    inbox.handle_due(stripe_events.NAME, now=clock.now() + timedelta(minutes=1))
