"""Offers in the console: changed, paused, funded, simulated; and what partners see of them."""

import pytest
from fastapi.testclient import TestClient
from sqlalchemy import func, select
from sqlalchemy.orm import Session

from flowlink.kernel import ids
from flowlink.kernel.money import Money
from flowlink.payouts import click_queries, reserve
from flowlink.payouts.ids import ACCRUAL
from flowlink.tracking import budgets, clickid, offers
from flowlink.tracking.clickid import ClickRef
from flowlink.tracking.models import Click, Link, Offer, OfferVersion
from tests.factories import Person, make_partner, sign_in
from tests.insights.makers import ENGLISH, FRENCH, read, send, status
from tests.payouts.click_makers import HOUR, NEXT, accrue, click, left, link_to, make_offer

TERMS = {"mode": "cpc", "cpc": "0.10", "destination": "https://shop.example/"}


@pytest.fixture
def ada(session: Session) -> Person:
    return make_partner(session)


@pytest.fixture
def offer(session: Session, ada: Person) -> Offer:
    """Three clicks of Ada's at 0.10, and money for two of them."""
    made = make_offer(session, cpc="0.10", budget="0.20")
    click(session, link_to(session, ada, made), number=3)
    accrue(session)
    return made


def page_of(offer: Offer) -> str:
    return f"/admin/offers/{offer.name}"


def versions(session: Session, offer: Offer) -> int:
    counted = select(func.count()).where(OfferVersion.offer_id == offer.id)
    return session.scalar(counted) or 0


def tokens(session: Session) -> list[str]:
    rows = session.execute(select(Click.id, Click.link, Click.partner).order_by(Click.id))
    return [clickid.token(ClickRef(*row)) for row in rows]


def test_an_offers_page_shows_terms_money_and_clicks(
    client: TestClient, operator: Person, offer: Offer, ada: Person
) -> None:
    page = read(client, page_of(offer))

    assert "This offer pays no clicks now" in page
    assert ("€0.10 a click" in page, ada.email in page) == (True, True)
    assert "budget for clicks is used up" in page
    assert offer.name in read(client, "/admin/offers")
    assert status(client, page_of(offer), **FRENCH) == 200
    assert status(client, "/admin/offers", **FRENCH) == 200


def test_an_offer_is_changed_by_form(
    client: TestClient, session: Session, operator: Person, offer: Offer
) -> None:
    more = {"cap_daily": "5", "ends_at": "2027-01-01T00:00", "version": "1"}

    assert send(client, page_of(offer), **(TERMS | more))[0] == 303

    changed = offers.named(session, offer.name)
    assert (changed.version, changed.cap_daily_micro) == (2, 5_000_000)
    assert changed.ends_at is not None
    assert changed.ends_at.isoformat() == "2027-01-01T00:00:00+00:00"


@pytest.mark.parametrize(
    "change",
    [
        {"cpc": "0"},
        {"mode": "revshare"},
        {"cap_total": "-1"},
        {"cap_daily": "much"},
        {"starts_at": "2027-01-02T00:00", "ends_at": "2027-01-01T00:00"},
        {"ends_at": "never"},
        {"destination": "javascript:alert(1)"},
        {"version": "7"},
    ],
)
def test_a_bad_change_makes_no_version(
    client: TestClient, session: Session, operator: Person, offer: Offer, change: dict[str, str]
) -> None:
    assert send(client, page_of(offer), **(TERMS | {"version": "1"} | change))[0] == 400

    assert versions(session, offer) == 1


def test_an_offer_is_paused_and_goes_on(
    client: TestClient, session: Session, operator: Person, offer: Offer
) -> None:
    path = f"{page_of(offer)}/active"

    assert send(client, path, version="1")[0] == 303
    assert offers.named(session, offer.name).active is False
    assert send(client, path, version="2", active="on")[0] == 303

    assert offers.named(session, offer.name).active is True
    assert versions(session, offer) == 3


def test_a_budget_is_filled_and_taken_back(
    client: TestClient, session: Session, operator: Person, offer: Offer
) -> None:
    path = f"{page_of(offer)}/budget"

    assert send(client, path, amount="5,00", once="a")[0] == 303
    assert send(client, path, amount="5,00", once="a")[0] == 303
    assert left(session, offer) == "5.00 EUR"
    assert send(client, path, amount="2", take_back="on", once="b")[0] == 303
    assert left(session, offer) == "3.00 EUR"
    assert send(client, path, amount="3.01", take_back="on")[0] == 400
    assert send(client, path, amount="-1")[0] == 400

    assert left(session, offer) == "3.00 EUR"
    assert "Budget added" in read(client, page_of(offer))


def test_the_simulator_counts_what_other_terms_would_cost(
    client: TestClient, session: Session, operator: Person, offer: Offer
) -> None:
    path = f"{page_of(offer)}/simulator"

    page = read(client, f"{path}?mode=cpc&cpc=0.50&period=days_30")
    assert ("€1.50" in page, "€0.20" in page) == (True, True)
    for limit in ("cap_daily=1.20", "cap_partner_daily=1.20", "cap_total=1.20", "budget=1.20"):
        answer = client.get(f"{path}.csv?mode=cpc&cpc=0.50&period=days_30&{limit}")
        lines = [line.split(",") for line in answer.text.splitlines()]
        (day,) = [line for line in lines if line[0] == "2026-11-10"]
        assert (day[1], day[2], day[5]) == ("3", "2", "1.00"), limit

    assert status(client, f"{path}?mode=revshare&cpc=0.50&share=50", **FRENCH) == 200
    assert status(client, path) == 200
    assert client.get(f"{path}?mode=cpc", headers=ENGLISH).status_code in {400, 422}
    assert status(client, f"{path}?mode=cpc&cpc=0.50&budget=-1") == 400
    assert versions(session, offer) == 1


@pytest.mark.parametrize(
    "path", ["", "/clicks.csv", "/versions.csv", "/simulator", "/simulator.csv"]
)
def test_offers_are_for_operators(client: TestClient, session: Session, path: str) -> None:
    offer = make_offer(session)
    sign_in(client, make_partner(session))

    assert status(client, page_of(offer) + path) == 403
    assert send(client, f"{page_of(offer)}/active", version="1")[0] == 403
    assert send(client, f"{page_of(offer)}/budget", amount="1")[0] == 403
    assert (versions(session, offer), left(session, offer)) == (1, "0.00 EUR")


def test_an_offer_that_is_not_there_is_404(client: TestClient, operator: Person) -> None:
    assert status(client, "/admin/offers/nothing") == 404
    assert status(client, "/admin/offers/nothing/simulator") == 404


def test_csv_names_every_offer_and_every_paid_hour(
    client: TestClient, operator: Person, offer: Offer
) -> None:
    assert offer.name in client.get("/admin/offers.csv").text
    hours = client.get(f"{page_of(offer)}/clicks.csv").text.splitlines()
    assert len(hours) == 2
    assert "budget:1" in hours[1]
    assert send(client, page_of(offer), **(TERMS | {"cpc": "0.085", "version": "1"}))[0] == 303
    kept = client.get(f"{page_of(offer)}/versions.csv").text.splitlines()
    assert [line.split(",")[3] for line in kept[1:]] == ["0.085", "0.10"]


def test_a_partner_sees_paid_clicks_and_why_others_are_not(
    client: TestClient, session: Session, offer: Offer, ada: Person
) -> None:
    sign_in(client, ada)
    (line,) = click_queries.accruals(session, partner_id=ada.partner_id)
    name = ids.public(ACCRUAL, line.accrual.id)

    for path in ("/partners/accruals", "/partners/earnings"):
        page = read(client, path)
        assert (f"/partners/trail/{name}" in page, "is used up" in page) == (True, True)
        assert status(client, path, **FRENCH) == 200
    assert "budget:1" in client.get("/partners/accruals.csv").text
    found = client.get("/api/partner/accruals").json()["accruals"]
    assert [(one["id"], one["paid_clicks"], one["unpaid_clicks"]) for one in found] == [
        (name, 2, {"budget": 1})
    ]
    trail = read(client, f"/partners/trail/{name}")
    assert ("Credited: €0.20" in trail, "€0.06 in reserve until" in trail) == (True, True)
    assert status(client, f"/partners/trail/{name}", **FRENCH) == 200


def test_each_clicks_trail_says_paid_or_why_not(
    client: TestClient, session: Session, offer: Offer, ada: Person
) -> None:
    sign_in(client, ada)
    first, _, last = tokens(session)
    (line,) = click_queries.accruals(session, partner_id=ada.partner_id)

    paid = read(client, f"/partners/trail/{first}")
    assert "Paid: €0.10" in paid
    assert ids.public(ACCRUAL, line.accrual.id) in paid
    assert "budget for clicks is used up" in read(client, f"/partners/trail/{last}")
    click(session, *session.scalars(select(Link).where(Link.offer_id == offer.id)), at=HOUR + NEXT)
    waiting = read(client, f"/partners/trail/{tokens(session)[-1]}")
    assert "a few minutes after the end of their hour" in waiting


def test_the_ledgers_lines_of_clicks_and_their_release_open_their_trail(
    client: TestClient, session: Session, offer: Offer, ada: Person
) -> None:
    reserve.release(session, now=HOUR + 31 * 24 * NEXT)
    sign_in(client, ada)

    lines = client.get("/api/partner/entries").json()["entries"]

    assert {line["kind"] for line in lines} == {"clicks", "release"}
    for line in lines:
        assert status(client, f"/partners/trail/{line['entry_id']}") == 200
    (release,) = {line["entry_id"] for line in lines if line["kind"] == "release"}
    assert "/partners/trail/acc_" in read(client, f"/partners/trail/{release}")


def test_nobody_opens_anothers_accrual(
    client: TestClient, session: Session, offer: Offer, ada: Person
) -> None:
    (line,) = click_queries.accruals(session, partner_id=ada.partner_id)
    sign_in(client, make_partner(session))

    assert status(client, f"/partners/trail/{ids.public(ACCRUAL, line.accrual.id)}") == 404
    assert client.get("/api/partner/accruals").json() == {"accruals": [], "next": None}


def test_the_portal_warns_while_an_offer_pays_nothing(
    client: TestClient, session: Session, offer: Offer, ada: Person
) -> None:
    sign_in(client, ada)

    assert f"Clicks on {offer.name} earn nothing now" in read(client, "/partner/portal")
    link = session.scalars(select(Link).where(Link.offer_id == offer.id)).one()
    assert click(session, link), "its links still lead on"
    budgets.fund(session, offer=offer, amount=Money.parse("1.00"), actor="test", now=HOUR)
    assert "earn nothing now" not in read(client, "/partner/portal")


def test_lists_of_paid_clicks_page(
    client: TestClient, session: Session, ada: Person, operator: Person
) -> None:
    offer = make_offer(session, budget="10.00")
    link = link_to(session, ada, offer)
    for hour in range(52):
        click(session, link, at=HOUR - hour * 13 * NEXT)  # too few at once to be watched
    accrue(session)

    assert "cursor=" in read(client, page_of(offer))
    sign_in(client, ada)
    page = client.get("/api/partner/accruals").json()
    assert len(page["accruals"]) == 50
    rest = client.get(f"/api/partner/accruals?cursor={page['next']}").json()
    assert (len(rest["accruals"]), rest["next"]) == (2, None)
    assert "cursor=" in read(client, "/partners/accruals")
