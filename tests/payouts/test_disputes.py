"""Disputed sales: what is set apart, and where it goes when the dispute is won or lost."""

from datetime import timedelta
from uuid import UUID

import pytest
from sqlalchemy.orm import Session

from flowlink.payouts import dispute_queries, disputes, holds, reserve
from flowlink.risk import service as risk
from flowlink.tracking.models import Conversion, Status
from tests.factories import make_partner
from tests.payouts.acts import ask, hold, pay
from tests.payouts.makers import DAY, assert_clean, change, earn
from tests.payouts.test_engine import purse


def open_dispute(session: Session, sale: UUID, reference: str = "CB-1") -> UUID:
    return disputes.open_dispute(
        session, conversion_id=sale, reference=reference, actor="test", now=DAY
    ).id


def test_a_dispute_sets_apart_what_the_sale_brought_until_it_is_won(session: Session) -> None:
    ada = make_partner(session)
    sale = earn(session, ada, "100.00")

    dispute = open_dispute(session, sale)

    assert purse(session, ada) == {"held": "60.00"}
    assert open_dispute(session, sale) == dispute
    with pytest.raises(disputes.DisputeOpen):
        open_dispute(session, sale, "CB-2")
    assert reserve.release(session, now=DAY + timedelta(days=40)) == 1
    assert purse(session, ada) == {"held": "60.00"}
    assert_clean(session)
    disputes.win(session, dispute_id=dispute, actor="test", now=DAY)
    assert purse(session, ada) == {"available": "60.00"}
    with pytest.raises(disputes.DisputeDecided):
        disputes.win(session, dispute_id=dispute, actor="test", now=DAY)
    assert_clean(session)


def test_a_won_dispute_puts_the_reserve_back_until_its_day(session: Session) -> None:
    ada = make_partner(session)
    sale = earn(session, ada, "100.00")
    dispute = open_dispute(session, sale)

    disputes.win(session, dispute_id=dispute, actor="test", now=DAY + timedelta(days=29))

    assert purse(session, ada) == {"available": "42.00", "reserve": "18.00"}
    assert_clean(session)
    assert reserve.release(session, now=DAY + timedelta(days=29)) == 0
    assert reserve.release(session, now=DAY + timedelta(days=30)) == 1
    assert purse(session, ada) == {"available": "60.00"}
    assert_clean(session)


def test_a_won_dispute_pays_at_once_what_the_reserve_would_have_released(session: Session) -> None:
    ada = make_partner(session)
    dispute = open_dispute(session, earn(session, ada, "100.00"))

    disputes.win(session, dispute_id=dispute, actor="test", now=DAY + timedelta(days=30))

    assert purse(session, ada) == {"available": "60.00"}
    assert_clean(session)


def test_a_dispute_won_over_half_the_sale_keeps_half_the_reserve(session: Session) -> None:
    ada = make_partner(session)
    sale = earn(session, ada, "100.00")
    dispute = open_dispute(session, sale)
    change(session, sale, Status.APPROVED, "50.00")
    hold(session, ada)

    disputes.win(session, dispute_id=dispute, actor="test", now=DAY + timedelta(days=2))

    assert purse(session, ada) == {"held": "21.00", "reserve": "9.00"}
    change(session, sale, Status.REVERSED, "50.00")
    assert purse(session, ada) == {}
    assert_clean(session)


def test_a_lost_dispute_takes_back_and_makes_debt_of_what_was_withdrawn(session: Session) -> None:
    ada = make_partner(session)
    sale = earn(session, ada, "100.00")
    pay(session, ask(session, ada, "40.00"))

    dispute = open_dispute(session, sale)
    assert purse(session, ada) == {"held": "20.00"}
    disputes.lose(session, dispute_id=dispute, actor="test", now=DAY + timedelta(days=1))

    assert purse(session, ada) == {"debt": "-40.00"}
    assert session.get_one(Conversion, sale).status == Status.REVERSED
    with pytest.raises(disputes.DisputeDecided):
        disputes.lose(session, dispute_id=dispute, actor="test", now=DAY)
    assert_clean(session)


def test_the_network_ends_a_dispute_by_taking_the_sale_back(session: Session) -> None:
    ada = make_partner(session)
    sale = earn(session, ada, "100.00")
    open_dispute(session, sale)

    change(session, sale, Status.APPROVED, "50.00")
    assert purse(session, ada) == {"held": "30.00"}
    change(session, sale, Status.REVERSED, "50.00")

    assert purse(session, ada) == {}
    found = dispute_queries.lines(session, partner_id=ada.partner_id)
    assert [each.dispute.state for each in found] == ["lost"]
    assert_clean(session)


def test_a_lifted_hold_frees_no_disputed_money(session: Session) -> None:
    ada = make_partner(session)
    sale = earn(session, ada, "100.00")
    open_dispute(session, sale)
    hold(session, ada)
    earn(session, ada, "10.00")

    (lifted,) = risk.lift_hold(
        session, partner_id=ada.partner_id, reason="fine", actor="test", now=DAY
    )
    holds.give_held(session, partner_id=ada.partner_id, hold_id=lifted.id, now=DAY)

    assert purse(session, ada) == {"held": "60.00", "available": "4.20", "reserve": "1.80"}
    assert_clean(session)
