"""Conversions become money: which amounts move, once each, in both directions."""

from datetime import timedelta
from uuid import uuid4

import pytest
from sqlalchemy import text
from sqlalchemy.orm import Session

from flowlink.kernel import policy as policies
from flowlink.kernel.money import Money
from flowlink.ledger import queries as ledger, service as ledger_service
from flowlink.payouts import commission_queries, commissions, jobs, queries, reserve
from flowlink.tracking.models import Status
from tests.factories import Person, balance, make_partner
from tests.payouts.acts import ask, hold
from tests.payouts.makers import DAY, assert_clean, become, change, convert, earn

KINDS = ("pending", "reserve", "held", "available", "withdrawing", "debt")


def purse(session: Session, person: Person) -> dict[str, str]:
    """A partner's accounts that are not empty."""
    amounts = {kind: balance(session, person, kind).removesuffix(" EUR") for kind in KINDS}
    return {kind: amount for kind, amount in amounts.items() if Money.parse(amount).micro}


def revenue(session: Session) -> str:
    return str(ledger.balance(session, ledger_service.account(ledger_service.AccountKind.REVENUE)))


def test_an_approved_conversion_pays_seventy_percent_now_and_keeps_thirty(
    session: Session,
) -> None:
    ada = make_partner(session)
    before = revenue(session)

    earn(session, ada, "100.00")

    assert purse(session, ada) == {"available": "42.00", "reserve": "18.00"}
    assert revenue(session) == str(Money.parse(before.removesuffix(" EUR")) + Money.parse("40"))
    assert queries.releases(session, ada.partner_id) == [
        queries.Release(on=(DAY + timedelta(days=30)).date(), amount=Money.parse("18"))
    ]
    assert_clean(session)


def test_a_pending_conversion_is_shown_and_not_paid(session: Session) -> None:
    ada = make_partner(session)

    earn(session, ada, "100.00", status=Status.PENDING)

    assert purse(session, ada) == {"pending": "60.00"}
    assert_clean(session)


@pytest.mark.parametrize("end", [Status.REJECTED, Status.REVERSED])
def test_what_was_pending_goes_without_a_trace(session: Session, end: Status) -> None:
    ada = make_partner(session)
    sale = earn(session, ada, "100.00", status=Status.PENDING)

    change(session, sale, end, "100.00")

    assert purse(session, ada) == {}
    assert_clean(session)


def test_pending_becomes_approved(session: Session) -> None:
    ada = make_partner(session)
    sale = earn(session, ada, "100.00", status=Status.PENDING)

    change(session, sale, Status.APPROVED, "100.00")

    assert purse(session, ada) == {"available": "42.00", "reserve": "18.00"}
    assert_clean(session)


def test_a_reversal_takes_everything_back(session: Session) -> None:
    ada = make_partner(session)
    before = revenue(session)
    sale = earn(session, ada, "100.00")

    change(session, sale, Status.REVERSED, "100.00")

    assert purse(session, ada) == {}
    assert revenue(session) == before
    assert_clean(session)


def test_a_lower_amount_takes_back_in_proportion(session: Session) -> None:
    ada = make_partner(session)
    sale = earn(session, ada, "100.00")

    change(session, sale, Status.APPROVED, "50.00")

    assert purse(session, ada) == {"available": "21.00", "reserve": "9.00"}
    assert_clean(session)


def test_a_higher_amount_pays_the_difference_and_reserves_from_its_own_day(
    session: Session,
) -> None:
    ada = make_partner(session)
    sale = earn(session, ada, "100.00")

    change(session, sale, Status.APPROVED, "150.00", at=DAY + timedelta(days=3))

    assert purse(session, ada) == {"available": "63.00", "reserve": "27.00"}
    amounts = [str(each.amount) for each in queries.releases(session, ada.partner_id)]
    assert amounts == ["18.00 EUR", "9.00 EUR"]
    assert_clean(session)


def test_a_reduction_empties_the_newest_lot_first(session: Session) -> None:
    ada = make_partner(session)
    sale = earn(session, ada, "100.00")
    change(session, sale, Status.APPROVED, "150.00", at=DAY + timedelta(days=3))

    change(session, sale, Status.APPROVED, "75.00", at=DAY + timedelta(days=4))

    amounts = [str(each.amount) for each in queries.releases(session, ada.partner_id)]
    assert amounts == ["13.50 EUR"]
    assert_clean(session)


def test_a_second_increase_of_the_day_joins_the_same_lot(session: Session) -> None:
    ada = make_partner(session)
    sale = earn(session, ada, "100.00")

    change(session, sale, Status.APPROVED, "150.00", at=DAY)

    amounts = [str(each.amount) for each in queries.releases(session, ada.partner_id)]
    assert amounts == ["27.00 EUR"]
    assert_clean(session)


def test_only_the_conversions_own_reserve_is_taken(session: Session) -> None:
    ada = make_partner(session)
    earn(session, ada, "100.00")
    other = earn(session, ada, "10.00")

    change(session, other, Status.REVERSED, "10.00")

    assert purse(session, ada) == {"available": "42.00", "reserve": "18.00"}
    assert_clean(session)


def test_after_the_release_a_reversal_comes_out_of_what_is_available(session: Session) -> None:
    ada = make_partner(session)
    sale = earn(session, ada, "100.00")
    reserve.release(session, now=DAY + timedelta(days=30))
    assert purse(session, ada) == {"available": "60.00"}

    change(session, sale, Status.REVERSED, "100.00", at=DAY + timedelta(days=31))

    assert purse(session, ada) == {}
    assert_clean(session)


def test_after_the_payout_a_reversal_becomes_debt_that_later_credits_repay(
    session: Session,
) -> None:
    ada = make_partner(session)
    sale = earn(session, ada, "100.00")
    ask(session, ada, "42.00")

    change(session, sale, Status.REVERSED, "100.00")
    assert purse(session, ada) == {"withdrawing": "42.00", "debt": "-42.00"}

    earn(session, ada, "50.00")
    assert purse(session, ada) == {"withdrawing": "42.00", "debt": "-21.00", "reserve": "9.00"}
    earn(session, ada, "100.00")

    assert purse(session, ada) == {"withdrawing": "42.00", "available": "21.00", "reserve": "27.00"}
    assert_clean(session)


def test_on_hold_new_earnings_are_kept_apart(session: Session) -> None:
    ada = make_partner(session)
    earn(session, ada, "10.00")
    hold(session, ada)

    sale = earn(session, ada, "100.00")

    assert purse(session, ada) == {"available": "4.20", "held": "42.00", "reserve": "19.80"}
    change(session, sale, Status.REVERSED, "100.00")
    assert purse(session, ada) == {"available": "4.20", "reserve": "1.80"}
    assert_clean(session)


def test_posting_again_moves_nothing(session: Session) -> None:
    ada = make_partner(session)
    sale = earn(session, ada, "100.00")

    assert commissions.post_revisions(session, now=DAY) == 0
    assert commissions.post_conversions(session, conversion_ids=[sale], now=DAY) == 0
    assert commissions.post_conversions(session, conversion_ids=[], now=DAY) == 0

    assert purse(session, ada) == {"available": "42.00", "reserve": "18.00"}
    assert_clean(session)


def test_revisions_that_came_late_are_posted_in_their_order(session: Session) -> None:
    ada = make_partner(session)
    sale = convert(session, ada, "100.00", status=Status.PENDING)
    become(session, sale, Status.APPROVED, "100.00")
    become(session, sale, Status.APPROVED, "80.00")
    become(session, sale, Status.REVERSED, "80.00", at=DAY - timedelta(hours=1))

    posted = commissions.post_revisions(session, now=DAY)

    assert posted == 4
    assert purse(session, ada) == {}
    trail = commission_queries.trail(session, sale)
    assert trail is not None
    assert [(step.revision, step.status) for step in trail.steps] == [
        (1, "pending"),
        (2, "approved"),
        (3, "approved"),
        (4, "reversed"),
    ]
    assert_clean(session)


def test_a_search_from_a_moment_on_leaves_older_revisions_alone(session: Session) -> None:
    ada = make_partner(session)
    convert(session, ada, "100.00", at=DAY - timedelta(days=9))

    assert commissions.post_revisions(session, now=DAY, since=DAY - timedelta(days=2)) == 0
    assert purse(session, ada) == {}
    assert commissions.post_revisions(session, now=DAY) == 1


def test_the_share_is_pinned_when_the_conversion_is_first_posted(session: Session) -> None:
    ada = make_partner(session)
    sale = earn(session, ada, "100.00")
    policies.change(
        session, name="PAYOUT_RESERVE_PCT", value="0.50", actor="test", reason="test", now=DAY
    )

    change(session, sale, Status.APPROVED, "200.00", at=DAY)

    assert purse(session, ada) == {"available": "84.00", "reserve": "36.00"}
    assert_clean(session)


def test_a_conversion_without_a_share_is_revenue_alone(session: Session) -> None:
    ada = make_partner(session)
    sale = convert(session, ada, "100.00", share_bps=0)

    commissions.post_revisions(session, now=DAY)
    become(session, sale, Status.REJECTED, 0)
    become(session, sale, Status.REJECTED, 0)
    commissions.post_revisions(session, now=DAY)

    assert purse(session, ada) == {}
    trail = commission_queries.trail(session, sale)
    assert trail is not None
    assert [step.entry_id is None for step in trail.steps] == [False, False, True]
    assert_clean(session)


def test_without_a_reserve_all_is_available_at_once(session: Session) -> None:
    ada = make_partner(session)
    policies.change(
        session, name="PAYOUT_RESERVE_PCT", value="0", actor="test", reason="test", now=DAY
    )

    earn(session, ada, "100.00")

    assert purse(session, ada) == {"available": "60.00"}
    assert_clean(session)


def test_no_millionth_is_lost_to_rounding(session: Session) -> None:
    ada = make_partner(session)
    sale = convert(session, ada, "0.01", share_bps=3333)
    become(session, sale, Status.APPROVED, 7)
    become(session, sale, Status.APPROVED, 5)

    commissions.post_revisions(session, now=DAY)

    found = queries.balances(session, ada.partner_id)
    assert (found.available + found.reserved).micro == 2
    change(session, sale, Status.REVERSED, 5)
    assert purse(session, ada) == {}
    assert_clean(session)


def test_what_nobody_posted_has_no_trail(session: Session) -> None:
    assert commission_queries.trail(session, uuid4()) is None


def test_what_the_ledger_refuses_moves_nothing(session: Session) -> None:
    ada = make_partner(session)
    convert(session, ada, "100.00", currency="XXX")

    with pytest.raises(commissions.NotPosted), session.begin_nested():
        commissions.post_revisions(session, now=DAY)

    assert purse(session, ada) == {}
    assert session.scalar(text("SELECT count(*) FROM payouts_commission_revision")) == 0


def test_what_the_ledger_refuses_stops_nobody_else(session: Session) -> None:
    ada, bob = make_partner(session), make_partner(session)
    for _ in range(2):
        convert(session, ada, "100.00")
    stuck = convert(session, bob, "100.00", currency="XXX")
    convert(session, bob, "10.00")

    told = jobs.sweep_commissions(DAY)

    assert told == "3 revisions posted"
    assert purse(session, ada) == {"available": "84.00", "reserve": "36.00"}
    assert purse(session, bob) == {"available": "4.20", "reserve": "1.80"}
    assert commission_queries.unposted_conversions(session, limit=9) == [stuck]


def test_an_event_posts_all_that_is_due(session: Session) -> None:
    ada = make_partner(session)
    convert(session, ada, "100.00")
    convert(session, ada, "50.00")

    jobs.post_commissions({"conversion_id": "not-looked-at", "revision": 1}, DAY)

    assert purse(session, ada) == {"available": "63.00", "reserve": "27.00"}
    assert_clean(session)
