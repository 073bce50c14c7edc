"""Clicks one by one: found from a link, in pages and files, and looked up by the operator."""

from datetime import datetime, timedelta

import pytest
from fastapi.testclient import TestClient
from sqlalchemy.orm import Session

from flowlink.kernel import ids, policy as policies
from flowlink.risk import service as risk
from flowlink.tracking import clickid, clicks, postbacks
from flowlink.tracking.clicks import Visit
from flowlink.tracking.ids import CONVERSION, LINK
from flowlink.tracking.models import Reason
from flowlink.tracking.postbacks import PostbackIn
from tests.factories import Person, make_operator, make_partner, sign_in
from tests.insights.makers import FRENCH, World, click_again, make_world, read, status
from tests.tracking.makers import BROWSER, make_click, postback


@pytest.fixture
def world(client: TestClient, session: Session, now: datetime) -> World:
    """Ada, signed in, after one confirmed sale."""
    made = make_world(session, now=now)
    sign_in(client, made.ada)
    return made


def visit(session: Session, world: World, at: datetime, number: int, reason: Reason) -> str:
    address = f"198.51.100.{number}"
    one = Visit(world.shop.link.code, at, address, BROWSER, "news.example", reason)
    (stored,) = clicks.store(session, visits=[one])
    assert stored is not None
    return clicks.token_of(stored)


def of_link(world: World, kind: str = "") -> str:
    return f"link={ids.public(LINK, world.shop.link.id)}&kind={kind}"


def test_a_link_opens_its_clicks_and_each_click_its_trail(
    client: TestClient, session: Session, world: World, now: datetime
) -> None:
    elsewhere = click_again(session, world, now=now)
    bot = visit(session, world, now - timedelta(days=3), 1, Reason.BOT)

    listed = read(client, f"/partner/clicks?{of_link(world)}")

    assert f"/partner/clicks?{of_link(world)[:-6]}" in read(
        client, f"/partner/links/{ids.public(LINK, world.shop.link.id)}"
    )
    assert (world.click in listed, bot in listed, elsewhere in listed) == (True, True, False)
    assert elsewhere in read(client, "/partner/clicks")
    shown = read(client, f"/partners/trail/{bot}")
    assert "The user agent is in the list of robots" in shown
    assert "version 1, in force since" in shown
    assert status(client, f"/partners/trail/{bot}", **FRENCH) == 200


@pytest.mark.parametrize(
    ("kind", "seen"),
    [("valid", (True, False, False)), ("bots", (False, True, False)), ("others", (0, 0, 1))],
)
def test_bots_stand_apart(
    client: TestClient,
    session: Session,
    world: World,
    now: datetime,
    kind: str,
    seen: tuple[bool, ...],
) -> None:
    bot = visit(session, world, now, 1, Reason.BOT)
    head = visit(session, world, now, 2, Reason.HEAD)

    for path in ("/partner/clicks", "/partner/clicks.csv"):
        listed = read(client, f"{path}?{of_link(world, kind)}")
        assert tuple(token in listed for token in (world.click, bot, head)) == seen


def test_many_clicks_page_without_losing_one(
    client: TestClient, session: Session, world: World, now: datetime
) -> None:
    made = {visit(session, world, now - timedelta(hours=7 * n), n, Reason.VALID) for n in range(60)}

    first = read(client, f"/partner/clicks?{of_link(world)}")
    cursor = first.split("cursor=")[1].split('"')[0].split("&")[0]
    second = read(client, f"/partner/clicks?{of_link(world)}&cursor={cursor}")

    on_first = {token for token in made if token in first}
    on_second = {token for token in made if token in second}
    assert len(on_first) + len(on_second) == 60
    assert on_first | on_second == made


def test_a_report_that_nobody_understood_is_the_reason_for_a_zero(
    client: TestClient, session: Session, world: World, now: datetime
) -> None:
    token = click_again(session, world, now=now)
    query = postback(world.shop, subid=token.upper(), amount="10", status="mystery", txn_id="t9")
    postbacks.receive(session, request=PostbackIn("GET", query), now=now)
    session.flush()

    shown = read(client, f"/partners/trail/{token}")

    assert "does not know this status word" in shown
    assert "Why this is zero" in shown


def test_a_hold_is_said_on_the_click(
    client: TestClient, session: Session, world: World, now: datetime
) -> None:
    risk.place_hold(
        session,
        partner_id=world.ada.partner_id,
        reason="forty clicks in a minute",
        evidence={"clicks": 40},
        actor="test",
        policy=policies.at(session, now),
        now=now,
    )

    assert "forty clicks in a minute" in read(client, f"/partners/trail/{world.click}")


def test_others_see_nothing_of_it(
    client: TestClient, session: Session, world: World, now: datetime
) -> None:
    sign_in(client, make_partner(session))

    assert status(client, f"/partners/trail/{world.click}") == 404
    assert status(client, f"/partner/clicks?{of_link(world)}") == 404
    assert world.click not in read(client, "/partner/clicks")
    assert status(client, f"/admin/trail/{world.click}") in {403, 404}


@pytest.fixture
def staff(client: TestClient, session: Session, world: World) -> Person:
    return sign_in(client, make_operator(session))


def test_the_operator_looks_a_click_up(
    client: TestClient, session: Session, world: World, staff: Person
) -> None:
    ref = clickid.read(world.click)
    assert ref is not None
    for typed in (world.click, world.click.upper(), f" {ref.number} "):
        answer = client.get("/admin/trail", params={"q": typed}, follow_redirects=False)
        assert (answer.status_code, answer.headers["location"]) == (
            303,
            f"/admin/trail/{world.click}",
        )

    shown = read(client, f"/admin/trail/{world.click}")

    assert (BROWSER in shown, str(ref.number) in shown) == (True, True)
    assert "/partners/trail/" not in shown
    sale = f"/admin/trail/{ids.public(CONVERSION, world.conversion.id)}"
    assert sale in shown
    assert "/partners/" not in read(client, sale).split("<main")[1].split("</main")[0]


@pytest.mark.parametrize("typed", ["nosuch", "cnv_01", "12345", "x" * 200, "9" * 30, "ent_zzz"])
def test_what_is_not_ours_is_said_so(client: TestClient, staff: Person, typed: str) -> None:
    assert "Nothing of ours has this name" in read(client, f"/admin/trail?q={typed}")
    assert status(client, f"/admin/trail/{typed}") in {400, 404, 422}


def test_a_click_whose_row_is_not_there_yet_has_a_trail(
    client: TestClient, session: Session, world: World, now: datetime
) -> None:
    ref = clickid.ClickRef(
        clickid.Maker(3).next(now), world.shop.link.number, partner_number(session, world)
    )

    assert "Its record is on the way" in read(client, f"/partners/trail/{clickid.token(ref)}")


def partner_number(session: Session, world: World) -> int:
    ref = clickid.read(make_click(session, world.shop, datetime.fromisoformat("2026-01-02T00:00Z")))
    assert ref is not None
    return ref.partner
