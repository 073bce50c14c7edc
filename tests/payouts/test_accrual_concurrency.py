"""Many at once, in real threads: every click is paid once, no budget is spent twice."""

import pytest
from sqlalchemy.orm import Session

from flowlink.kernel import db
from flowlink.kernel.money import Money
from flowlink.payouts import accruals, jobs
from flowlink.tracking import budgets
from flowlink.tracking.models import Offer
from tests.factories import Person, balance, make_partner
from tests.payouts.click_makers import HOUR, NEXT, click, left, link_to, make_offer
from tests.payouts.makers import assert_clean
from tests.payouts.test_concurrency import at_once, while_open

pytestmark = pytest.mark.usefixtures("database")


def world(budget: str) -> tuple[Offer, tuple[Person, Person]]:
    with db.write() as session:
        ada, bob = make_partner(session), make_partner(session)
        offer = make_offer(session, budget=budget)
        click(session, link_to(session, ada, offer), link_to(session, bob, offer), number=20)
    return offer, (ada, bob)


def budget_of(offer: Offer) -> str:
    with db.write() as session:
        assert_clean(session)
        return left(session, offer)


@pytest.mark.parametrize(("budget", "rest"), [("10.00", "6.00 EUR"), ("1.05", "0.05 EUR")])
def test_the_job_many_times_at_once_pays_once(budget: str, rest: str) -> None:
    offer, people = world(budget)

    outcomes = at_once(6, lambda _: jobs.accrue_clicks(HOUR + NEXT))

    assert outcomes == {"done": 6}
    assert budget_of(offer) == rest
    with db.read() as session:
        got = [balance(session, person, "reserve") for person in people]
    assert len(set(got)) == 1 or budget == "1.05"


def test_what_is_taken_back_meanwhile_is_not_spent() -> None:
    offer, _ = world("4.00")

    def take_back(session: Session) -> None:
        amount = Money.parse("3.00")
        budgets.take_back(session, offer=offer, amount=amount, actor="test", now=HOUR)

    def accrue(session: Session) -> None:
        accruals.accrue(session, now=HOUR + NEXT)

    assert while_open(take_back, accrue) == "done"

    assert budget_of(offer) == "0.00 EUR"


def test_what_is_spent_meanwhile_cannot_be_taken_back() -> None:
    offer, _ = world("4.00")

    def accrue(session: Session) -> None:
        accruals.accrue(session, now=HOUR + NEXT)

    def take_back(session: Session) -> None:
        amount = Money.parse("3.00")
        budgets.take_back(session, offer=offer, amount=amount, actor="test", now=HOUR)

    assert while_open(accrue, take_back) == "InsufficientFunds"

    assert budget_of(offer) == "0.00 EUR"


def test_clicks_that_arrive_while_an_hour_is_paid_are_paid_next() -> None:
    with db.write() as session:
        ada = make_partner(session)
        offer = make_offer(session, budget="4.00")
        link = link_to(session, ada, offer)
        click(session, link, number=5)

    with db.write() as session:
        accruals.accrue(session, now=HOUR + NEXT)
        with db.write() as other:
            click(other, link, number=5)
    jobs.accrue_clicks(HOUR + NEXT)

    assert budget_of(offer) == "3.00 EUR"
