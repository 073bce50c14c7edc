"""The reserve: released on its day, once, and never to the wrong place."""

from datetime import timedelta

from sqlalchemy import select
from sqlalchemy.orm import Session

from flowlink.kernel import jobs, policy as policies
from flowlink.kernel.money import Money
from flowlink.payouts import (
    commission_queries,
    jobs as payout_jobs,
    queries,
    reserve,
    service as payouts,
)
from flowlink.payouts.models import ReserveLot
from flowlink.risk import service as risk
from flowlink.tracking.models import Status
from tests.factories import balance, make_partner
from tests.payouts.acts import hold
from tests.payouts.makers import DAY, assert_clean, change, earn

THEN = DAY + timedelta(days=30)


def test_nothing_is_released_before_its_day(session: Session) -> None:
    ada = make_partner(session)
    earn(session, ada, "100.00")

    assert reserve.release(session, now=THEN - timedelta(days=1)) == 0

    assert balance(session, ada, "reserve") == "18.00 EUR"


def test_a_lot_is_released_on_its_day_and_once(session: Session) -> None:
    ada = make_partner(session)
    sale = earn(session, ada, "100.00")

    assert reserve.release(session, now=THEN) == 1
    assert reserve.release(session, now=THEN) == 0

    assert balance(session, ada, "available") == "60.00 EUR"
    assert balance(session, ada, "reserve") == "0.00 EUR"
    assert queries.releases(session, ada.partner_id) == []
    trail = commission_queries.trail(session, sale)
    assert trail is not None
    assert [(str(kept.amount), kept.released_at) for kept in trail.reserve] == [("18.00 EUR", THEN)]
    assert_clean(session)


def test_many_partners_and_days_are_released_by_the_job(session: Session) -> None:
    ada, bob = make_partner(session), make_partner(session)
    for person in (ada, bob):
        earn(session, person, "100.00")
        earn(session, person, "10.00", at=DAY + timedelta(days=1))

    told = jobs.run("reserve_release", THEN + timedelta(days=9))

    assert told == "4 reserve lots released"
    assert payout_jobs.release_reserve(THEN + timedelta(days=9)) == "0 reserve lots released"
    assert balance(session, ada, "available") == balance(session, bob, "available") == "66.00 EUR"
    assert_clean(session)


def test_on_hold_the_release_is_kept_apart(session: Session) -> None:
    ada = make_partner(session)
    earn(session, ada, "100.00")
    hold(session, ada)

    reserve.release(session, now=THEN)

    assert balance(session, ada, "held") == "18.00 EUR"
    assert balance(session, ada, "available") == "42.00 EUR"
    assert_clean(session)


def test_a_release_repays_debt_first(session: Session) -> None:
    ada = make_partner(session)
    lost = earn(session, ada, "100.00", at=DAY - timedelta(days=40))
    reserve.release(session, now=DAY)
    payouts.request_withdrawal(
        session,
        partner_id=ada.partner_id,
        amount=Money.parse("60.00"),
        rail="paypal",
        details="ada@example.org",
        policy=policies.at(session, DAY),
        now=DAY,
    )
    change(session, lost, Status.REVERSED, "100.00", at=DAY)
    earn(session, ada, "50.00")
    assert balance(session, ada, "debt") == "-39.00 EUR"

    reserve.release(session, now=THEN)

    assert balance(session, ada, "debt") == "-30.00 EUR"
    assert_clean(session)


def test_an_empty_lot_is_closed_without_an_entry(session: Session) -> None:
    ada = make_partner(session)
    sale = earn(session, ada, "100.00")
    change(session, sale, Status.REVERSED, "100.00")

    assert reserve.release(session, now=THEN) == 1

    (lot,) = session.scalars(select(ReserveLot).where(ReserveLot.partner_id == ada.partner_id))
    assert (lot.released_micro, lot.released_at) == (0, THEN)
    assert_clean(session)


def test_what_is_approved_late_is_kept_in_a_lot_of_its_own(session: Session) -> None:
    ada = make_partner(session)
    earn(session, ada, "100.00")
    reserve.release(session, now=THEN)

    earn(session, ada, "10.00")
    assert balance(session, ada, "reserve") == "1.80 EUR"
    reserve.release(session, now=THEN)

    assert balance(session, ada, "available") == "66.00 EUR"
    assert_clean(session)


def test_a_reversal_before_the_release_leaves_the_others_part(session: Session) -> None:
    ada = make_partner(session)
    earn(session, ada, "100.00")
    other = earn(session, ada, "50.00")
    change(session, other, Status.REVERSED, "50.00")

    reserve.release(session, now=THEN)

    assert balance(session, ada, "available") == "60.00 EUR"
    assert_clean(session)


def test_a_lifted_hold_gives_what_it_kept_apart(session: Session) -> None:
    ada = make_partner(session)
    hold(session, ada)
    earn(session, ada, "100.00")
    lifted = risk.lift_hold(
        session, partner_id=ada.partner_id, reason="a film went viral", actor="test", now=DAY
    )
    payload = {"partner_id": str(ada.partner_id), "hold_id": str(lifted[0].id)}

    payout_jobs.give_held(payload, DAY)
    payout_jobs.give_held(payload, DAY)

    assert balance(session, ada, "held") == "0.00 EUR"
    assert balance(session, ada, "available") == "42.00 EUR"
    hold(session, ada)
    earn(session, ada, "10.00")
    payout_jobs.give_held(payload, DAY)
    assert balance(session, ada, "held") == "4.20 EUR"
    risk.lift_hold(session, partner_id=ada.partner_id, reason="again", actor="test", now=DAY)
    payout_jobs.give_held(payload, DAY)
    assert balance(session, ada, "held") == "4.20 EUR"
    assert_clean(session)


def test_held_again_before_the_money_came_it_stays_apart(session: Session) -> None:
    ada = make_partner(session)
    hold(session, ada)
    earn(session, ada, "100.00")
    lifted = risk.lift_hold(
        session, partner_id=ada.partner_id, reason="viral", actor="test", now=DAY
    )
    hold(session, ada)

    payload = {"partner_id": str(ada.partner_id), "hold_id": str(lifted[0].id)}
    payout_jobs.give_held(payload, DAY)

    assert balance(session, ada, "held") == "42.00 EUR"
    assert balance(session, ada, "available") == "0.00 EUR"
