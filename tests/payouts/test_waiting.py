"""Watched clicks: their money waits, is posted once when cleared, and is nothing when not."""

from datetime import timedelta

import pytest
from sqlalchemy import select
from sqlalchemy.orm import Session

from flowlink.kernel import db
from flowlink.kernel.money import Money
from flowlink.payouts import click_queries, jobs, settling, waiting
from flowlink.payouts.models import Zero
from flowlink.payouts.waiting_models import Waiting
from flowlink.risk import watches
from flowlink.risk.watch_models import Watch
from flowlink.tracking import budgets
from flowlink.tracking.models import Link, Offer
from tests.factories import Person, balance, make_partner
from tests.payouts.acts import hold
from tests.payouts.click_makers import accrue, left, link_to, make_offer
from tests.payouts.makers import assert_clean
from tests.payouts.test_concurrency import at_once
from tests.risk.makers import NOON, machines, people

PAID_AT = NOON + timedelta(hours=1)
LATER = NOON + timedelta(hours=2)


def stage(session: Session, **terms: str) -> tuple[Person, Offer, Link]:
    ada = make_partner(session)
    offer = make_offer(session, **({"budget": "100.00"} | terms))
    return ada, offer, link_to(session, ada, offer)


def decide(session: Session, *, fraud: bool) -> None:
    for watch in session.scalars(select(Watch)).all():
        watches.decide(
            session, watch_id=watch.id, fraud=fraud, reason="seen", actor="test", now=LATER
        )
    session.flush()


def money(session: Session, person: Person) -> tuple[str, str]:
    return balance(session, person, "available"), balance(session, person, "reserve")


def test_watched_clicks_wait_and_the_others_are_paid(session: Session) -> None:
    ada, offer, link = stage(session)
    people(session, link, 40)
    machines(session, link, 60)

    assert accrue(session, PAID_AT) == (40, 0)

    assert money(session, ada) == ("2.80 EUR", "1.20 EUR")
    (waits,) = waiting.amounts(session).values()
    assert (waits.clicks, waits.most) == (60, Money.parse("6.00"))
    assert left(session, offer) == "96.00 EUR"
    assert accrue(session, LATER) == (0, 0)
    assert_clean(session)


def test_cleared_clicks_are_paid_once(session: Session) -> None:
    ada, _, link = stage(session)
    machines(session, link)
    accrue(session, PAID_AT)
    assert money(session, ada) == ("0.00 EUR", "0.00 EUR")
    decide(session, fraud=False)

    assert settling.settle(session, now=LATER) == 60

    assert settling.settle(session, now=LATER) == 0
    assert money(session, ada) == ("4.20 EUR", "1.80 EUR")
    assert waiting.amounts(session) == {}
    assert_clean(session)


def test_confirmed_fraud_is_a_zero_with_its_reason(session: Session) -> None:
    ada, offer, link = stage(session)
    (number, *_) = machines(session, link)
    accrue(session, PAID_AT)
    watch = waiting.watch_of(session, partner_id=ada.partner_id, number=number)
    assert watch is not None
    decide(session, fraud=True)

    assert settling.settle(session, now=LATER) == 60

    assert money(session, ada) == ("0.00 EUR", "0.00 EUR")
    assert left(session, offer) == "100.00 EUR"
    told = click_queries.click_money(session, partner_id=ada.partner_id, number=number)
    assert told is not None
    assert told.zero is Zero.FRAUD
    assert waiting.watch_of(session, partner_id=ada.partner_id, number=number) is None
    assert_clean(session)


def test_open_ones_are_not_settled(session: Session) -> None:
    _, _, link = stage(session)
    machines(session, link)
    accrue(session, PAID_AT)

    assert settling.settle(session, now=LATER + timedelta(days=400)) == 0


def test_what_the_budget_cannot_pay_waits_on(session: Session) -> None:
    ada, offer, link = stage(session, budget="2.05")
    machines(session, link)
    accrue(session, PAID_AT)
    decide(session, fraud=False)

    assert settling.settle(session, now=LATER) == 20
    assert balance(session, ada, "available") == "1.40 EUR"
    assert [row.clicks for row in waiting.amounts(session).values()] == [40]
    assert_clean(session)
    budgets.fund(session, offer=offer, amount=Money.parse("9.00"), actor="test", now=LATER)

    assert settling.settle(session, now=LATER) == 40
    assert money(session, ada) == ("4.20 EUR", "1.80 EUR")
    assert_clean(session)


def test_the_caps_of_their_day_hold(session: Session) -> None:
    ada, _, link = stage(session, cap_partner_daily="3.00")
    people(session, link, 20)
    machines(session, link)
    accrue(session, PAID_AT)
    decide(session, fraud=False)

    settling.settle(session, now=LATER)

    assert money(session, ada) == ("2.10 EUR", "0.90 EUR")
    zeros = [line.zeros for line in click_queries.accruals(session, partner_id=ada.partner_id)]
    assert {Zero.CAP_PARTNER_DAILY: 50} in zeros
    assert_clean(session)


def test_a_hold_keeps_cleared_money_apart(session: Session) -> None:
    ada, _, link = stage(session)
    machines(session, link)
    accrue(session, PAID_AT)
    hold(session, ada)
    decide(session, fraud=False)

    settling.settle(session, now=LATER)

    assert (balance(session, ada, "available"), balance(session, ada, "held")) == (
        "0.00 EUR",
        "4.20 EUR",
    )


@pytest.mark.usefixtures("database")
def test_settled_many_times_at_once_is_settled_once() -> None:
    with db.write() as session:
        ada, _, link = stage(session)
        machines(session, link)
        accrue(session, PAID_AT)
        decide(session, fraud=False)

    outcomes = at_once(6, lambda session: settling.settle(session, now=LATER))
    jobs.accrue_clicks(LATER)

    assert outcomes == {"done": 6}
    with db.write() as session:
        assert money(session, ada) == ("4.20 EUR", "1.80 EUR")
        assert_clean(session)


def test_what_is_settled_stays(session: Session) -> None:
    _, _, link = stage(session)
    machines(session, link)
    accrue(session, PAID_AT)
    decide(session, fraud=True)
    settling.settle(session, now=LATER)
    row = session.scalars(select(Waiting)).one()

    row.click_ids = row.click_ids[:1]

    with pytest.raises(Exception, match="stay settled"), session.begin_nested():
        session.flush()
