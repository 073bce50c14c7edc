"""The proof names what is wrong: each kind of damage is found."""

import pytest
from sqlalchemy import text
from sqlalchemy.orm import Session

from flowlink.kernel import policy as policies
from flowlink.kernel.money import Money
from flowlink.payouts import check, service as payouts
from tests.factories import Person, make_partner
from tests.payouts.click_makers import accrue, click, link_to, make_offer
from tests.payouts.makers import DAY, assert_clean, convert, earn


def paid(session: Session, person: Person) -> None:
    payouts.request_withdrawal(
        session,
        partner_id=person.partner_id,
        amount=Money.parse("20.00"),
        rail="paypal",
        details="ada@example.org",
        policy=policies.at(session, DAY),
        now=DAY,
    )


DAMAGE = {
    "UPDATE payouts_reserve_lot SET remaining_micro = remaining_micro + 1": "reserve lots of",
    "UPDATE payouts_reserve_share SET amount_micro = amount_micro - 1": "its conversions",
    "UPDATE payouts_withdrawal SET amount_minor = amount_minor + 1": "open withdrawals of",
    "UPDATE payouts_withdrawal SET state = 'in_run'": "in a state that its last event",
    "UPDATE payouts_commission SET share_micro = share_micro - 1": "commission of conversion",
    "UPDATE payouts_commission SET gross_micro = gross_micro + 1": "commission of conversion",
    "UPDATE payouts_commission SET pending_micro = 1": "commission of conversion",
    "DELETE FROM payouts_commission_revision": "belongs to no commission",
    "UPDATE payouts_withdrawal SET state = 'settled', reference = 'x'": "settled withdrawals are",
}


@pytest.mark.parametrize("damage", DAMAGE)
def test_damage_is_found(session: Session, damage: str) -> None:
    ada = make_partner(session)
    earn(session, ada, "100.00")
    paid(session, ada)
    assert_clean(session)
    session.execute(text("SET LOCAL ROLE NONE"))  # the owner, whom no guard stops
    session.execute(text("SET LOCAL session_replication_role = replica"))

    session.execute(text(damage))

    found = check.problems(session)
    assert any(DAMAGE[damage] in problem for problem in found), found


CLICK_DAMAGE = {
    "UPDATE payouts_accrual SET click_ids = click_ids[2:], amount_micro = price_micro": (
        "differs from its entry"
    ),
    "UPDATE payouts_accrual SET reserve_micro = reserve_micro - 1": "differs from its entry",
    "UPDATE payouts_accrual SET offer_id = uuidv7()": "differs from its entry",
    "DELETE FROM payouts_accrual": "belongs to no accrual",
    "UPDATE payouts_accrual SET click_ids = ARRAY[click_ids[1], click_ids[1]]": "accrued twice",
}


@pytest.mark.parametrize("damage", CLICK_DAMAGE)
def test_damage_to_click_earnings_is_found(session: Session, damage: str) -> None:
    ada = make_partner(session)
    offer = make_offer(session, budget="5.00")
    click(session, link_to(session, ada, offer), number=2)
    accrue(session)
    assert_clean(session)
    session.execute(text("SET LOCAL ROLE NONE"))
    session.execute(text("SET LOCAL session_replication_role = replica"))

    session.execute(text(damage))

    found = check.problems(session)
    assert any(CLICK_DAMAGE[damage] in problem for problem in found), found


def test_a_revision_that_nobody_posted_is_named(session: Session) -> None:
    ada = make_partner(session)
    sale = convert(session, ada, "100.00")

    assert check.problems(session) == [f"conversion revision {sale}:1 has not been posted"]
