"""The operator's page of holds, and what lifts one."""

from datetime import datetime

import pytest
from fastapi.testclient import TestClient
from sqlalchemy import text
from sqlalchemy.orm import Session

from flowlink.kernel import policy as policies, settings
from flowlink.partners import ids as partner_ids
from flowlink.risk import queries, service as risk
from tests.factories import Person, make_operator, make_partner, sign_in

UNKNOWN = "par_00000000000000000000000000"


def held(session: Session, now: datetime) -> Person:
    ada = make_partner(session)
    risk.place_hold(
        session,
        partner_id=ada.partner_id,
        reason="52 clicks in 10 minutes",
        evidence={"clicks": 52, "addresses": 1},
        actor="job:risk_sweep",
        now=now,
        policy=policies.at(session, now),
    )
    return ada


def unhold(client: TestClient, person: Person, **form: str) -> int:
    pid = partner_ids.public(person.partner_id)
    path = f"/ops/unhold?pid={pid}"
    return client.post(path, data=form, follow_redirects=False).status_code


def binds(session: Session, person: Person) -> bool:
    return bool(queries.holds_of(session, person.partner_id))


def test_a_hold_is_shown_with_its_evidence(
    client: TestClient, session: Session, now: datetime
) -> None:
    ada = held(session, now)
    sign_in(client, make_operator(session))

    page = client.get("/ops/holds", headers={"accept-language": "en"}).text

    for word in (partner_ids.public(ada.partner_id), "52 clicks in 10 minutes", "addresses"):
        assert word in page


def test_a_hold_is_told_to_scripts(client: TestClient, session: Session, now: datetime) -> None:
    ada = held(session, now)
    headers = {
        "x-admin-secret": settings.current().admin_secret,
        "accept": "application/json",
    }

    found = client.get("/ops/holds", headers=headers).json()

    (hold,) = found["holds"]
    assert set(hold) == {"partner_id", "flag", "reason", "evidence", "created_at", "deadline"}
    assert hold["partner_id"] == partner_ids.public(ada.partner_id)
    assert (hold["flag"], hold["evidence"]) == ("hold", {"clicks": 52, "addresses": 1})


def test_nobody_on_hold_is_an_empty_list(client: TestClient, session: Session) -> None:
    sign_in(client, make_operator(session))

    assert client.get("/ops/holds", headers={"accept": "application/json"}).json() == {
        "holds": [],
        "next": None,
    }
    page = client.get("/ops/holds", headers={"accept-language": "fr"}).text
    assert "Personne n" in page


def test_an_operator_lifts_a_hold(client: TestClient, session: Session, now: datetime) -> None:
    ada = held(session, now)
    sign_in(client, make_operator(session))

    assert unhold(client, ada, reason="a film went viral") == 303

    assert not binds(session, ada)


@pytest.mark.parametrize("form", [{}, {"reason": ""}, {"reason": "  "}])
def test_without_a_reason_it_binds_on(
    client: TestClient, session: Session, now: datetime, form: dict[str, str]
) -> None:
    ada = held(session, now)
    sign_in(client, make_operator(session))

    assert unhold(client, ada, **form) == 400

    assert binds(session, ada)


def test_a_script_that_sends_no_form_is_told_so(
    client: TestClient, session: Session, now: datetime
) -> None:
    ada = held(session, now)
    secret = {"x-admin-secret": settings.current().admin_secret}

    answer = client.post(f"/ops/unhold?pid={partner_ids.public(ada.partner_id)}", headers=secret)

    assert (answer.status_code, answer.headers["content-type"]) == (400, "application/problem+json")
    assert binds(session, ada)


def test_what_is_known_of_a_hold_stands_in_the_reader_s_words(
    client: TestClient, session: Session, now: datetime
) -> None:
    ada = make_partner(session)
    facts = {"to": "2026-11-21T17:25:59+00:00", "from": "2026-11-21T17:25:32+00:00", "clicks": 52}
    risk.place_hold(
        session,
        partner_id=ada.partner_id,
        reason="40 clicks within ten minutes; the limit is 40.",
        evidence=facts | {"placed": "by hand", "click_to_conversion_s": []},
        actor="test",
        now=now,
        policy=policies.at(session, now),
    )
    sign_in(client, make_operator(session))

    page = client.get("/ops/holds", headers={"accept-language": "fr"}).text

    assert "40 clics en dix minutes" in page
    assert "à la main" in page
    assert page.count("21 nov. 2026, 17:25 UTC") == 2
    assert page.index(">De</dt>") < page.index(">Jusqu\u2019au</dt>")


def test_a_get_lifts_nothing(client: TestClient, session: Session, now: datetime) -> None:
    ada = held(session, now)
    sign_in(client, make_operator(session))
    pid = partner_ids.public(ada.partner_id)

    assert client.get(f"/ops/unhold?pid={pid}&reason=x").status_code == 405

    assert binds(session, ada)


def test_lifting_twice_is_refused(client: TestClient, session: Session, now: datetime) -> None:
    ada = held(session, now)
    sign_in(client, make_operator(session))
    unhold(client, ada, reason="viral")

    assert unhold(client, ada, reason="viral") == 400


@pytest.mark.parametrize("pid", [UNKNOWN, "par_x", "1", ""])
def test_an_unknown_partner_is_not_found(client: TestClient, session: Session, pid: str) -> None:
    sign_in(client, make_operator(session))

    answer = client.post(f"/ops/unhold?pid={pid}", data={"reason": "x"})

    assert answer.status_code == 404


def test_only_operators_come_in(client: TestClient, session: Session, now: datetime) -> None:
    ada = held(session, now)
    assert client.get("/ops/holds").status_code == 401
    assert unhold(client, ada, reason="x") == 401
    sign_in(client, ada)

    assert client.get("/ops/holds").status_code == 403
    assert unhold(client, ada, reason="x") == 403
    assert client.post("/ops/hold", data={"partner": UNKNOWN, "reason": "x"}).status_code == 403

    assert binds(session, ada)


def test_an_operator_places_a_hold(client: TestClient, session: Session) -> None:
    ada = make_partner(session)
    sign_in(client, make_operator(session))
    form = {"partner": partner_ids.public(ada.partner_id), "flag": "fraud", "reason": "self clicks"}

    assert client.post("/ops/hold", data=form | {"flag": "lie"}).status_code == 400
    assert client.post("/ops/hold", data=form | {"reason": ""}).status_code == 400
    assert not binds(session, ada)
    answer = client.post("/ops/hold", data=form, follow_redirects=False)

    assert answer.status_code == 303
    assert binds(session, ada)


def test_many_holds_page(client: TestClient, session: Session, now: datetime) -> None:
    for _ in range(51):
        held(session, now)
    sign_in(client, make_operator(session))
    accept = {"accept": "application/json"}

    first = client.get("/ops/holds", headers=accept).json()
    second = client.get("/ops/holds", params={"cursor": first["next"]}, headers=accept).json()

    assert (len(first["holds"]), len(second["holds"]), second["next"]) == (50, 1, None)


def test_holds_export(client: TestClient, session: Session, now: datetime) -> None:
    person = held(session, now)
    key = {"x-admin-secret": settings.current().admin_secret}

    lines = client.get("/ops/holds?format=csv", headers=key).text.splitlines()

    assert lines[0] == "\ufeffpartner_id,flag,reason,evidence,created_at,deadline"
    assert lines[1].startswith(partner_ids.public(person.partner_id))


def test_many_holds_are_lifted_after_a_preview(
    client: TestClient, session: Session, now: datetime
) -> None:
    people = [held(session, now) for _ in range(3)]
    sign_in(client, make_operator(session))
    form = {
        "partner": [partner_ids.public(person.partner_id) for person in people[:2]],
        "reason": "a film went viral",
    }

    page = client.post("/ops/holds/preview", data=form, headers={"accept-language": "en"}).text
    assert [binds(session, person) for person in people] == [True] * 3
    answer = client.post("/ops/holds/lift", data=form, follow_redirects=False)

    assert "a film went viral" in page
    assert people[0].email in page
    assert people[2].email not in page
    assert answer.status_code == 303
    assert [binds(session, person) for person in people] == [False, False, True]


def test_the_sweep_is_started_from_the_page(client: TestClient, session: Session) -> None:
    sign_in(client, make_operator(session))

    answer = client.post("/ops/sweep", follow_redirects=False)

    assert answer.status_code == 303
    queued = text("SELECT count(*) FROM procrastinate_jobs WHERE task_name = 'risk_sweep'")
    assert session.scalar(queued) == 1


def test_a_partner_gets_a_limit_of_their_own(client: TestClient, session: Session) -> None:
    ada = make_partner(session)
    sign_in(client, make_operator(session))
    form = {"partner": partner_ids.public(ada.partner_id), "percent": "500", "reason": "viral"}

    assert client.post("/ops/limits", data=form | {"percent": "5"}).status_code == 400
    assert client.post("/ops/limits", data=form | {"reason": ""}).status_code == 400
    assert client.post("/ops/limits", data=form, follow_redirects=False).status_code == 303

    page = client.get("/ops/limits", headers={"accept-language": "en"}).text
    assert ada.email in page
    assert "200" in page
    assert "500" in client.get("/ops/limits?format=csv").text
    client.post("/ops/limits", data=form | {"percent": "100"})
    assert ada.email not in client.get("/ops/limits").text
