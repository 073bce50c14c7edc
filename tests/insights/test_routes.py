"""What everybody can read: the front door, the landing page, leaderboard and answers."""

from datetime import datetime, timedelta

import pytest
from fastapi.testclient import TestClient
from sqlalchemy import update
from sqlalchemy.orm import Session

from flowlink.kernel import policy as policies
from flowlink.partners import queries, service as partners
from flowlink.tracking.models import Offer
from tests.factories import make_operator, make_partner, sign_in
from tests.insights.makers import FRENCH, click_again, make_world, read, status
from tests.tracking.makers import make_click, make_shop


@pytest.mark.parametrize(
    ("path", "english", "french"),
    [
        ("/", "know where every cent goes", "sachez où va chaque centime"),
        ("/partners", "Earn what it brings", "Gagnez ce que ça rapporte"),
        ("/partners/leaderboard", "Nobody yet", "Personne pour l"),
        ("/partners/faq", "Why is there a reserve?", "Pourquoi une réserve"),
    ],
)
def test_anybody_can_read_it_in_both_languages(
    client: TestClient, path: str, english: str, french: str
) -> None:
    assert english in read(client, path)
    assert french in read(client, path, **FRENCH)


def test_the_landing_page_shows_the_offer_as_an_estimate(
    client: TestClient, session: Session, now: datetime
) -> None:
    make_shop(session, now=now)

    page = read(client, "/partners")

    for text in ("€0.12", "Estimate", "60%", "€10.00", "€30.00", "€21.00", "€9.00"):
        assert text in page, text
    assert 'action="/partner/magic"' in page
    assert "0,12\xa0€" in read(client, "/partners", **FRENCH)


def test_the_landing_page_says_so_when_there_is_no_offer(
    client: TestClient, session: Session
) -> None:
    session.execute(update(Offer).values(active=False))

    assert "No offer at the moment" in read(client, "/partners")


def test_the_example_follows_the_policy(
    client: TestClient, session: Session, now: datetime
) -> None:
    numbers = {"PARTNER_SHARE_PCT": "0.50", "PAYOUT_RESERVE_PCT": "0.10"}
    for name, value in numbers.items():
        policies.change(session, name=name, value=value, actor="test", reason="test", now=now)

    page = read(client, "/partners")

    for text in ("€25.00", "€22.50", "€2.50"):
        assert text in page, text


def test_the_front_door_knows_who_comes(client: TestClient, session: Session) -> None:
    assert 'href="/login"' in read(client, "/")

    sign_in(client, make_partner(session))
    assert 'href="/partner/portal"' in read(client, "/")

    sign_in(client, make_operator(session))
    assert 'href="/admin/monitoring"' in read(client, "/")


def test_the_leaderboard_shows_handles_and_never_an_address(
    client: TestClient, session: Session, now: datetime
) -> None:
    named, unnamed = make_world(session, now=now), make_world(session, now=now)
    click_again(session, unnamed, now=now)
    partners.choose_handle(session, partner_id=named.ada.partner_id, handle="ada-shares")

    page = read(client, "/partners/leaderboard")

    opaque = queries.get(session, unnamed.ada.partner_id).alias
    assert page.index(opaque) < page.index("ada-shares")
    assert "@" not in page.split("<main")[1].split("</main>")[0]
    assert "ada-shares,1" in client.get("/partners/leaderboard.csv?days=7").text


def test_the_leaderboard_counts_the_days_it_says(
    client: TestClient, session: Session, now: datetime
) -> None:
    shop = make_shop(session, now=now - timedelta(days=8))
    make_click(session, shop, now - timedelta(days=8))

    assert "Nobody yet" in read(client, "/partners/leaderboard?days=7")
    assert "partner-" in read(client, "/partners/leaderboard?days=30")


@pytest.mark.parametrize("days", ["0", "91", "-1", "week", "1.5"])
def test_days_that_do_not_exist_are_refused(client: TestClient, days: str) -> None:
    assert status(client, f"/partners/leaderboard?days={days}") == 400
