"""Click earnings: every valid click once, from the budget, under the terms it was made under."""

from datetime import timedelta

import pytest
from sqlalchemy import select
from sqlalchemy.orm import Session

from flowlink.kernel.money import Money
from flowlink.ledger.queries import entry
from flowlink.payouts import click_queries as queries, jobs, reserve
from flowlink.payouts.models import Accrual, Zero
from flowlink.tracking import budgets, clicks
from flowlink.tracking.models import Mode, Reason, Status
from tests.factories import Person, balance, make_partner
from tests.payouts.acts import ask, hold
from tests.payouts.click_makers import (
    HOUR,
    NEXT,
    accrue,
    address,
    click,
    left,
    link_to,
    make_offer,
    retell,
)
from tests.payouts.makers import DAY, assert_clean, change, earn


@pytest.fixture
def ada(session: Session) -> Person:
    return make_partner(session)


def has(session: Session, person: Person) -> tuple[str, str]:
    return balance(session, person, "available"), balance(session, person, "reserve")


def zeros(session: Session, person: Person) -> dict[Zero, int]:
    lines = queries.accruals(session, partner_id=person.partner_id)
    return {reason: number for line in lines for reason, number in line.zeros.items()}


def test_an_hour_of_clicks_is_paid_with_its_reserve_kept(session: Session, ada: Person) -> None:
    offer = make_offer(session, cpc="0.10", budget="5.00")
    click(session, link_to(session, ada, offer), number=10)

    assert accrue(session) == (10, 0)

    assert has(session, ada) == ("0.70 EUR", "0.30 EUR")
    assert left(session, offer) == "4.00 EUR"
    (line,) = queries.accruals(session, partner_id=ada.partner_id)
    assert (line.paid, str(line.accrual.amount), line.accrual.version) == (10, "1.00 EUR", 1)
    assert_clean(session)


def test_the_reserve_of_clicks_is_released_on_its_day(session: Session, ada: Person) -> None:
    offer = make_offer(session, budget="5.00")
    click(session, link_to(session, ada, offer), number=10)
    accrue(session)

    reserve.release(session, now=HOUR + timedelta(days=30))

    assert has(session, ada) == ("1.00 EUR", "0.00 EUR")
    assert_clean(session)


def test_the_job_again_pays_nothing_again(session: Session, ada: Person) -> None:
    offer = make_offer(session, budget="5.00")
    click(session, link_to(session, ada, offer), number=3)

    assert jobs.accrue_clicks(HOUR + NEXT) == "3 clicks paid, 0 earned nothing"
    assert jobs.accrue_clicks(HOUR + NEXT) == "0 clicks paid, 0 earned nothing"

    assert has(session, ada) == ("0.21 EUR", "0.09 EUR")


def test_an_hour_is_not_paid_before_it_is_over(session: Session, ada: Person) -> None:
    offer = make_offer(session, budget="5.00")
    click(session, link_to(session, ada, offer))

    assert accrue(session, HOUR + NEXT - timedelta(seconds=1)) == (0, 0)

    assert left(session, offer) == "5.00 EUR"


def test_late_clicks_are_paid_once_in_an_accrual_of_their_own(
    session: Session, ada: Person
) -> None:
    offer = make_offer(session, budget="5.00")
    link = link_to(session, ada, offer)
    click(session, link, number=3)
    accrue(session)
    late = click(session, link, number=2)

    assert accrue(session) == (2, 0)
    assert accrue(session) == (0, 0)

    newest, first = queries.accruals(session, partner_id=ada.partner_id)
    assert (first.accrual.sequence, newest.accrual.sequence) == (1, 2)
    assert newest.accrual.click_ids == late
    sources = [entry(session, one.accrual.entry_id).source for one in (first, newest)]  # type: ignore[arg-type]
    assert [source.rpartition(":")[2] for source in sources] == ["1", "2"]
    assert left(session, offer) == "4.50 EUR"
    assert_clean(session)


@pytest.mark.parametrize("reason", [Reason.BOT, Reason.PREFETCH, Reason.HEAD])
def test_machines_earn_nothing(session: Session, ada: Person, reason: Reason) -> None:
    offer = make_offer(session, budget="5.00")
    link = link_to(session, ada, offer)
    click(session, link, reason=reason, number=2)
    click(session, link)

    assert accrue(session) == (1, 0)

    assert left(session, offer) == "4.90 EUR"


def test_the_same_visitor_earns_once(session: Session, ada: Person) -> None:
    offer = make_offer(session, budget="5.00")
    link = link_to(session, ada, offer)
    visit = clicks.Visit(link.code, HOUR, address(), "Mozilla/5.0", "", Reason.VALID)
    clicks.store(session, visits=[visit, visit, visit])

    assert accrue(session) == (1, 0)


def test_a_dry_budget_pays_what_it_can_and_tells_the_rest(session: Session, ada: Person) -> None:
    offer = make_offer(session, cpc="0.10", budget="0.25")
    numbers = click(session, link_to(session, ada, offer), number=4)

    assert accrue(session) == (2, 2)

    assert left(session, offer) == "0.05 EUR"
    assert zeros(session, ada) == {Zero.BUDGET: 2}
    first, last = numbers[0], numbers[-1]
    found = queries.click_money(session, partner_id=ada.partner_id, number=last)
    assert found is not None
    assert found.zero is Zero.BUDGET
    found = queries.click_money(session, partner_id=ada.partner_id, number=first)
    assert found is not None
    assert found.zero is None
    assert_clean(session)


def test_an_offer_that_was_never_funded_pays_nothing(session: Session, ada: Person) -> None:
    click(session, link_to(session, ada, make_offer(session)), number=2)

    assert accrue(session) == (0, 2)

    assert has(session, ada) == ("0.00 EUR", "0.00 EUR")
    assert zeros(session, ada) == {Zero.BUDGET: 2}


def test_money_that_comes_later_pays_later_clicks_only(session: Session, ada: Person) -> None:
    offer = make_offer(session)
    link = link_to(session, ada, offer)
    click(session, link, number=2)
    accrue(session)
    budgets.fund(session, offer=offer, amount=Money.parse("1.00"), actor="test", now=HOUR)
    click(session, link, at=HOUR + NEXT)

    assert accrue(session, HOUR + 2 * NEXT) == (1, 0)

    assert left(session, offer) == "0.90 EUR"


@pytest.mark.parametrize(
    ("cap", "zero"),
    [
        ("cap_partner_daily", Zero.CAP_PARTNER_DAILY),
        ("cap_daily", Zero.CAP_DAILY),
        ("cap_total", Zero.CAP_TOTAL),
    ],
)
def test_a_cap_is_kept_over_hours(session: Session, ada: Person, cap: str, zero: Zero) -> None:
    offer = make_offer(session, budget="5.00", **{cap: "0.35"})
    link = link_to(session, ada, offer)
    click(session, link, number=2)
    accrue(session)
    click(session, link, number=2, at=HOUR + NEXT)

    assert accrue(session, HOUR + 2 * NEXT) == (1, 1)

    assert zeros(session, ada) == {zero: 1}
    assert left(session, offer) == "4.70 EUR"


def test_a_daily_cap_begins_anew_a_total_does_not(session: Session, ada: Person) -> None:
    offer = make_offer(session, budget="5.00", cap_daily="0.10", cap_total="0.20")
    link = link_to(session, ada, offer)
    for day in range(3):
        click(session, link, number=2, at=HOUR + timedelta(days=day))

    assert accrue(session, HOUR + timedelta(days=3)) == (2, 4)

    assert left(session, offer) == "4.80 EUR"


def test_a_partners_cap_is_theirs_an_offers_cap_is_everybodys(
    session: Session, ada: Person
) -> None:
    bob = make_partner(session)
    offer = make_offer(session, budget="5.00", cap_partner_daily="0.20", cap_daily="0.30")
    click(session, link_to(session, ada, offer), link_to(session, bob, offer), number=3)

    assert accrue(session) == (3, 3)

    assert left(session, offer) == "4.70 EUR"
    assert zeros(session, ada) == {Zero.CAP_PARTNER_DAILY: 1}
    assert zeros(session, bob) == {Zero.CAP_DAILY: 2}


def test_clicks_keep_the_terms_they_were_made_under(session: Session, ada: Person) -> None:
    offer = make_offer(session, cpc="0.10", budget="5.00")
    link = link_to(session, ada, offer)
    click(session, link, number=2)
    half_past = HOUR + timedelta(minutes=30)
    retell(session, offer, at=half_past, cpc=Money.parse("0.50"))
    click(session, link, at=half_past + timedelta(seconds=1))

    assert accrue(session) == (3, 0)

    lines = queries.accruals(session, partner_id=ada.partner_id)
    assert {(one.accrual.version, str(one.accrual.amount)) for one in lines} == {
        (1, "0.20 EUR"),
        (2, "0.50 EUR"),
    }
    assert_clean(session)


def test_a_pause_stops_the_money_from_its_moment_on(session: Session, ada: Person) -> None:
    offer = make_offer(session, budget="5.00")
    link = link_to(session, ada, offer)
    click(session, link)
    half_past = HOUR + timedelta(minutes=30)
    retell(session, offer, at=half_past, active=False)
    click(session, link, at=half_past + timedelta(seconds=1), number=2)

    assert accrue(session) == (1, 2)

    assert zeros(session, ada) == {Zero.PAUSED: 2}


def test_start_and_end_bound_what_is_paid(session: Session, ada: Person) -> None:
    begin, end = HOUR + timedelta(minutes=10), HOUR + timedelta(minutes=20)
    offer = make_offer(session, budget="5.00", starts_at=begin, ends_at=end)
    link = link_to(session, ada, offer)
    for at in (HOUR, begin, end - timedelta(seconds=1), end):
        click(session, link, at=at)

    assert accrue(session) == (2, 2)

    assert zeros(session, ada) == {Zero.NOT_STARTED: 1, Zero.ENDED: 1}


def test_clicks_of_a_time_when_sales_paid_are_left_alone(session: Session, ada: Person) -> None:
    offer = make_offer(session, budget="5.00")
    link = link_to(session, ada, offer)
    retell(session, offer, at=HOUR - NEXT, mode=Mode.REVSHARE, cpc=None)
    click(session, link, number=2)

    assert accrue(session) == (0, 0)

    assert session.scalars(select(Accrual)).all() == []


def test_debt_is_repaid_first(session: Session, ada: Person) -> None:
    sale = earn(session, ada, "50.00", at=DAY)
    ask(session, ada, "21.00")
    change(session, sale, Status.REVERSED, "50.00")
    offer = make_offer(session, cpc="4.00", budget="50.00")
    click(session, link_to(session, ada, offer), number=10)

    accrue(session)

    assert balance(session, ada, "debt") == "0.00 EUR"
    assert has(session, ada) == ("7.00 EUR", "12.00 EUR")
    assert_clean(session)


def test_a_hold_keeps_click_earnings_apart(session: Session, ada: Person) -> None:
    offer = make_offer(session, budget="5.00")
    click(session, link_to(session, ada, offer), number=10)
    hold(session, ada)

    accrue(session)

    assert balance(session, ada, "held") == "0.70 EUR"
    assert has(session, ada) == ("0.00 EUR", "0.30 EUR")
    assert_clean(session)


def test_fractions_of_a_cent_are_exact(session: Session, ada: Person) -> None:
    offer = make_offer(session, cpc="0.000007", budget="1.00")
    click(session, link_to(session, ada, offer), number=7)

    accrue(session)

    (line,) = queries.accruals(session, partner_id=ada.partner_id)
    assert (line.accrual.amount_micro, line.accrual.reserve_micro) == (49, 15)
    assert budgets.left(session, [offer.id])[offer.id] == Money(1_000_000 - 49)
    assert_clean(session)
