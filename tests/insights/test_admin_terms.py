"""Console and API of groups, deals, onboarding, cases and disputes, driven from outside."""

from datetime import datetime

import pytest
from fastapi.testclient import TestClient
from sqlalchemy.orm import Session

from flowlink.kernel import ids
from flowlink.partners import groups
from flowlink.partners.ids import GROUP
from flowlink.payouts import cases
from flowlink.payouts.ids import CASE
from flowlink.payouts.models import Commission
from flowlink.tracking.ids import CONVERSION, LINK
from flowlink.tracking.models import Link
from tests.factories import Person, balance, make_operator, make_partner, sign_in
from tests.insights.makers import World, read, report

PAGE = {"accept": "text/html", "accept-language": "en"}
CSVS = [
    "/admin/groups.csv",
    "/admin/onboarding/terms.csv",
    "/admin/onboarding/questions.csv",
    "/admin/cases.csv",
    "/admin/disputes.csv",
    "/admin/offers/default/deals.csv",
]


def send(client: TestClient, path: str, **form: str) -> tuple[int, str]:
    answer = client.post(path, data=form, headers=PAGE, follow_redirects=False)
    return answer.status_code, answer.headers.get("location", answer.text)


def test_a_group_is_made_joined_and_given_terms(
    client: TestClient, operator: Person, world: World, session: Session, now: datetime
) -> None:
    par = ids.public("par", world.ada.partner_id)
    code, path = send(client, "/admin/groups", name="Friends", for_newcomers="on")
    group = path.rpartition("/")[2]
    move = {"partner": par, "group": group, "reason": "a friend"}
    deal = {"group": group, "share": "70", "tiers": "1000 75", "reason": "summer"}

    assert code == 303
    assert send(client, "/admin/memberships", **move)[0] == 303
    assert send(client, "/admin/deals", **deal) == (303, path)
    assert send(client, "/admin/deals", **deal)[0] == 400
    assert send(client, "/admin/deals", **(deal | {"version": "1", "reason": ""}))[0] == 400

    page = read(client, path)
    assert all(word in page for word in ("70%", "75% from €1,000.00", "summer", world.ada.email))
    sale = report(session, world.shop, now=now, subid=world.click, amount="10", txn_id="t2")
    assert session.get_one(Commission, sale.id).share_bps == 6000  # clicked before it was agreed
    assert read(client, f"{path}/members.csv").count("\n") >= 2
    ended = send(client, "/admin/deals/end", group=group, version="1", reason="over")
    assert ended == (303, path)
    assert "Nothing any more" in read(client, path)


def test_a_group_s_limit_of_clicks_has_versions_with_their_reasons(
    client: TestClient, operator: Person, session: Session
) -> None:
    _, path = send(client, "/admin/groups", name="Friends")
    limit = {"version": "0", "percent": "250", "reason": "their posts go viral"}

    assert send(client, f"{path}/limit", **limit) == (303, f"{path}#limit")
    assert send(client, f"{path}/limit", **limit)[0] == 400
    for wrong in ({"percent": "9"}, {"reason": " "}, {"percent": "many"}):
        assert send(client, f"{path}/limit", **(limit | {"version": "1"} | wrong))[0] == 400
    assert send(client, "/admin/groups/grp_x/limit", **limit)[0] == 404

    shown = [read(client, page) for page in (path, "/ops/limits")]
    assert all("their posts go viral" in page and "100" in page for page in shown)
    assert "1,250,their posts go viral" in read(client, f"{path}/limits.csv")
    assert "Friends,250,1" in read(client, "/ops/limits/groups.csv")
    back = {"version": "1", "percent": "100", "reason": "calm again"}
    assert send(client, f"{path}/limit", **back)[0] == 303
    assert "No group has its own limit" in read(client, "/ops/limits")
    lines = read(client, "/admin/audit.csv?q=changed+velocity")
    assert lines.count("changed velocity limit") == 2
    assert "their posts go viral" in lines


def test_own_content_is_marked_by_hand_and_by_program(
    client: TestClient, operator: Person, world: World, session: Session
) -> None:
    link = ids.public(LINK, world.shop.link.id)

    assert send(client, f"/admin/links/{link}/own-content", own_content="on")[0] == 303
    assert session.get_one(Link, world.shop.link.id).own_content
    answer = client.patch(f"/api/admin/links/{link}", json={"own_content": False})
    assert answer.json()["own_content"] is False


def test_a_dispute_by_program_sets_apart_and_gives_back(
    client: TestClient, operator: Person, world: World, session: Session
) -> None:
    path = f"/api/admin/conversions/{ids.public(CONVERSION, world.conversion.id)}/disputes"

    opened = [client.post(path, json={"state": "opened", "reference": "CB"}) for _ in range(2)]
    assert [each.json()["held"]["amount"] for each in opened] == ["60.00", "60.00"]
    assert "CB" in read(client, "/admin/disputes")
    won = client.post(path, json={"state": "won", "reference": "CB"})
    assert (won.json()["state"], balance(session, world.ada, "available")) == ("won", "42.00 EUR")
    assert client.post(path, json={"state": "lost", "reference": "CB"}).status_code == 409
    assert client.post(path, json={"state": "lost", "reference": "none"}).status_code == 404


def test_a_partial_refund_by_program_takes_its_part(
    client: TestClient, operator: Person, world: World, session: Session
) -> None:
    path = f"/api/admin/conversions/{ids.public(CONVERSION, world.conversion.id)}/restate"
    body = {"status": "approved", "amount": "50.00", "reason": "half came back"}

    assert client.post(path, json=body).json()["revision"] == 2
    assert client.post(path, json=body).status_code == 409
    assert balance(session, world.ada, "available") == "21.00 EUR"


def test_a_case_is_opened_seen_and_answered_once(
    client: TestClient, world: World, session: Session, now: datetime
) -> None:
    sign_in(client, world.ada)
    form = {"story": "order 9", "amount": "3,20", "happened_on": f"{now:%Y-%m-%d}"}
    code, path = send(client, "/partners/cases", click=world.click, once="x", **form)
    assert (code, send(client, "/partners/cases", once="x", **form)[1]) == (303, path)
    page = read(client, path)
    assert "Valid clicks around that day" in page
    assert send(client, "/partners/cases", click="nonsense", **form)[0] in {400, 404}
    case = path.rpartition("/")[2]
    found = cases.get(session, ids.parse(CASE, case)).case
    assert found.trail["sales"][0]["status"] == "approved"

    assert client.get(f"/admin/cases/{case}", headers=PAGE).status_code == 403
    sign_in_operator(client, session)
    answer = {"amount": "3.20", "answer": "you are right"}
    assert send(client, f"/admin/cases/{case}/accept", **answer)[0] == 303
    assert send(client, f"/admin/cases/{case}/accept", **answer)[0] == 400
    assert balance(session, world.ada, "available") == "45.20 EUR"


def sign_in_operator(client: TestClient, session: Session) -> None:

    sign_in(client, make_operator(session))


@pytest.mark.parametrize("path", CSVS)
def test_every_list_can_be_taken_along(client: TestClient, operator: Person, path: str) -> None:
    answer = client.get(path)

    assert (answer.status_code, answer.headers["content-type"]) == (200, "text/csv; charset=utf-8")


def test_partners_do_not_see_the_console(client: TestClient, world: World) -> None:
    sign_in(client, world.ada)

    for path in ("/admin/groups", "/admin/onboarding", "/admin/cases", "/admin/disputes"):
        assert client.get(path, headers=PAGE).status_code == 403


def test_the_counters_come_alone(client: TestClient, world: World) -> None:
    sign_in(client, world.ada)

    page = read(client, "/partner/live")

    assert "<html" not in page
    assert 'id="live"' in page
    assert "€60.00" in page


def test_newcomers_are_welcomed_into_their_group(session: Session, now: datetime) -> None:

    group = groups.create(session, name="New", for_newcomers=True, actor="test", now=now)

    ada = make_partner(session)

    assert groups.group_of(session, ada.partner_id) == group.id
    assert ids.public(GROUP, group.id).startswith("grp_")
