"""The operator's page of watched clicks: evidence, a preview that changes nothing, one decision."""

from datetime import timedelta

from fastapi.testclient import TestClient
from sqlalchemy import select
from sqlalchemy.orm import Session

from flowlink.kernel import ids
from flowlink.partners import ids as partner_ids
from flowlink.risk import watches
from flowlink.risk.watch_models import Watch
from flowlink.tracking import queries as tracking
from tests.factories import Person, make_operator, make_partner, sign_in
from tests.payouts.click_makers import accrue, link_to, make_offer
from tests.risk.makers import NOON, machines

JSON = {"accept": "application/json"}
ENGLISH = {"accept-language": "en"}


def watched(session: Session) -> tuple[Person, str]:
    ada = make_partner(session)
    machines(session, link_to(session, ada, make_offer(session, budget="100.00")))
    accrue(session, NOON + timedelta(hours=1))
    found = session.scalars(select(Watch).where(Watch.partner_id == ada.partner_id)).one()
    return ada, ids.public(watches.PREFIX, found.id)


def states(client: TestClient) -> list[str]:
    return [watch["state"] for watch in client.get("/ops/watches", headers=JSON).json()["watches"]]


def test_what_waits_is_shown_with_evidence_and_worth(client: TestClient, session: Session) -> None:
    ada, watch_id = watched(session)
    sign_in(client, make_operator(session))

    page = client.get("/ops/watches", headers=ENGLISH).text
    (told,) = client.get("/ops/watches", headers=JSON).json()["watches"]

    for word in (ada.email, watch_id, "6.00", "Data centers", "Decide before"):
        assert word in page
    assert told["partner_id"] == partner_ids.public(ada.partner_id)
    assert (told["rule"], told["clicks"]) == ("datacenter", 60)
    assert told["worth"] == {"amount": "6.00", "currency": "EUR"}


def test_the_preview_changes_nothing(client: TestClient, session: Session) -> None:
    _, watch_id = watched(session)
    sign_in(client, make_operator(session))
    form = {"watch": [watch_id], "verdict": "confirm", "reason": "a farm"}

    page = client.post("/ops/watches/preview", data=form, headers=ENGLISH).text

    assert "Worth nothing" in page
    assert "6.00" in page
    assert states(client) == ["open"]


def test_nothing_chosen_is_said(client: TestClient, session: Session) -> None:
    sign_in(client, make_operator(session))

    page = client.post("/ops/watches/preview", data={"reason": "x"}, headers=ENGLISH)

    assert "Nothing was chosen" in page.text
    assert client.get("/ops/watches?state=decided").status_code == 200


def test_one_decision_for_many(client: TestClient, session: Session) -> None:
    chosen = [watched(session)[1] for _ in range(3)]
    sign_in(client, make_operator(session))
    form = {"watch": chosen, "verdict": "clear", "reason": "a newsletter"}

    answer = client.post("/ops/watches", data=form, follow_redirects=False)

    assert (answer.status_code, answer.headers["location"]) == (303, "/ops/watches")
    assert states(client) == []
    page = client.get("/ops/watches?state=decided", headers=ENGLISH).text
    assert page.count("a newsletter") == 3


def test_without_a_reason_nothing_is_decided(client: TestClient, session: Session) -> None:
    _, watch_id = watched(session)
    sign_in(client, make_operator(session))

    assert client.post("/ops/watches", data={"watch": watch_id}).status_code == 400
    assert client.post("/ops/watches", data={"watch": "wat_x", "reason": "x"}).status_code == 404

    assert states(client) == ["open"]


def test_it_exports(client: TestClient, session: Session) -> None:
    _, watch_id = watched(session)
    sign_in(client, make_operator(session))

    lines = client.get("/ops/watches?format=csv").text.splitlines()

    assert lines[0].startswith("\ufeffwatch_id,partner_id,rule,state")
    assert lines[1].startswith(watch_id)


def test_only_operators_come_in(client: TestClient, session: Session) -> None:
    ada, watch_id = watched(session)
    form = {"watch": watch_id, "reason": "x"}
    assert client.get("/ops/watches").status_code == 401
    sign_in(client, ada)

    for answer in (
        client.get("/ops/watches"),
        client.post("/ops/watches", data=form),
        client.post("/ops/watches/preview", data=form),
        client.get("/ops/limits"),
        client.post("/ops/sweep"),
    ):
        assert answer.status_code == 403


def test_the_partner_reads_what_waits(client: TestClient, session: Session) -> None:
    ada, _ = watched(session)
    sign_in(client, ada)

    for path in ("/partner/portal", "/partners/earnings"):
        page = client.get(path, headers=ENGLISH).text
        assert "60 clicks wait for a check" in page
        assert "data centers" in page
        assert "networks" not in page  # evidence that would teach how to cheat


def test_the_trail_of_a_waiting_click_says_so(client: TestClient, session: Session) -> None:
    ada, _ = watched(session)
    sign_in(client, ada)
    shown = tracking.clicks_of(session, partner_id=ada.partner_id, limit=1)

    page = client.get(f"/partners/trail/{shown[0].token}", headers=ENGLISH).text

    assert "A person decides whether it is paid." in page
