"""The account page: one's own sessions and keys, and nobody else's."""

import re
from datetime import datetime, timedelta
from uuid import UUID

import pytest
from fastapi import FastAPI
from fastapi.testclient import TestClient
from sqlalchemy import select
from sqlalchemy.orm import Session

from flowlink.identity import hats, service as identity
from flowlink.identity.ids import SESSION, UserId
from flowlink.identity.models import ApiKey, Role, SignInSession, User
from flowlink.identity.queries import SESSION_IDLE
from flowlink.kernel import ids
from flowlink.kernel.models import AuditRow

ENGLISH = {"accept-language": "en"}
FIREFOX = "Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0"
PARTNER = UUID(int=42)


def make_user(session: Session, *, email: str, now: datetime, role: Role | None = None) -> UserId:
    user_id = UserId(identity.ensure_user(session, email=email, now=now).id)
    identity.set_staff(session, user_id=user_id, role=role, actor="cli", now=now)
    session.flush()
    return user_id


def sign_in(
    client: TestClient,
    session: Session,
    *,
    email: str = "ada@example.org",
    now: datetime,
    role: Role | None = None,
    user_agent: str = FIREFOX,
) -> UserId:
    user_id = make_user(session, email=email, now=now, role=role)
    token = identity.make_link(session, email=email, now=now)
    signed_in = identity.consume_link(session, token=token, now=now, user_agent=user_agent)
    session.flush()
    client.cookies.set("flowlink", signed_in.session_token)
    return user_id


def status(client: TestClient, cookie: str | None = None) -> int:
    if cookie is not None:
        client.cookies.set("flowlink", cookie)
    return client.get("/account").status_code


def sessions(session: Session) -> list[str]:
    session.expire_all()
    found = session.scalars(select(SignInSession).order_by(SignInSession.id))
    return [ids.public(SESSION, one.id) for one in found]


def make_key(client: TestClient, **form: object) -> str:
    page = client.post("/account/keys", data=form, headers=ENGLISH)
    assert page.status_code == 200, page.text
    found = re.search(r"flk_[\w-]{20,}", page.text)
    assert found is not None
    return found[0]


@pytest.mark.parametrize("path", ["/account", "/account/keys/x/revoke", "/account/sessions/revoke"])
def test_without_a_session_there_is_no_account(client: TestClient, path: str) -> None:
    method = "GET" if path == "/account" else "POST"

    assert client.request(method, path).status_code == 401


def test_the_page_shows_who_and_where(client: TestClient, session: Session, now: datetime) -> None:
    sign_in(client, session, now=now, user_agent="curl/8.9.1")
    sign_in(client, session, now=now)

    page = client.get("/account", headers=ENGLISH).text

    assert "ada@example.org" in page
    assert "Firefox, Linux" in page
    assert "curl" in page
    assert page.count("This device") == 1


def test_a_hostile_browser_name_stays_text(
    client: TestClient, session: Session, now: datetime
) -> None:
    sign_in(client, session, now=now, user_agent="<script>\x00\x1b[2J " + "x" * 10_000)

    kept = session.scalars(select(SignInSession.user_agent)).one()

    assert kept.startswith("<script> [2J x")
    assert len(kept) == identity.USER_AGENT_MAX
    assert client.get("/account").status_code == 200


def test_a_revoked_session_is_out_at_once(
    client: TestClient, session: Session, now: datetime
) -> None:
    sign_in(client, session, now=now)
    other = client.cookies["flowlink"]
    sign_in(client, session, now=now)
    mine = client.cookies["flowlink"]

    answer = client.post(f"/account/sessions/{sessions(session)[0]}/revoke", follow_redirects=False)

    assert (answer.status_code, answer.headers["location"]) == (303, "/account")
    assert (status(client, other), status(client, mine)) == (401, 200)


def test_revoking_this_session_signs_out(
    client: TestClient, session: Session, now: datetime
) -> None:
    sign_in(client, session, now=now)
    cookie = client.cookies["flowlink"]

    answer = client.post(f"/account/sessions/{sessions(session)[0]}/revoke", follow_redirects=False)

    assert (answer.status_code, answer.headers["location"]) == (303, "/login")
    assert 'flowlink=""' in answer.headers["set-cookie"]
    assert status(client, cookie) == 401


def test_nobody_revokes_another_s_session(
    client: TestClient, session: Session, now: datetime
) -> None:
    sign_in(client, session, email="eve@example.org", now=now)
    hers = client.cookies["flowlink"]
    sign_in(client, session, now=now)
    own = client.cookies["flowlink"]

    answers = [
        client.post(f"/account/sessions/{name}/revoke").status_code
        for name in (sessions(session)[0], "ses_x", "usr_" + "0" * 26, "%00")
    ]

    assert answers == [404, 404, 404, 404]
    assert (status(client, hers), status(client, own)) == (200, 200)


def test_signing_out_everywhere_spares_no_device_and_no_other_person(
    client: TestClient, session: Session, now: datetime
) -> None:
    sign_in(client, session, email="eve@example.org", now=now)
    hers = client.cookies["flowlink"]
    sign_in(client, session, now=now)
    first = client.cookies["flowlink"]
    sign_in(client, session, now=now)
    second = client.cookies["flowlink"]

    client.post("/account/sessions/revoke", follow_redirects=False)

    assert [status(client, cookie) for cookie in (first, second, hers)] == [401, 401, 200]


def test_signing_out_ends_the_session_and_forgets_the_cookie(
    client: TestClient, session: Session, now: datetime
) -> None:
    sign_in(client, session, now=now)
    cookie = client.cookies["flowlink"]

    answer = client.post("/logout", follow_redirects=False)

    assert (answer.status_code, answer.headers["location"]) == (303, "/login")
    assert status(client, cookie) == 401
    assert client.post("/logout", follow_redirects=False).status_code == 303


@pytest.mark.parametrize(
    "cookie", ["", "x", "é", pytest.param("a" * 4000, id="long"), "1", "flk_abc", "../.."]
)
def test_a_made_up_cookie_is_nobody(client: TestClient, cookie: str) -> None:
    answer = client.get("/account", headers={b"cookie": f"flowlink={cookie}".encode()})

    assert answer.status_code == 401


@pytest.mark.parametrize("times", [["idle"], ["too long"]])
def test_a_session_ends_by_itself(
    client: TestClient, session: Session, now: datetime, times: list[str]
) -> None:
    sign_in(client, session, now=now)
    opened = session.scalars(select(SignInSession)).one()
    if times == ["idle"]:
        opened.last_seen_at = now - SESSION_IDLE
    else:
        opened.expires_at = now

    assert status(client) == 401


def test_being_seen_is_noted_every_few_minutes(
    client: TestClient, session: Session, now: datetime
) -> None:
    sign_in(client, session, now=now)
    opened = session.scalars(select(SignInSession)).one()
    seen = []
    for ago in (timedelta(minutes=4), timedelta(minutes=6)):
        opened.last_seen_at = now - ago
        assert status(client) == 200
        seen.append(opened.last_seen_at)

    assert seen[0] == now - timedelta(minutes=4)
    assert now <= seen[1] < now + timedelta(minutes=1)


def test_one_chooses_the_language_of_one_s_mails(
    client: TestClient, session: Session, now: datetime
) -> None:
    sign_in(client, session, now=now)

    good = client.post("/account/language", data={"lang": "en"}, follow_redirects=False)
    bad = client.post("/account/language", data={"lang": "xx"}, follow_redirects=False)

    assert (good.status_code, bad.status_code) == (303, 400)
    assert session.scalars(select(User.lang)).one() == "en"


def test_a_key_is_shown_once_and_kept_as_a_digest(
    client: TestClient, session: Session, now: datetime
) -> None:
    sign_in(client, session, now=now, role=Role.OPERATOR)

    key = make_key(client, kind="operator", name="  Night\tjob\x00 ", scopes=["admin:read"])

    page = client.get("/account", headers=ENGLISH).text
    kept = session.scalars(select(ApiKey)).one()
    files = client.get("/account/keys.csv").text + client.get("/account/sessions.csv").text
    assert f",Night job,{key[:8]}" in files
    assert "ses_" in files
    assert key not in page + files
    assert key[:8] in page
    assert (kept.name, kept.scopes) == ("Night job", ["admin:read"])
    assert key not in repr(vars(kept))
    assert (
        session.scalars(select(AuditRow.action).order_by(AuditRow.id)).all()[-1] == "made API key"
    )


def test_a_person_without_hats_makes_no_keys(
    client: TestClient, session: Session, now: datetime
) -> None:
    sign_in(client, session, now=now)

    answers = [
        client.post("/account/keys", data={"kind": kind, "scopes": "links:read"}).status_code
        for kind in ("operator", "partner", "team")
    ]

    assert answers == [403, 403, 403]
    assert session.scalars(select(ApiKey)).all() == []


@pytest.mark.parametrize(
    "form",
    [
        {"kind": "operator"},
        {"kind": "operator", "scopes": []},
        {"kind": "operator", "scopes": ["links:write"]},
        {"kind": "operator", "scopes": ["admin:read", "everything"]},
        {"kind": "king", "scopes": ["admin:read"]},
        {"kind": "operator", "scopes": ["admin:read"], "name": "x" * 1000},
        {},
    ],
)
def test_a_key_with_bad_words_is_not_made(
    client: TestClient, session: Session, now: datetime, form: dict[str, object]
) -> None:
    sign_in(client, session, now=now, role=Role.OPERATOR)

    answer = client.post("/account/keys", data=form)

    assert answer.status_code == 400
    assert session.scalars(select(ApiKey)).all() == []


def test_a_partner_makes_keys_of_their_own(
    app: FastAPI, client: TestClient, session: Session, now: datetime
) -> None:
    before = hats._lookups.copy()
    hats.install(partner=lambda *_: PARTNER)
    sign_in(client, session, now=now)

    make_key(client, kind="partner", scopes=["links:write"])

    hats._lookups.clear()
    hats._lookups.update(before)
    kept = session.scalars(select(ApiKey)).one()
    assert (kept.owner_kind, kept.owner_id) == ("partner", PARTNER)


def test_only_its_keeper_revokes_a_key(client: TestClient, session: Session, now: datetime) -> None:
    sign_in(client, session, now=now, role=Role.OPERATOR)
    make_key(client, kind="operator", scopes=["admin:read"])
    kept = session.scalars(select(ApiKey)).one()
    path = f"/account/keys/{ids.public('key', kept.id)}/revoke"
    mine = client.cookies["flowlink"]
    sign_in(client, session, email="eve@example.org", now=now, role=Role.OPERATOR)

    by_another = client.post(path, follow_redirects=False).status_code
    still_there = kept.revoked_at
    client.cookies.set("flowlink", mine)
    by_keeper = [client.post(path, follow_redirects=False).status_code for _ in range(2)]

    assert (by_another, still_there) == (404, None)
    assert by_keeper == [303, 404]
    assert kept.revoked_at is not None
    assert "No keys yet" in client.get("/account", headers=ENGLISH).text
