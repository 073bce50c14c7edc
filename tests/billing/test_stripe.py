"""Payments by Stripe, with the official client against the fake, over a real socket."""

from collections.abc import Iterator
from datetime import datetime, timedelta
from uuid import UUID

import httpx2
import pytest
from fastapi.testclient import TestClient
from sqlalchemy import select
from sqlalchemy.orm import Session

from flowlink.app import checks
from flowlink.billing import (
    charges,
    ids,
    limits,
    purchases,
    quantities,
    refunds,
    renewals,
    stripe_rows as rows,
)
from flowlink.billing.fakestripe.server import signed
from flowlink.billing.fakestripe.state import stamp
from flowlink.billing.models import Payment
from flowlink.billing.providers import ProviderAway, TooLittleToCharge
from flowlink.kernel import clock, jobs
from flowlink.kernel.inbound import ProviderEvent
from flowlink.kernel.money import Money
from flowlink.teams.models import Team
from tests.billing.makers import pro_team
from tests.billing.stripes import Till, payment_now, resource_of, row_of, till


@pytest.fixture
def shop(session: Session) -> Iterator[Till]:
    with till() as opened:
        yield opened
        session.expire_all()
        assert checks.problems(session) == []


@pytest.fixture
def team(session: Session) -> Team:
    return pro_team(session)


def soon(session: Session, payment_id: ids.PaymentId) -> datetime:
    """An hour before its period ends."""
    ends = resource_of(session, payment_id).expires_at
    assert ends is not None
    return ends - timedelta(hours=1)


def renewal_of(session: Session, payment_id: ids.PaymentId) -> Payment:
    resource = resource_of(session, payment_id)
    mine = Payment.resource_id == resource.id, Payment.purpose == "renewal"
    found = session.scalars(select(Payment).where(*mine)).one()
    session.refresh(found)
    return found


def test_from_the_page_to_the_grant(shop: Till, session: Session, team: Team) -> None:
    payment_id = shop.order(team)
    url = shop.checkout(payment_id)

    assert httpx2.get(f"{url}?lang=fr").text.count("2,00") >= 1
    assert shop.press(url) == f"http://testserver/teams/{team.slug}/billing"
    assert payment_now(session, payment_id).status == "pending"
    shop.deliver()

    assert payment_now(session, payment_id).status == "paid"
    assert limits.at(session, team.id, clock.now()).total.cpu_cores == 5
    assert shop.charged(ids.payment(payment_id)) == 1


def test_the_page_stays_the_same_while_it_is_open(shop: Till, team: Team) -> None:
    payment_id = shop.order(team)

    assert shop.checkout(payment_id) == shop.checkout(payment_id)
    assert len(shop.fake.ledger.every("checkout.session")) == 1
    assert len(shop.fake.ledger.every("customer")) == 1


def test_a_page_that_ran_out_makes_place_for_another(
    shop: Till, session: Session, team: Team
) -> None:
    payment_id = shop.order(team)
    first = shop.checkout(payment_id)
    shop.fake.ledger.advance(stamp(clock.now() + timedelta(hours=25)))
    shop.deliver()
    assert payment_now(session, payment_id).status == "pending"

    second = shop.checkout(payment_id)
    shop.press(second)
    shop.deliver()

    assert second != first
    assert payment_now(session, payment_id).status == "paid"


@pytest.mark.parametrize("card", ["0002", "9995"])
def test_a_declined_card_leaves_the_page_open(
    shop: Till, session: Session, team: Team, card: str
) -> None:
    payment_id = shop.order(team)
    url = shop.checkout(payment_id)

    shop.press(url, card)
    shop.deliver()
    assert payment_now(session, payment_id).status == "pending"
    assert "declined" in httpx2.get(f"{url}?lang=en").text
    shop.press(url, "4242")
    shop.deliver()

    assert payment_now(session, payment_id).status == "paid"
    assert len(shop.charges()) == 1


def test_a_second_step_is_asked_for(shop: Till, session: Session, team: Team) -> None:
    payment_id = shop.order(team)
    url = shop.checkout(payment_id)

    shop.press(url, "3155")
    charges.look(payment_id, now=clock.now())
    assert payment_now(session, payment_id).status == "pending"
    assert "Yes, it is me" in httpx2.get(f"{url}?lang=en").text
    shop.press(url, "3155", confirmed=True)
    shop.deliver()

    assert payment_now(session, payment_id).status == "paid"


@pytest.mark.parametrize("card", ["4242", "3155"])
def test_a_renewal_is_charged_while_the_customer_is_away(
    shop: Till, session: Session, team: Team, card: str
) -> None:
    payment_id = shop.order(team)
    shop.press(shop.checkout(payment_id), card, confirmed=True)
    shop.deliver()

    at = soon(session, payment_id)
    renewals.renew_due(now=at)
    renewals.renew_due(now=at)

    renewal = renewal_of(session, payment_id)
    assert (renewal.status, resource_of(session, payment_id).status) == ("paid", "active")
    assert shop.charged(ids.payment(renewal.id)) == 1
    row = rows.find(ids.payment(renewal.id))
    assert row is not None
    assert (row.kind, bool(row.intent_id)) == ("away", True)


@pytest.mark.parametrize(("card", "said"), [("0341", "generic_decline"), ("3184", "authentica")])
def test_a_renewal_that_fails_is_paid_on_a_page(
    shop: Till, session: Session, team: Team, card: str, said: str
) -> None:
    payment_id = shop.order(team)
    shop.press(shop.checkout(payment_id), card)
    if card == "3184":
        shop.press(shop.checkout(payment_id), card, confirmed=True)
    shop.deliver()
    renewals.renew_due(now=soon(session, payment_id))
    renewal = renewal_of(session, payment_id)
    assert (renewal.status, resource_of(session, payment_id).status) == ("failed", "past_due")
    assert said in renewal.trouble

    shop.press(shop.checkout(renewal.id, now=soon(session, payment_id)))
    shop.deliver()

    assert renewal_of(session, payment_id).status == "paid"
    assert resource_of(session, payment_id).status == "active"
    assert shop.charged(ids.ref(renewal.id, 2)) == 1
    assert len(shop.charges()) == 2


def test_without_a_card_a_renewal_fails_and_says_so(
    shop: Till, session: Session, team: Team
) -> None:
    payment_id = shop.bought(team)
    payer = rows.payer(payment_now(session, payment_id).payer)
    assert payer is not None
    rows.forget_customer(payer.payer, payer.customer_id)

    renewals.renew_due(now=soon(session, payment_id))

    renewal = renewal_of(session, payment_id)
    assert (renewal.status, renewal.trouble) == ("failed", "no_card")


def test_the_latest_card_is_charged(shop: Till, session: Session, team: Team) -> None:
    first = shop.bought(team, "0341")
    shop.fake.ledger.get("charge", shop.charges()[0]["id"])["created"] -= 60
    shop.bought(team, "4242", kind="ram")

    charges.look(first, now=clock.now())  # an older payment tells of an older card
    renewals.renew_due(now=soon(session, first))

    assert renewal_of(session, first).status == "paid"


def test_a_customer_that_stripe_forgot_is_made_again(shop: Till, team: Team) -> None:
    shop.bought(team)
    shop.fake.ledger.by_kind["customer"].clear()
    payment_id = shop.order(team, kind="ram")
    with pytest.raises(ProviderAway):
        shop.checkout(payment_id)

    assert shop.checkout(payment_id).startswith(shop.url)


def test_money_goes_back_in_parts_and_once(shop: Till, session: Session, team: Team) -> None:
    payment_id = shop.bought(team)
    for cents in (50, 30):
        ask(session, payment_id, cents)
        charges.refund(payment_id, now=clock.now())
        charges.refund(payment_id, now=clock.now())

    assert payment_now(session, payment_id).refunded_minor == 80
    assert [one["amount"] for one in shop.fake.ledger.every("refund")] == [30, 50]


def test_a_refund_at_stripe_itself_is_booked_too(shop: Till, session: Session, team: Team) -> None:
    payment_id = shop.bought(team)
    intent_id = row_of(payment_id).intent_id

    shop.fake.ledger.make_refund({"payment_intent": intent_id}, at=stamp(clock.now()))
    shop.deliver()

    assert payment_now(session, payment_id).refunded_minor == 200
    assert resource_of(session, payment_id).status == "voided"
    assert limits.at(session, team.id, clock.now()).total.cpu_cores == 4


@pytest.mark.parametrize("end", ["won", "lost"])
def test_a_dispute_holds_the_money_until_the_bank_decides(
    shop: Till, session: Session, team: Team, end: str
) -> None:
    payment_id = shop.bought(team, "0259")
    assert payment_now(session, payment_id).dispute == "open"

    shop.fake.ledger.dispute(row_of(payment_id).intent_id, to=end, at=stamp(clock.now()))
    shop.deliver()

    assert payment_now(session, payment_id).dispute == end
    assert resource_of(session, payment_id).status == ("active" if end == "won" else "voided")


def test_an_order_that_nobody_pays_is_closed_at_stripe(
    shop: Till, session: Session, team: Team
) -> None:
    payment_id = shop.order(team)
    url = shop.checkout(payment_id)
    old = clock.now() + timedelta(days=3, minutes=1)

    charges.reconcile(now=old)

    assert payment_now(session, payment_id).status == "cancelled"
    assert shop.fake.ledger.every("checkout.session")[0]["status"] == "expired"
    shop.press(url)
    assert shop.charges() == []


def test_closing_what_was_paid_books_it(shop: Till, session: Session, team: Team) -> None:
    payment_id = shop.order(team)
    shop.press(shop.checkout(payment_id))

    charges.close(payment_id, now=clock.now())

    assert payment_now(session, payment_id).status == "paid"


def test_lost_messages_are_read_from_stripes_own_list(
    shop: Till, session: Session, team: Team
) -> None:
    payment_id = shop.bought(team)
    shop.fake.ledger.dispute(row_of(payment_id).intent_id, to="open", at=stamp(clock.now()))
    shop.fake.ledger.owed.clear()  # nobody ever tells us

    jobs.run("billing_stripe_missed", clock.now())
    jobs.run("billing_stripe_missed", clock.now())

    assert payment_now(session, payment_id).dispute == "open"
    kinds = session.scalars(select(ProviderEvent.kind)).all()
    assert sum(kind.startswith("charge.dispute.created") for kind in kinds) == 1


def test_a_long_list_is_read_whole(shop: Till, session: Session) -> None:
    intent = {"id": "pi_x", "object": "payment_intent", "metadata": {}}
    for _ in range(230):
        shop.fake.ledger._owe("payment_intent.succeeded", intent, stamp(clock.now()))

    jobs.run("billing_stripe_missed", clock.now() + timedelta(seconds=1))

    assert len(session.scalars(select(ProviderEvent)).all()) == 230


def test_the_door_keeps_genuine_messages_once(
    shop: Till, session: Session, team: Team, client: TestClient
) -> None:
    payment_id = shop.order(team)
    shop.press(shop.checkout(payment_id))
    event = shop.fake.ledger.owed[0]
    body, headers = signed(event, shop.fake.webhook_secret, at=stamp(clock.now()))

    answers = [client.post("/webhooks/stripe", content=body, headers=headers) for _ in range(2)]

    assert [one.status_code for one in answers] == [200, 200]
    kept = session.scalars(select(ProviderEvent)).one()
    assert (kept.event_id, kept.copies) == (event["id"], 2)


@pytest.mark.parametrize("broken", ["body", "signature", "old", "future", "none", "secret"])
def test_the_door_keeps_nothing_forged(
    shop: Till, session: Session, client: TestClient, broken: str
) -> None:
    shop.fake.ledger._owe("payment_intent.succeeded", {"id": "pi_1"}, 1)
    shift = {"old": -301, "future": 301}.get(broken, 0)
    secret = "whsec_other" if broken == "secret" else shop.fake.webhook_secret
    at = stamp(clock.now()) + shift
    body, headers = signed(shop.fake.ledger.owed[0], secret, at=at)
    if broken == "body":
        body = body.replace(b"pi_1", b"pi_2")
    elif broken == "signature":
        headers["stripe-signature"] = headers["stripe-signature"][:-1] + "g"
    elif broken == "none":
        headers = {}

    answer = client.post("/webhooks/stripe", content=body, headers=headers)

    assert answer.status_code == 403
    assert session.scalars(select(ProviderEvent)).all() == []


def test_a_message_about_an_unknown_payment_is_kept_and_shown(shop: Till, session: Session) -> None:
    about = {"id": "pi_77", "object": "payment_intent", "metadata": {}}
    shop.fake.ledger._owe("payment_intent.succeeded", about, 1)

    shop.deliver()

    kept = session.scalars(select(ProviderEvent)).one()
    assert (kept.kind, kept.outcome) == ("payment_intent.succeeded pi_77", "unknown payment")


def test_too_little_to_charge_is_refused_before_it_is_ordered(
    shop: Till, session: Session, team: Team
) -> None:
    payment_id = shop.bought(team, kind="ram")
    resource = resource_of(session, payment_id)
    late = soon(session, payment_id) - timedelta(days=3)

    for pieces, minor in ((2, 0), (10, 91)):
        if minor == 0:
            with pytest.raises(TooLittleToCharge):
                more(session, team, resource.id, pieces, late)
        else:
            bought = more(session, team, resource.id, pieces, late)
            assert bought is not None
            assert bought.payment.amount_minor == minor
    assert resource_of(session, payment_id).quantity == 1


def more(
    session: Session, team: Team, resource_id: UUID, quantity: int, now: datetime
) -> purchases.Bought | None:
    return quantities.change(
        session, team=team, resource_id=resource_id, quantity=quantity, actor="test", now=now
    )


def ask(session: Session, payment_id: ids.PaymentId, cents: int) -> None:
    refunds.ask(
        session,
        payment_id=payment_id,
        amount=Money.from_cents(cents),
        reason="kindness",
        actor="test",
        now=clock.now(),
    )
    session.flush()
