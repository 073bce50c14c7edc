"""Why a partner's money is what it is: said in sentences that fit what really happened."""

from datetime import datetime, timedelta

import pytest
from fastapi.testclient import TestClient
from sqlalchemy.orm import Session

from flowlink.kernel import ids, policy as policies
from flowlink.kernel.money import Money
from flowlink.ledger import queries as ledger
from flowlink.ledger.accounts import AccountKind, account
from flowlink.papers.parties import Party
from flowlink.partners import referrals
from flowlink.payouts import cases, deals, disputes, rewards, tax
from flowlink.payouts.case_models import Case
from flowlink.payouts.cases import Claim
from flowlink.payouts.deals import Agreement, Scope
from flowlink.payouts.ids import CASE
from flowlink.payouts.terms import Tier
from flowlink.risk import service as risk, watches
from flowlink.tracking import click_lists, clickid
from flowlink.tracking.ids import CONVERSION
from flowlink.tracking.models import Conversion
from tests.factories import Person, make_operator, make_partner, sign_in
from tests.insights.makers import FRENCH, World, make_world, read, report, withdraw
from tests.payouts.click_makers import HOUR, accrue, click, link_to, make_offer

SOON = timedelta(seconds=5)


@pytest.fixture
def world(client: TestClient, session: Session, now: datetime) -> World:
    """Ada, signed in, after one confirmed sale of 100 euros."""
    made = make_world(session, now=now)
    sign_in(client, made.ada)
    return made


def agree(session: Session, person: Person, now: datetime, **given: object) -> None:
    deals.agree(
        session,
        scope=Scope(partner_id=person.partner_id),
        agreement=Agreement(**given),  # type: ignore[arg-type]
        version=0,
        reason="a test",
        actor="test",
        now=now,
    )


def sell(session: Session, world: World, now: datetime, amount: str, name: str) -> Conversion:
    return report(session, world.shop, now=now, subid=world.click, amount=amount, txn_id=name)


def trail_of(client: TestClient, sale: Conversion) -> str:
    return read(client, f"/partners/trail/{ids.public(CONVERSION, sale.id)}")


def newest_entry(session: Session, person: Person) -> str:
    lines = ledger.lines(session, [account(AccountKind.AVAILABLE, person.partner_id)])
    return f"/partners/trail/{ids.public('ent', lines.items[0].entry_id)}"


@pytest.mark.parametrize(
    ("how", "said", "share"),
    [("whole", "65% of the sale: €65.00.", "65%"), ("parts", "Tier by tier: €62.50.", "By tiers")],
)
def test_a_sale_says_by_which_tier_it_was_paid(
    client: TestClient, session: Session, now: datetime, how: str, said: str, share: str
) -> None:
    ada = sign_in(client, make_partner(session))
    tiers = (Tier(Money.parse("50").micro, 6500),)
    agree(session, ada, now - SOON, tiers=tiers, marginal=how == "parts")
    made = make_world(session, now=now, ada=ada)

    page = trail_of(client, made.conversion)

    assert (said in page, share in page) == (True, True)
    assert "60% of the sale" not in page


def test_a_sale_that_a_cap_has_cut_says_so_in_its_way(
    client: TestClient, session: Session, now: datetime
) -> None:
    ada = sign_in(client, make_partner(session))
    agree(session, ada, now - SOON, cap_month=Money.parse("30"))
    made = make_world(session, now=now, ada=ada)

    page = trail_of(client, made.conversion)

    assert "€30.00: all that the month's cap left." in page
    assert "60% of the sale" not in page


def test_a_debt_stands_on_the_portal(
    client: TestClient, session: Session, world: World, now: datetime
) -> None:
    withdraw(session, world.ada.partner_id, "42.00", now=now)
    fields = {"subid": world.click, "amount": "100.00", "txn_id": "t1"}
    report(session, world.shop, now=now + SOON, status="reversed", **fields)

    page = read(client, "/partner/portal")

    assert "€42.00 will be repaid by your next earnings" in page
    assert "/partners/earnings/lines?account=debt" in page


def test_a_sale_that_repaid_a_debt_says_so(
    client: TestClient, session: Session, world: World, now: datetime
) -> None:
    withdraw(session, world.ada.partner_id, "42.00", now=now)
    fields = {"subid": world.click, "amount": "100.00", "txn_id": "t1"}
    report(session, world.shop, now=now + SOON, status="reversed", **fields)

    page = trail_of(client, sell(session, world, now + SOON, "50.00", "t2"))

    assert "€21.00 of it repaid what you owed." in page


def test_a_sale_taken_back_in_part_stands_on_the_portal(
    client: TestClient, session: Session, world: World, now: datetime
) -> None:
    assert "taken back in part" not in read(client, "/partner/portal")

    sell(session, world, now + SOON, "40.00", "t1")

    page = read(client, "/partner/portal")
    assert "One sale was taken back in part" in page
    assert "1 vente a été annulée en partie" in read(client, "/partner/portal", **FRENCH)


def open_case(session: Session, person: Person, now: datetime) -> Case:
    claim = Claim("Order 7", Money.parse("12.34"), now.date())
    trail: dict[str, list[str]] = {"sales": [], "postbacks": []}
    return cases.open_case(session, partner_id=person.partner_id, claim=claim, trail=trail, now=now)


def test_what_a_case_and_a_partner_brought_counts_as_earned_today(
    client: TestClient, session: Session, now: datetime
) -> None:
    ada = sign_in(client, make_partner(session))
    case = open_case(session, ada, now)
    amount = Money.parse("12.34")
    cases.accept(session, case_id=case.id, amount=amount, answer="yes", actor="test", now=now)
    bob = make_partner(session)
    referrals.keep(
        session,
        referrer_id=ada.partner_id,
        referred_id=bob.partner_id,
        policy=policies.at(session, now),
        now=now - SOON,
    )
    make_world(session, now=now, ada=bob)
    rewards.settle(session, now=now)

    page = read(client, "/partner/live")

    assert page.count("€15.34") == 4  # today, this month, the day's bar, and what is available


def test_the_line_of_a_case_leads_to_it(
    client: TestClient, session: Session, now: datetime
) -> None:
    ada = sign_in(client, make_partner(session))
    case = open_case(session, ada, now)
    amount = Money.parse("12.34")
    cases.accept(session, case_id=case.id, amount=amount, answer="yes", actor="test", now=now)
    path = newest_entry(session, ada)

    assert f'href="/partners/cases/{ids.public(CASE, case.id)}"' in read(client, path)

    sign_in(client, make_operator(session))
    staff = read(client, path.replace("/partners/trail/", "/admin/trail/"))
    assert f'href="/admin/cases/{ids.public(CASE, case.id)}"' in staff


def test_the_line_of_a_dispute_leads_to_its_sale(
    client: TestClient, session: Session, world: World, now: datetime
) -> None:
    sale = world.conversion.id
    disputes.open_dispute(session, conversion_id=sale, reference="D1", actor="test", now=now)

    page = read(client, newest_entry(session, world.ada))

    assert f'href="/partners/trail/{ids.public(CONVERSION, sale)}"' in page


def test_the_line_of_a_reward_leads_to_whom_they_brought(
    client: TestClient, session: Session, world: World, now: datetime
) -> None:
    bob = sign_in(client, make_partner(session))
    referrals.keep(
        session,
        referrer_id=bob.partner_id,
        referred_id=world.ada.partner_id,
        policy=policies.at(session, now),
        now=now - SOON,
    )
    rewards.settle(session, now=now)

    assert "See whom you brought" in read(client, newest_entry(session, bob))


def test_somebody_elses_click_is_refused_in_its_field(
    client: TestClient, world: World, now: datetime
) -> None:
    form = {"story": "x", "amount": "5", "happened_on": now.date().isoformat(), "click": "zz"}

    answer = client.post("/partners/cases", data=form, headers={"accept": "application/json"})

    assert answer.status_code == 400
    assert [error["field"] for error in answer.json()["errors"]] == ["click"]


@pytest.mark.parametrize("lang", ["en", "fr"])
def test_what_was_known_is_shown_as_every_other_page_shows_it(
    client: TestClient, world: World, now: datetime, lang: str
) -> None:
    form = {"story": "x", "amount": "5", "happened_on": now.date().isoformat()}
    answer = client.post("/partners/cases", data=form | {"click": world.click})

    page = read(client, str(answer.url.path), **{"accept-language": lang})

    assert f'<time datetime="{now:%Y-%m-%dT%H:%M:%SZ}" data-local>' in page
    assert f'href="/partners/trail/{world.click}"' in page
    assert ("€60.00" if lang == "en" else "60,00\u202f€") in page.replace("\xa0", "\u202f")


@pytest.mark.parametrize(("cap", "times"), [("0.05", 1), ("50", 0)])
def test_a_cap_of_their_own_decides_whether_clicks_earn(
    client: TestClient, session: Session, now: datetime, cap: str, times: int
) -> None:
    ada = sign_in(client, make_partner(session))
    link_to(session, ada, make_offer(session, budget="50.00", cap_partner_daily="0.01"))
    page = read(client, "/partner/portal")
    assert "The most that one partner can earn by clicks in a day is reached." in page

    agree(session, ada, now, cap_day=Money.parse(cap))

    assert read(client, "/partner/portal").count("earn nothing now") == times


def test_a_price_of_their_own_decides_whether_the_budget_is_used_up(
    client: TestClient, session: Session, now: datetime
) -> None:
    ada = sign_in(client, make_partner(session))
    link_to(session, ada, make_offer(session, budget="0.15"))
    assert "earn nothing now" not in read(client, "/partner/portal")

    agree(session, ada, now, cpc=Money.parse("0.20"))

    assert "budget for clicks is used up" in read(client, "/partner/portal")


def test_a_click_names_the_price_it_was_paid_by(client: TestClient, session: Session) -> None:
    ada = sign_in(client, make_partner(session))
    agree(session, ada, HOUR - SOON, cpc=Money.parse("0.20"))
    (number,) = click(session, link_to(session, ada, make_offer(session, budget="50.00")))
    accrue(session)
    ref = click_lists.ref_of(session, number=number)
    assert ref is not None

    page = read(client, f"/partners/trail/{clickid.token(ref)}")

    assert ("Clicks: €0.20 each" in page, "Clicks: €0.10 each" in page) == (True, False)


def test_details_that_are_missing_for_invoices_stand_on_the_portal(
    client: TestClient, session: Session, world: World, now: datetime
) -> None:
    wish = "Complete my details"
    assert wish not in read(client, "/partner/portal")

    withdraw(session, world.ada.partner_id, "20.00", now=now)
    assert wish in read(client, "/partner/portal")

    party = Party(name="Ada", street="1 rue", postcode="75001", city="Paris", country="FR")
    tax.keep(
        session,
        partner_id=world.ada.partner_id,
        party=party,
        tax_number="",
        birth_date=None,
        mandate=True,
        now=now,
    )
    assert wish not in read(client, "/partner/portal")


def test_a_sale_taken_back_in_part_says_what_is_left(
    client: TestClient, session: Session, world: World, now: datetime
) -> None:
    sale = sell(session, world, now + SOON, "40.00", "t1")
    assert "Taken back in part: €40.00 is left." in trail_of(client, sale)

    raised = trail_of(client, sell(session, world, now + 2 * SOON, "60.00", "t1"))

    assert ("Confirmed for €60.00." in raised, raised.count("in part:")) == (True, 1)


def test_nobody_is_invited_to_withdraw_under_a_hold(
    client: TestClient, session: Session, world: World, now: datetime
) -> None:
    way = 'href="/partners/earnings#withdraw"'
    assert way in read(client, "/partner/live")

    risk.place_hold(
        session,
        partner_id=world.ada.partner_id,
        reason="forty clicks in a minute",
        evidence={},
        actor="test",
        now=now,
        policy=policies.at(session, now),
    )

    assert way not in read(client, "/partner/live")


def test_a_watch_on_an_account_does_not_speak_of_traffic(
    client: TestClient, session: Session, world: World, now: datetime
) -> None:
    watches.report(
        session,
        partner_id=world.ada.partner_id,
        evidence={"rule": "account"},
        score=60,
        now=now,
        policy=policies.at(session, now),
    )

    page = read(client, "/partner/portal")

    assert ("We look at your account" in page, "some of your traffic" in page) == (
        True,
        False,
    )
