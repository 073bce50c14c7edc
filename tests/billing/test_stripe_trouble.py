"""Stripe is down, slow, silent or talks nonsense: nothing twice, nothing unpaid, and it is said."""

from collections.abc import Iterator
from datetime import datetime, timedelta

import pytest
from sqlalchemy import select
from sqlalchemy.orm import Session

from flowlink.app import checks
from flowlink.billing import (
    charges,
    ids,
    limits,
    renewals,
    settlement,
    stripe_api,
    stripe_rows as rows,
)
from flowlink.billing.fakestripe.knobs import Knobs
from flowlink.billing.fakestripe.state import stamp
from flowlink.billing.models import Grant, Payment
from flowlink.billing.providers import Away, ProviderAway
from flowlink.kernel import clock, jobs
from flowlink.teams.models import Team
from tests.billing.makers import pro_team
from tests.billing.stripes import Till, payment_now, resource_of, row_of, till

TROUBLES = {
    "down": {"server_errors": 100},
    "silent": {"unanswered": 100},
    "broken": {"late_errors": 100},
    "nonsense": {"nonsense": 100},
    "slow": {"slow_s": 2},
}
every_trouble = pytest.mark.parametrize("trouble", list(TROUBLES))


@pytest.fixture
def shop(session: Session, monkeypatch: pytest.MonkeyPatch) -> Iterator[Till]:
    monkeypatch.setattr(stripe_api, "TIMEOUT_S", 1)
    with till() as opened:
        yield opened
        session.expire_all()
        assert checks.problems(session) == []


@pytest.fixture
def team(session: Session) -> Team:
    return pro_team(session)


def turn(shop: Till, trouble: str) -> None:
    shop.fake.ledger.knobs = Knobs(**TROUBLES.get(trouble, {}))


def soon(session: Session, payment_id: ids.PaymentId) -> datetime:
    ends = resource_of(session, payment_id).expires_at
    assert ends is not None
    return ends - timedelta(hours=1)


def renewal_of(session: Session, payment_id: ids.PaymentId) -> Payment:
    resource = resource_of(session, payment_id)
    mine = Payment.resource_id == resource.id, Payment.purpose == "renewal"
    found = session.scalars(select(Payment).where(*mine)).one()
    session.refresh(found)
    return found


def paid_grants(session: Session) -> int:
    return len(session.scalars(select(Grant).where(Grant.reason == "paid")).all())


@every_trouble
def test_a_checkout_that_fails_can_be_asked_for_again(
    shop: Till, session: Session, team: Team, trouble: str
) -> None:
    payment_id = shop.order(team)
    turn(shop, trouble)
    with pytest.raises(ProviderAway):
        shop.checkout(payment_id)
    turn(shop, "")

    shop.press(shop.checkout(payment_id))
    shop.deliver()

    assert payment_now(session, payment_id).status == "paid"
    assert (len(shop.charges()), paid_grants(session)) == (1, 1)


@every_trouble
def test_what_cannot_be_asked_is_asked_later(
    shop: Till, session: Session, team: Team, trouble: str
) -> None:
    payment_id = shop.order(team)
    shop.press(shop.checkout(payment_id))
    reads = {"silent": "down", "broken": "down"}  # these two are about calls that change something
    turn(shop, reads.get(trouble, trouble))
    shop.deliver()
    assert payment_now(session, payment_id).status == "pending"
    assert limits.at(session, team.id, clock.now()).total.cpu_cores == 4
    turn(shop, "")

    later = clock.now() + timedelta(minutes=11)
    jobs.run("billing_reconcile", later)

    assert payment_now(session, payment_id).status == "paid"
    assert limits.at(session, team.id, later).total.cpu_cores == 5


@every_trouble
def test_a_renewal_without_answer_is_charged_once(
    shop: Till, session: Session, team: Team, trouble: str
) -> None:
    payment_id = shop.bought(team)
    at = soon(session, payment_id)
    turn(shop, trouble)
    renewals.renew_due(now=at)
    for minutes in (20, 30, 40):
        charges.reconcile(now=at + timedelta(minutes=minutes))
    renewal = renewal_of(session, payment_id)
    assert renewal.trouble
    assert resource_of(session, payment_id).status in {"renewing", "active"}
    turn(shop, "")

    for minutes in (50, 60):
        charges.reconcile(now=at + timedelta(minutes=minutes))

    assert renewal_of(session, payment_id).status == "paid"
    assert shop.charged(ids.payment(renewal.id)) == 1
    assert paid_grants(session) == 2


@every_trouble
def test_money_goes_back_once(shop: Till, session: Session, team: Team, trouble: str) -> None:
    payment_id = shop.bought(team)
    settlement.ask_refund(
        session, payment_now(session, payment_id), total_minor=150, reason="kindness"
    )
    session.flush()
    turn(shop, trouble)
    for _ in range(3):
        charges.refund(payment_id, now=clock.now())
    turn(shop, "")

    charges.reconcile(now=clock.now())
    charges.reconcile(now=clock.now())

    assert [one["amount"] for one in shop.fake.ledger.every("refund")] == [150]
    assert payment_now(session, payment_id).refunded_minor == 150


@every_trouble
def test_an_end_waits_until_stripe_has_said_it(
    shop: Till, session: Session, team: Team, trouble: str
) -> None:
    payment_id = shop.order(team)
    shop.press(shop.checkout(payment_id))
    turn(shop, {"silent": "down", "broken": "down"}.get(trouble, trouble))
    old = clock.now() + timedelta(days=3, minutes=1)
    charges.reconcile(now=old)
    assert renewals.expire(now=old) == 0
    turn(shop, "")

    charges.reconcile(now=old)

    assert payment_now(session, payment_id).status == "paid"
    assert resource_of(session, payment_id).status == "active"


def test_a_wrong_key_is_no_refusal_of_the_card(shop: Till, session: Session, team: Team) -> None:
    payment_id = shop.bought(team)
    shop.fake.key = "sk_test_other"

    renewals.renew_due(now=soon(session, payment_id))

    renewal = renewal_of(session, payment_id)
    assert (renewal.status, "Authentication" in renewal.trouble) == ("pending", True)


def test_paid_on_the_page_after_a_day_without_answers(
    shop: Till, session: Session, team: Team
) -> None:
    """Stripe has forgotten the keys by then; the page it made unheard is nobody's."""
    payment_id = shop.order(team)
    turn(shop, "silent")
    with pytest.raises(ProviderAway):
        shop.checkout(payment_id)
    turn(shop, "")
    shop.fake.answered.clear()

    shop.press(shop.checkout(payment_id))
    shop.deliver()

    assert len(shop.charges()) == 1


def test_a_renewal_after_a_day_without_answers_is_charged_once(
    shop: Till, session: Session, team: Team
) -> None:
    payment_id = shop.bought(team)
    at = soon(session, payment_id)
    turn(shop, "silent")
    renewals.renew_due(now=at)
    turn(shop, "")
    shop.fake.answered.clear()
    charges.reconcile(now=at + timedelta(minutes=20))
    turn(shop, "silent")
    charges.reconcile(now=at + timedelta(minutes=30))
    shop.fake.answered.clear()
    turn(shop, "")

    charges.reconcile(now=at + timedelta(minutes=40))

    assert renewal_of(session, payment_id).status == "paid"
    assert len(shop.charges()) == 2


def test_the_confirmation_that_was_not_answered_is_looked_at(
    shop: Till, session: Session, team: Team
) -> None:
    payment_id = shop.bought(team)
    at = soon(session, payment_id)
    turn(shop, "down")
    renewals.renew_due(now=at)
    renewal = renewal_of(session, payment_id)
    row = rows.find(ids.payment(renewal.id))
    assert row is not None
    turn(shop, "")
    payer = rows.payer(row.payer)
    assert payer is not None
    made = stripe_api.configured().make_intent(row, payer.customer_id, payer.method_id)
    kept = rows.move(row, now=at, intent_id=str(made["id"]))
    assert kept is not None
    turn(shop, "silent")
    with pytest.raises(Away):
        stripe_api.configured().confirm(kept)
    turn(shop, "")
    shop.fake.answered.clear()

    charges.reconcile(now=at + timedelta(minutes=20))

    assert renewal_of(session, payment_id).status == "paid"
    assert shop.charged(ids.payment(renewal.id)) == 1


def test_paying_on_a_page_stops_the_charge_that_waits(
    shop: Till, session: Session, team: Team
) -> None:
    """A renewal was prepared and not confirmed; the team opens the page for it."""
    payment_id = shop.bought(team)
    at = soon(session, payment_id)
    turn(shop, "down")
    renewals.renew_due(now=at)
    turn(shop, "")
    renewal = renewal_of(session, payment_id)
    row = rows.find(ids.payment(renewal.id))
    assert row is not None
    payer = rows.payer(row.payer)
    assert payer is not None
    made = stripe_api.configured().make_intent(row, payer.customer_id, payer.method_id)
    rows.move(row, now=at, intent_id=str(made["id"]))

    url = shop.checkout(renewal.id, now=at)
    charges.reconcile(now=at + timedelta(minutes=20))
    assert len(shop.charges()) == 1
    shop.press(url)
    shop.deliver()

    assert renewal_of(session, payment_id).status == "paid"
    assert len(shop.charges()) == 2
    intent = shop.fake.ledger.get("payment_intent", str(made["id"]))
    assert intent["status"] == "canceled"


def test_a_charge_that_was_made_needs_no_page(shop: Till, session: Session, team: Team) -> None:
    """The renewal was paid, and its answer lost; the team presses Pay."""
    payment_id = shop.bought(team)
    at = soon(session, payment_id)
    turn(shop, "silent")
    renewals.renew_due(now=at)
    turn(shop, "")
    renewal = renewal_of(session, payment_id)
    charges.charge(renewal.id, now=at)
    session.expire_all()
    assert renewal_of(session, payment_id).status == "paid"

    with pytest.raises(charges.AlreadyPaid):
        shop.checkout(renewal.id, now=at)
    assert shop.charged(ids.payment(renewal.id)) == 1


def test_what_was_closed_is_never_begun(shop: Till, session: Session, team: Team) -> None:
    payment_id = shop.order(team)
    rows.close(ids.payment(payment_id), now=clock.now())

    with pytest.raises(ProviderAway):
        shop.checkout(payment_id)

    assert shop.fake.ledger.every("checkout.session") == []


def test_a_key_with_other_fields_is_an_error_and_the_next_key_works(
    shop: Till, session: Session, team: Team
) -> None:
    payment_id = shop.order(team)
    turn(shop, "silent")
    with pytest.raises(ProviderAway):
        shop.checkout(payment_id)
    turn(shop, "")
    for key, known in list(shop.fake.answered.items()):
        shop.fake.answered[key] = type(known)((known.asked[0], "x=1"), 200, known.body, known.at)
    with pytest.raises(ProviderAway):
        shop.checkout(payment_id)

    assert shop.checkout(payment_id).startswith(shop.url)
    assert row_of(payment_id).number > 1


def test_a_dispute_of_what_we_have_not_heard_of_is_ours(
    shop: Till, session: Session, team: Team
) -> None:
    payment_id = shop.order(team)
    shop.press(shop.checkout(payment_id), "0259")
    events = shop.fake.ledger.take_owed()
    dispute = next(one for one in events if one["type"] == "charge.dispute.created")
    shop.fake.ledger.owed.append(dispute)

    shop.deliver()

    assert payment_now(session, payment_id).dispute == "open"
    assert stamp(clock.now()) >= dispute["created"]
