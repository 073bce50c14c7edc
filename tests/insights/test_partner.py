"""A partner's own pages: what they show, where each amount leads, and who may not look."""

from datetime import datetime, timedelta

import pytest
from fastapi.testclient import TestClient
from sqlalchemy.orm import Session

from flowlink.kernel import ids, policy as policies
from flowlink.kernel.money import Money
from flowlink.ledger import queries as ledger
from flowlink.ledger.accounts import AccountKind, account
from flowlink.payouts import ids as payout_ids, queries as payouts, reserve, withdrawals
from flowlink.payouts.ids import WithdrawalId
from flowlink.risk import service as risk
from flowlink.tracking.ids import CONVERSION
from tests.factories import balance, give, make_operator, make_partner, sign_in
from tests.insights.makers import (
    FRENCH,
    World,
    click_again,
    make_world,
    read,
    report,
    send,
    status,
    withdraw,
)

PAGES = [
    "/partner/portal",
    "/partners/earnings",
    "/partners/earnings.csv",
    "/partners/earnings/lines",
    "/partners/earnings/lines.csv",
    "/partners/sales",
    "/partners/sales.csv",
    "/partners/withdrawals.csv",
]


@pytest.fixture
def world(client: TestClient, session: Session, now: datetime) -> World:
    """Ada, signed in, after one confirmed sale of 100 euros."""
    made = make_world(session, now=now)
    sign_in(client, made.ada)
    return made


def trail(world: World) -> str:
    return f"/partners/trail/{ids.public(CONVERSION, world.conversion.id)}"


def hold(session: Session, world: World, now: datetime) -> None:
    risk.place_hold(
        session,
        partner_id=world.ada.partner_id,
        reason="forty clicks in a minute",
        evidence={"clicks": 40},
        actor="test",
        now=now,
        policy=policies.at(session, now),
    )


@pytest.mark.parametrize("path", [*PAGES, "/partners/trail/ent_00000000000000000000000000"])
def test_nobody_looks_without_signing_in(client: TestClient, path: str) -> None:
    assert status(client, path) == 401
    assert 'action="/partner/magic"' in client.get(path, headers={"accept": "text/html"}).text


@pytest.mark.parametrize("path", PAGES)
def test_a_new_partner_sees_honest_emptiness(
    client: TestClient, session: Session, path: str
) -> None:
    sign_in(client, make_partner(session))

    assert status(client, path) == 200
    assert status(client, path, **FRENCH) == 200


def test_the_portal_says_what_was_earned_and_what_comes(
    client: TestClient, world: World, now: datetime
) -> None:
    page = read(client, "/partner/portal")

    release_on = (now + timedelta(days=30)).date()
    for text in ("€60.00", "€18.00", "€42.00", "One valid click today", "Withdraw €42.00"):
        assert text in page, text
    assert f'datetime="{release_on.isoformat()}"' in page
    assert f"/l/{world.shop.link.code}" in page
    assert f"/partners/trail/{world.click}" in page


def test_the_portal_tells_a_newcomer_what_to_do_first(client: TestClient, session: Session) -> None:
    sign_in(client, make_partner(session))

    page = read(client, "/partner/portal")

    assert "Create your first link" in page
    assert "Withdraw €" not in page


def test_a_link_made_on_the_portal_stands_there(client: TestClient, session: Session) -> None:
    sign_in(client, make_partner(session))

    assert send(client, "/partner/links", slug="my-first") == (303, "/partner/portal")

    assert "http://testserver/l/my-first" in read(client, "/partner/portal")


@pytest.mark.parametrize("path", ["/partner/portal", "/partners/earnings"])
def test_a_hold_is_explained(
    client: TestClient, session: Session, world: World, now: datetime, path: str
) -> None:
    hold(session, world, now)

    page = read(client, path)

    assert "forty clicks in a minute" in page
    assert "Withdraw €42.00" not in page


def test_every_amount_opens_its_lines(client: TestClient, world: World) -> None:
    page = read(client, "/partners/earnings")

    for purse in ("available", "reserved", "pending", "held", "withdrawing"):
        assert f'href="/partners/earnings/lines?account={purse}"' in page
    lines = read(client, "/partners/earnings/lines?account=available")
    assert "+€42.00" in lines
    assert "+€18.00" not in lines
    assert "+€18.00" in read(client, "/partners/earnings/lines?account=reserved")


def test_every_line_opens_its_trail(client: TestClient, session: Session, world: World) -> None:
    found = ledger.lines(session, [account(AccountKind.AVAILABLE, world.ada.partner_id)])
    entry = ids.public("ent", found.items[0].entry_id)

    assert f"/partners/trail/{entry}" in read(client, "/partners/earnings/lines")

    page = read(client, f"/partners/trail/{entry}")
    steps = ["Click", "Postback from direct", "Conversion", "Commission", "Reserve", "Payout"]
    places = [page.index(f">{step}<") for step in steps]
    assert places == sorted(places)
    for text in ("It brought you €60.00.", "Confirmed for €100.00.", "€18.00 becomes available"):
        assert text in page, text


@pytest.mark.parametrize(
    ("word", "amount", "why"),
    [
        ("pending", "100.00", "The network has not confirmed this sale yet."),
        ("rejected", "100.00", "The network rejected this sale"),
        ("approved", "0.00", "The network reported an amount of zero."),
    ],
)
def test_a_sale_that_brings_nothing_says_why(
    client: TestClient, session: Session, now: datetime, word: str, amount: str, why: str
) -> None:
    made = make_world(session, now=now, amount=amount, status=word)
    sign_in(client, made.ada)

    page = read(client, trail(made))

    assert "Why this is zero" in page
    assert why in page


def test_a_sale_taken_back_says_why(
    client: TestClient, session: Session, world: World, now: datetime
) -> None:
    later = now + timedelta(seconds=5)
    fields = {"subid": world.click, "amount": "100.00", "txn_id": "t1"}
    report(session, world.shop, now=later, status="reversed", **fields)

    assert "This sale was taken back" in read(client, trail(world))
    assert balance(session, world.ada, "available") == "0.00 EUR"


def test_a_click_shows_what_it_brought_or_why_nothing(
    client: TestClient, session: Session, world: World, now: datetime
) -> None:
    idle = click_again(session, world, now=now)

    assert "Sale of €100.00" in read(client, f"/partners/trail/{world.click}")
    assert "The visitor has not bought anything" in read(client, f"/partners/trail/{idle}")


def test_a_withdrawal_shows_each_of_its_steps(
    client: TestClient, session: Session, world: World, now: datetime
) -> None:
    made = withdraw(session, world.ada.partner_id, "20.00", now=now)
    path = f"/partners/trail/{payout_ids.public(made.id)}"

    assert "Automatically: the amount is below €200.00." in read(client, path)
    withdrawals.mark_paid(
        session,
        withdrawal_id=WithdrawalId(made.id),
        reference="SEPA-77",
        actor="test",
        now=now,
    )

    page = read(client, path)
    assert ("SEPA-77" in page, "FR14 … 2606" in page) == (True, True)
    assert "FR1420041010050500013M02606" not in page
    assert "Withdrawal of €20.00" in read(client, trail(world))
    assert payouts.balances(session, world.ada.partner_id).paid == Money.parse("20.00")


def test_a_release_names_the_sales_it_was_kept_from(
    client: TestClient, session: Session, world: World, now: datetime
) -> None:
    reserve.release(session, now=now + timedelta(days=31))
    found = ledger.lines(session, [account(AccountKind.RESERVE, world.ada.partner_id)])

    page = read(client, f"/partners/trail/{ids.public('ent', found.items[0].entry_id)}")

    assert "Release of €18.00" in page
    assert trail(world) in page


def test_an_entry_without_a_story_shows_what_moved(client: TestClient, session: Session) -> None:
    ada = sign_in(client, make_partner(session))
    give(session, ada, Money.parse("5.00"))
    found = ledger.lines(session, [account(AccountKind.AVAILABLE, ada.partner_id)])

    page = read(client, f"/partners/trail/{ids.public('ent', found.items[0].entry_id)}")

    assert ("Correction" in page, "€5.00" in page) == (True, True)


def test_another_partners_trails_are_not_there(
    client: TestClient, session: Session, world: World, now: datetime
) -> None:
    made = withdraw(session, world.ada.partner_id, "20.00", now=now)
    reserve.release(session, now=now + timedelta(days=31))
    give(session, world.ada, Money.parse("5.00"))
    found = ledger.lines(session, [account(AccountKind.AVAILABLE, world.ada.partner_id)])
    mine = [ids.public("ent", line.entry_id) for line in found.items]
    mine += [ids.public(CONVERSION, world.conversion.id), payout_ids.public(made.id), world.click]
    assert [status(client, f"/partners/trail/{name}") for name in mine] == [200] * 7
    sign_in(client, make_partner(session))

    for name in mine:
        assert status(client, f"/partners/trail/{name}") == 404, name
    assert "€" not in read(client, "/partners/earnings/lines").split("<main")[1].split("</main")[0]


@pytest.mark.parametrize(
    "name", ["ent_x", "cnv_00000000000000000000000000", "pay_", "nothing", "par_1", "%00", "'"]
)
def test_what_is_no_trail_is_not_found(client: TestClient, world: World, name: str) -> None:
    assert status(client, f"/partners/trail/{name}") == 404


@pytest.mark.parametrize(
    "query",
    ["account=revenue", "account=", "cursor=nonsense", "cursor=WyJhIl0", "cursor=Wy0xXQ"],
)
def test_a_bad_address_is_refused(client: TestClient, world: World, query: str) -> None:
    assert status(client, f"/partners/earnings/lines?{query}") == 400


def test_lines_page_to_their_end(client: TestClient, session: Session) -> None:
    ada = sign_in(client, make_partner(session))
    for _ in range(53):
        give(session, ada, Money.parse("1.00"))
    first = read(client, "/partners/earnings/lines")
    (cursor,) = {part.split('"')[0] for part in first.split("cursor=")[1:]}

    second = read(client, f"/partners/earnings/lines?cursor={cursor}")

    assert first.count("/partners/trail/ent_") == 50
    assert second.count("/partners/trail/ent_") == 3
    assert 'rel="next"' in first
    assert 'rel="next"' not in second


def test_an_operator_who_is_no_partner_is_sent_to_join(
    client: TestClient, session: Session
) -> None:
    sign_in(client, make_operator(session))

    assert status(client, "/partner/portal") == 303


def test_the_csv_files_hold_what_the_pages_show(client: TestClient, world: World) -> None:
    day = client.get("/partners/earnings.csv").text.strip().splitlines()[-1]
    assert day.endswith(",1,0,60.00")
    assert ",100.00,60.00" in client.get("/partners/sales.csv").text
    assert "available,commission,42.00,EUR,42.00" in client.get(
        "/partners/earnings/lines.csv?account=available"
    ).text.replace(" ", "")
