"""The earning engine: whose terms apply, tiers, caps, duration, disputes, rewards and cases."""

from dataclasses import replace
from datetime import date, timedelta
from uuid import UUID

import pytest
from sqlalchemy import text
from sqlalchemy.exc import ProgrammingError
from sqlalchemy.orm import Session

from flowlink.kernel import policy as policies
from flowlink.kernel.money import Money
from flowlink.partners import groups, referrals
from flowlink.payouts import (
    agreed,
    cases,
    commissions,
    deals,
    pinning,
    queries,
    rewards,
)
from flowlink.payouts.case_models import Case
from flowlink.payouts.cases import Claim
from flowlink.payouts.deals import Agreement, Scope
from flowlink.payouts.models import Commission
from flowlink.payouts.terms import Terms, Tier, months_later
from flowlink.tracking import clickid, offers, restating
from flowlink.tracking.models import Conversion, Link, Status
from tests.factories import Person, balance, make_partner
from tests.payouts.acts import ask
from tests.payouts.makers import DAY, assert_clean, become, change, convert, earn

KINDS = ("pending", "reserve", "held", "available", "withdrawing", "debt")


def purse(session: Session, person: Person) -> dict[str, str]:
    amounts = {kind: balance(session, person, kind).removesuffix(" EUR") for kind in KINDS}
    return {kind: amount for kind, amount in amounts.items() if Money.parse(amount).micro}


def agree(session: Session, scope: Scope, **given: object) -> None:
    """What is agreed, from the day before the sales on."""
    deals.agree(
        session,
        scope=scope,
        agreement=Agreement(**given),  # type: ignore[arg-type]
        version=0,
        reason="a test",
        actor="test",
        now=DAY - timedelta(days=1),
    )


def default_offer(session: Session) -> UUID:
    return offers.named(session, "default").id


def terms_of(session: Session, conversion_id: UUID) -> Terms:
    commission = session.get_one(Commission, conversion_id)
    assert commission.terms_id is not None
    return agreed.pinned(session, [commission.terms_id])[commission.terms_id]


@pytest.mark.parametrize("table", ["payouts_deal", "payouts_terms"])
@pytest.mark.parametrize("change", ["UPDATE {} SET id = uuidv7()", "DELETE FROM {}"])
def test_what_was_agreed_can_never_be_changed(session: Session, table: str, change: str) -> None:
    ada = make_partner(session)
    agree(session, Scope(partner_id=ada.partner_id), share_bps=8000)
    earn(session, ada, "100.00")

    with pytest.raises(ProgrammingError, match="append-only"), session.begin_nested():
        session.execute(text(change.format(table)))

    assert purse(session, ada) == {"available": "56.00", "reserve": "24.00"}


def test_the_most_special_word_counts_field_by_field(session: Session) -> None:
    ada = make_partner(session)
    group = groups.create(session, name="Friends", actor="test", now=DAY - timedelta(days=3))
    groups.move(
        session,
        partner_id=ada.partner_id,
        group_id=group.id,
        reason="a friend",
        actor="test",
        now=DAY - timedelta(days=2),
    )
    agree(session, Scope(group_id=group.id), share_bps=7000, reserve_bps=1000, release_days=7)
    agree(session, Scope(partner_id=ada.partner_id), share_bps=8000)

    sale = earn(session, ada, "100.00")

    assert purse(session, ada) == {"available": "72.00", "reserve": "8.00"}
    assert queries.releases(session, ada.partner_id)[0].on == (DAY + timedelta(days=7)).date()
    origins = terms_of(session, sale).origins
    assert origins["share_bps"] != origins["reserve_bps"] == origins["release_days"]
    assert_clean(session)


def test_what_is_agreed_later_leaves_earlier_sales_alone(session: Session) -> None:
    ada = make_partner(session)
    first = earn(session, ada, "100.00")

    agree(session, Scope(partner_id=ada.partner_id), share_bps=9000)
    change(session, first, Status.APPROVED, "50.00")

    assert session.get_one(Commission, first).share_micro == Money.parse("30").micro
    assert session.get_one(Commission, earn(session, ada, "10.00")).share_bps == 9000


def test_an_override_ends_on_its_day(session: Session) -> None:
    ada = make_partner(session)
    scope = Scope(partner_id=ada.partner_id)
    deals.agree(
        session,
        scope=scope,
        agreement=Agreement(share_bps=9000),
        version=0,
        reason="a campaign",
        actor="test",
        now=DAY,
        until_at=DAY + timedelta(days=1),
    )

    during, after = (
        earn(session, ada, "10.00"),
        earn(session, ada, "10.00", at=DAY + timedelta(days=1)),
    )

    assert session.get_one(Commission, during).share_bps == 9000
    assert session.get_one(Commission, after).share_bps == 6000


def test_two_who_change_the_same_deal_do_not_overwrite_each_other(session: Session) -> None:
    ada = make_partner(session)
    agree(session, Scope(partner_id=ada.partner_id), share_bps=9000)

    with pytest.raises(deals.DealChanged):
        agree(session, Scope(partner_id=ada.partner_id), share_bps=1000)


@pytest.mark.parametrize(
    ("how", "shares"), [("marginal", ["60.00", "62.50"]), ("whole", ["60.00", "65.00"])]
)
def test_tiers_count_what_the_month_sold_before(
    session: Session,
    how: str,
    shares: list[str],
) -> None:
    ada = make_partner(session)
    earn(session, ada, "0.00")
    tiers = (Tier(Money.parse("150").micro, 6500),)
    agree(session, Scope(offer_id=default_offer(session)), tiers=tiers, marginal=how == "marginal")

    sales = [earn(session, ada, "100.00") for _ in range(2)]

    found = [Money(session.get_one(Commission, sale).share_micro) for sale in sales]
    assert [str(each).removesuffix(" EUR") for each in found] == shares
    assert_clean(session)


def test_a_months_cap_bounds_its_sales_and_takes_nothing_back(session: Session) -> None:
    ada = make_partner(session)
    agree(session, Scope(partner_id=ada.partner_id), cap_month=Money.parse("100"))

    first, second = earn(session, ada, "100.00"), earn(session, ada, "100.00")
    capped = session.get_one(Commission, second)

    assert (capped.share_micro, capped.limited_by) == (Money.parse("40").micro, "cap_month")
    change(session, first, Status.REVERSED, "100.00")
    third = earn(session, ada, "100.00", at=DAY + timedelta(days=2))
    assert session.get_one(Commission, third).share_micro == Money.parse("60").micro
    next_month = earn(session, ada, "100.00", at=DAY + timedelta(days=30))
    assert session.get_one(Commission, next_month).limited_by is None
    assert_clean(session)


def rebill(session: Session, person: Person, first: UUID, days: int) -> Commission:
    """A sale of the same click, that many days after."""
    at = DAY + timedelta(days=days)
    again = convert(session, person, "10.00", at=at)
    session.get_one(Conversion, again).click_id = session.get_one(Conversion, first).click_id
    session.get_one(Conversion, again).network_id = session.get_one(Conversion, first).network_id
    session.flush()
    commissions.post_revisions(session, now=at)
    return session.get_one(Commission, again)


def test_rebills_after_their_time_bring_nothing_and_say_why(session: Session) -> None:
    ada = make_partner(session)
    first = convert(session, ada, "10.00")
    session.get_one(Conversion, first).click_id = clickid.floor(DAY)
    agree(session, Scope(offer_id=default_offer(session)), months=1)
    commissions.post_revisions(session, now=DAY)

    inside, outside = (rebill(session, ada, first, days) for days in (29, 30))

    assert (inside.share_micro, inside.limited_by) == (Money.parse("6").micro, None)
    assert (outside.share_micro, outside.limited_by) == (0, pinning.DURATION)
    assert_clean(session)


def test_months_end_where_the_month_does() -> None:
    assert months_later(DAY.replace(month=1, day=31), 1).date() == date(2026, 2, 28)
    assert months_later(DAY, 14).date() == date(2028, 1, 1)


def test_own_content_has_its_own_share_and_no_tiers(session: Session) -> None:
    ada = make_partner(session)
    sale = convert(session, ada, "100.00", share_bps=4000)
    session.get_one(Link, session.get_one(Conversion, sale).link_id).own_content = True
    session.flush()
    agree(session, Scope(partner_id=ada.partner_id), share_bps=9000, tiers=(Tier(1, 9500),))

    commissions.post_revisions(session, now=DAY)

    assert session.get_one(Commission, sale).share_micro == Money.parse("40").micro
    assert terms_of(session, sale).own_content


def test_a_sale_taken_back_by_hand_in_part_and_wholly(session: Session) -> None:
    ada = make_partner(session)
    sale = earn(session, ada, "100.00")

    for status, amount in ((Status.APPROVED, Money.parse("40")), (Status.REVERSED, None)):
        restating.restate(
            session, conversion_id=sale, status=status, amount=amount, actor="test", now=DAY
        )
        commissions.post_revisions(session, now=DAY)

    assert purse(session, ada) == {}
    with pytest.raises(restating.NothingChanges):
        restating.restate(
            session, conversion_id=sale, status=Status.REVERSED, actor="test", now=DAY
        )
    assert_clean(session)


def bring(session: Session, ada: Person, bob: Person) -> None:
    referrals.keep(
        session,
        referrer_id=ada.partner_id,
        referred_id=bob.partner_id,
        policy=policies.at(session, DAY),
        now=DAY,
    )


def test_who_brought_a_partner_gets_a_share_of_ours_and_gives_it_back(session: Session) -> None:
    ada, bob = make_partner(session), make_partner(session)
    bring(session, ada, bob)
    sale = earn(session, bob, "100.00")

    assert [rewards.settle(session, now=DAY) for _ in range(2)] == [1, 0]
    assert purse(session, ada) == {"available": "3.00"}
    assert purse(session, bob)["available"] == "42.00"
    change(session, sale, Status.APPROVED, "50.00")
    rewards.settle(session, now=DAY)
    assert purse(session, ada) == {"available": "1.50"}
    late = earn(session, bob, "100.00", at=DAY + timedelta(days=400))
    assert rewards.settle(session, now=DAY) == 0
    assert late
    assert_clean(session)


def test_the_same_payout_details_end_a_referral(session: Session) -> None:
    ada, bob = make_partner(session, "50.00"), make_partner(session, "50.00")
    bring(session, ada, bob)
    for each in (ada, bob):
        ask(session, each)
    earn(session, bob, "100.00", at=DAY + timedelta(days=1))

    assert rewards.settle(session, now=DAY) == 0


def claim(session: Session, person: Person, once: str = "") -> Case:
    return cases.open_case(
        session,
        partner_id=person.partner_id,
        claim=Claim(story="order 7", amount=Money.parse("12.50"), happened_on=DAY.date()),
        trail={"clicks": 3},
        now=DAY,
        once=once,
    )


def test_an_accepted_case_pays_once(session: Session) -> None:
    ada = make_partner(session)
    case = claim(session, ada, "form-1")
    decided = {"case_id": case.id, "answer": "you are right", "actor": "test", "now": DAY}

    cases.accept(session, amount=Money.parse("10.00"), **decided)  # type: ignore[arg-type]

    assert claim(session, ada, "form-1") is case
    with pytest.raises(cases.CaseDecided):
        cases.accept(session, amount=Money.parse("10.00"), **decided)  # type: ignore[arg-type]
    with pytest.raises(cases.CaseDecided):
        cases.decline(session, **decided)  # type: ignore[arg-type]
    assert purse(session, ada) == {"available": "10.00"}
    assert_clean(session)


def test_a_declined_case_says_why_and_moves_nothing(session: Session) -> None:
    ada = make_partner(session)
    case = claim(session, ada)

    with pytest.raises(cases.CaseAnswer):
        cases.decline(session, case_id=case.id, answer=" ", actor="test", now=DAY)
    cases.decline(session, case_id=case.id, answer="no click", actor="test", now=DAY)

    assert (case.state, case.answer, purse(session, ada)) == ("declined", "no click", {})


def test_terms_come_back_as_they_were_kept() -> None:
    tiers = (Tier(4, 5),)
    terms = Terms(share_bps=1, reserve_bps=2, release_days=3, tiers=tiers, origins={"a": "b"})

    assert Terms.read(terms.body()) == terms
    assert agreed.digest(terms) != agreed.digest(replace(terms, share_bps=2))


def test_pending_sales_do_not_use_up_the_cap(session: Session) -> None:
    ada = make_partner(session)
    agree(session, Scope(partner_id=ada.partner_id), cap_month=Money.parse("60"))
    pending = earn(session, ada, "100.00", status=Status.PENDING)
    earn(session, ada, "50.00")

    become(session, pending, Status.APPROVED, "100.00")
    commissions.post_revisions(session, now=DAY)

    assert session.get_one(Commission, pending).share_micro == Money.parse("30").micro
    assert_clean(session)
