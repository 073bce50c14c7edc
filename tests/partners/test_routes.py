"""Joining as a person sees it, and who is let through to a partner's pages."""

from datetime import datetime

import pytest
from fastapi.testclient import TestClient
from sqlalchemy.orm import Session

from flowlink.identity import service as identity
from flowlink.identity.ids import UserId
from flowlink.kernel import policy as policies
from flowlink.partners import ids, queries
from flowlink.partners.ids import PartnerId
from flowlink.partners.models import Partner
from tests.factories import Person, make_operator, make_partner, sign_in

PAGE = {"accept": "text/html", "accept-language": "en"}


def newcomer(session: Session, now: datetime) -> Person:
    user_id = UserId(identity.ensure_user(session, email="new@example.org", now=now).id)
    return Person(user_id, "new@example.org", make_operator(session).partner_id)


def partner_of(session: Session, person: Person) -> Partner | None:
    return queries.of_user(session, person.user_id)


def review(session: Session, now: datetime) -> None:
    policies.change(
        session, name="PARTNER_APPROVAL", value="review", actor="test", reason="test", now=now
    )


def post(client: TestClient, path: str, **form: str) -> tuple[int, str]:
    answer = client.post(path, data=form, headers=PAGE, follow_redirects=False)
    return answer.status_code, answer.headers.get("location", "")


def test_the_terms_are_read_and_accepted(
    client: TestClient, session: Session, now: datetime
) -> None:
    new = sign_in(client, newcomer(session, now))

    for lang, word in (("en", "I accept the terms"), ("fr", "accepte les conditions")):
        page = client.get("/partners/join", headers={"accept-language": lang})
        assert (page.status_code, word in page.text) == (200, True)
    assert post(client, "/partners/join") == (303, "/partner/portal")

    partner = partner_of(session, new)
    assert partner is not None
    assert partner.status == "active"
    again = client.get("/partners/join", headers=PAGE, follow_redirects=False)
    assert again.headers["location"] == "/partner/portal"


def test_whoever_will_be_looked_at_is_told_before_they_apply(
    client: TestClient, session: Session, now: datetime
) -> None:
    sign_in(client, newcomer(session, now))
    told = "A person looks at every new partner"
    assert told not in client.get("/partners/join", headers=PAGE).text

    review(session, now)

    assert told in client.get("/partners/join", headers=PAGE).text


def test_other_terms_than_those_in_force_are_refused(
    client: TestClient, session: Session, now: datetime
) -> None:
    new = sign_in(client, newcomer(session, now))

    assert post(client, "/partners/join", terms="2019-01")[0] == 400

    assert partner_of(session, new) is None


def test_a_stranger_signs_in_first(client: TestClient) -> None:
    assert client.get("/partners/join", headers=PAGE).status_code == 401
    assert post(client, "/partners/join")[0] == 401


def test_who_is_signed_in_but_no_partner_is_led_to_the_terms(
    client: TestClient, session: Session, now: datetime
) -> None:
    sign_in(client, newcomer(session, now))

    page = client.get("/partner/portal", headers=PAGE, follow_redirects=False)

    assert (page.status_code, page.headers["location"]) == (303, "/partners/join")
    assert client.get("/api/partner/balance").status_code == 403


def test_who_waits_sees_that_a_person_looks(
    client: TestClient, session: Session, now: datetime
) -> None:
    review(session, now)
    new = sign_in(client, newcomer(session, now))
    post(client, "/partners/join")

    page = client.get("/partner/portal", headers=PAGE)

    assert "We are reading your application" in page.text
    assert client.get("/api/partner/balance").status_code == 403
    partner = partner_of(session, new)
    assert partner is not None
    assert partner.status == "pending"


def test_an_operator_lets_a_newcomer_in(
    client: TestClient, session: Session, now: datetime
) -> None:
    review(session, now)
    new = sign_in(client, newcomer(session, now))
    post(client, "/partners/join")
    partner = partner_of(session, new)
    assert partner is not None
    name = ids.public(PartnerId(partner.id))
    assert post(client, f"/ops/partners/{name}/approve")[0] == 403
    sign_in(client, make_operator(session))

    assert post(client, f"/ops/partners/{name}/approve") == (303, "/admin/partners")

    assert post(client, f"/ops/partners/{name}/approve")[0] == 400
    assert queries.active_of_user(session, new.user_id) is not None


def test_an_operator_declines_with_a_reason(
    client: TestClient, session: Session, now: datetime
) -> None:
    review(session, now)
    new = sign_in(client, newcomer(session, now))
    post(client, "/partners/join")
    partner = partner_of(session, new)
    assert partner is not None
    name = ids.public(PartnerId(partner.id))
    sign_in(client, make_operator(session))

    assert post(client, f"/ops/partners/{name}/decline")[0] == 400
    assert post(client, f"/ops/partners/{name}/decline", reason="no site")[0] == 303

    sign_in(client, new)
    assert "no site" in client.get("/partners/join", headers=PAGE).text


@pytest.mark.parametrize("step", ["approve", "decline"])
def test_an_unknown_partner_is_not_found(client: TestClient, session: Session, step: str) -> None:
    sign_in(client, make_operator(session))

    for name in ("par_00000000000000000000000000", "usr_x", "1"):
        assert post(client, f"/ops/partners/{name}/{step}", reason="x")[0] == 404


def test_a_partner_chooses_a_handle(client: TestClient, session: Session) -> None:
    ada = sign_in(client, make_partner(session))

    assert post(client, "/partners/handle", handle="a") == (400, "")
    assert post(client, "/partners/handle", handle="ada") == (303, "/partner/portal")

    assert queries.get(session, ada.partner_id).handle == "ada"
