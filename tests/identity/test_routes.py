"""Signing in by mail: the link, its button, and every way in which it may not work."""

import re
from datetime import datetime, timedelta

import pytest
from fastapi import FastAPI
from fastapi.testclient import TestClient
from sqlalchemy import event, select
from sqlalchemy.orm import Session

from flowlink.identity import service as identity
from flowlink.identity.models import MagicLink, SignInSession, User
from flowlink.kernel import db
from flowlink.notify.models import Mail
from tests.identity.acts import CHANGING, ENGLISH, ask, count, is_signed_in, use
from tests.identity.mailbox import link_for, mails_to

_SAVEPOINT = re.compile(r"sa_savepoint_\d+")


@pytest.mark.parametrize(
    ("path", "target"), [("/login", "/login/verify"), ("/partner/magic", "/partner/login")]
)
def test_a_link_in_the_mail_signs_in(
    client: TestClient, session: Session, path: str, target: str
) -> None:
    status, page = ask(client, "ada@example.org", path)
    link = link_for(session, "ada@example.org")
    button = client.get(link, headers=ENGLISH)

    assert (status, "ada@example.org" in page) == (200, True)
    assert link.startswith(f"{target}?token=")
    assert (button.status_code, is_signed_in(client)) == (200, False)
    assert use(client, link)[0] == 303
    assert is_signed_in(client)


def test_the_button_s_form_is_the_only_one_and_goes_to_its_own_address(
    client: TestClient, session: Session, now: datetime
) -> None:
    ask(client, "ada@example.org")
    link = link_for(session, "ada@example.org")

    for times in ("anonymous", "signed in"):
        page = client.get(link).text
        forms = re.findall(r"<form[^>]*>", page)

        assert len(forms) == 1, times
        assert 'method="post"' in forms[0]
        assert "action" not in forms[0]
        token = identity.make_link(session, email="eve@example.org", now=now)
        client.post(f"/login/verify?token={token}")


def test_looking_at_a_link_never_uses_it_up(client: TestClient, session: Session) -> None:
    ask(client, "ada@example.org")
    link = link_for(session, "ada@example.org")

    statuses = [client.request(method, link).status_code for method in ("HEAD", "GET") * 3]

    assert set(statuses) == {200}
    assert count(session, SignInSession) == 0
    assert use(client, link)[0] == 303


def test_a_link_works_once(client: TestClient, session: Session) -> None:
    ask(client, "ada@example.org")
    link = link_for(session, "ada@example.org")
    use(client, link)
    client.cookies.clear()

    again, looked_at = client.post(link, headers=ENGLISH), client.get(link, headers=ENGLISH)

    assert (again.status_code, looked_at.status_code) == (400, 400)
    assert "has been used already" in again.text
    assert 'action="/login"' in again.text
    assert count(session, SignInSession) == 1
    assert not is_signed_in(client)


def test_a_link_works_for_fifteen_minutes(
    client: TestClient, session: Session, now: datetime
) -> None:
    just_old = identity.make_link(session, email="ada@example.org", now=now - timedelta(minutes=15))
    still_young = identity.make_link(
        session, email="ada@example.org", now=now - timedelta(minutes=14)
    )

    too_late = client.post(f"/login/verify?token={just_old}", headers=ENGLISH)

    assert (too_late.status_code, "too old" in too_late.text) == (400, True)
    assert count(session, SignInSession) == count(session, User) == 0
    assert use(client, f"/login/verify?token={still_young}")[0] == 303


@pytest.mark.parametrize(
    "token",
    [
        "",
        "x",
        pytest.param("a" * 10_000, id="long"),
        "%00",
        "%ff%fe",
        "é",
        "../../etc",
        "' OR 1=1 --",
    ],
)
@pytest.mark.parametrize("path", ["/login/verify", "/partner/login"])
def test_an_unknown_token_says_so_and_shows_a_way_on(
    client: TestClient, session: Session, path: str, token: str
) -> None:
    answers = [
        client.request(method, f"{path}?token={token}", headers=ENGLISH)
        for method in ("GET", "POST")
    ]

    assert [answer.status_code for answer in answers] == [400, 400]
    assert all("Send me a new link" in answer.text for answer in answers)
    assert count(session, SignInSession) == 0


def test_without_any_token_the_page_is_the_same(client: TestClient) -> None:
    assert client.get("/login/verify").status_code == 400
    assert client.post("/partner/login").status_code == 400


def test_several_links_are_open_at_once(client: TestClient, session: Session) -> None:
    ask(client, "ada@example.org")
    first = link_for(session, "ada@example.org")
    ask(client, "ada@example.org", "/partner/magic")
    second = link_for(session, "ada@example.org")

    assert use(client, first)[0] == 303
    assert use(client, second)[0] == 303
    assert count(session, User) == 1


def test_the_answer_never_tells_whether_an_address_is_known(
    client: TestClient, session: Session, now: datetime
) -> None:
    identity.ensure_user(session, email="known@example.org", now=now)
    session.flush()
    asked: list[list[str]] = []
    for email in ("known@example.org", "fresh@example.org"):
        statements: list[str] = []

        def note(*args: object, kept: list[str] = statements) -> None:
            kept.append(_SAVEPOINT.sub("", str(args[2])))

        event.listen(db.engine(), "before_cursor_execute", note)
        answer = client.post("/login", data={"email": email}, headers=ENGLISH)
        event.remove(db.engine(), "before_cursor_execute", note)
        page = CHANGING.sub("", answer.text).replace(email, "")
        asked.append([str(answer.status_code), page, *statements])

    assert asked[0] == asked[1]
    assert [
        len(mails_to(session, email)) for email in ("known@example.org", "fresh@example.org")
    ] == [1, 1]


def test_one_person_is_one_user_however_the_address_is_typed(
    client: TestClient, session: Session
) -> None:
    for typed in ("ada@example.org", "  ADA@Example.ORG  "):
        ask(client, typed)
        use(client, link_for(session, "ada@example.org"))

    assert session.scalars(select(User.email)).all() == ["ada@example.org"]


@pytest.mark.parametrize(
    "email",
    [
        "",
        "ada",
        "ada@example.org\r\nBcc: eve@example.org",
        "ada@example.org,eve@example.org",
        "ada@example.org\x00",
        pytest.param("a" * 100_000 + "@example.org", id="long"),
        "<script>@example.org",
    ],
)
@pytest.mark.parametrize("path", ["/login", "/partner/magic"])
def test_what_is_no_address_sends_nothing(
    client: TestClient, session: Session, path: str, email: str
) -> None:
    status, page = ask(client, email, path)

    assert (status, "not an e-mail address" in page) == (400, True)
    assert count(session, MagicLink) == count(session, Mail) == 0
    assert "<script>@" not in page


def test_a_form_without_an_address_or_of_another_shape_is_refused(
    client: TestClient, session: Session
) -> None:
    shapes = [
        {"data": {"other": "x"}},
        {"files": {"email": ("a.txt", b"x")}},
        {"json": {"email": "ada@example.org"}},
        {"content": b"\xff\xfe=%%%"},
    ]

    statuses = [client.post("/login", **shape).status_code for shape in shapes]  # type: ignore[arg-type]

    assert all(400 <= status < 500 for status in statuses), statuses
    assert count(session, MagicLink) == 0


def test_an_address_gets_five_links_in_a_while(client: TestClient, session: Session) -> None:
    for _ in range(identity.LINKS_PER_ADDRESS):
        assert ask(client, "ada@example.org")[0] == 200

    status, _ = ask(client, "ADA@example.org", "/partner/magic")

    assert status == 429
    assert count(session, MagicLink) == identity.LINKS_PER_ADDRESS
    assert ask(client, "eve@example.org")[0] == 200


def test_a_client_gets_so_many_links_whatever_it_claims(
    app: FastAPI, client: TestClient, session: Session
) -> None:
    for number in range(identity.LINKS_PER_CLIENT):
        ask(client, f"ada{number}@example.org")

    status, _ = ask(client, "one.more@example.org", **{"x-forwarded-for": "203.0.113.9"})

    assert status == 429
    assert count(session, MagicLink) == identity.LINKS_PER_CLIENT
    another = TestClient(app, client=("203.0.113.9", 1))
    assert ask(another, "one.more@example.org")[0] == 200


def test_links_of_the_command_line_count_in_no_limit(
    client: TestClient, session: Session, now: datetime
) -> None:
    for _ in range(3 * identity.LINKS_PER_ADDRESS):
        identity.make_link(session, email="ada@example.org", now=now, from_cli=True)

    assert ask(client, "ada@example.org")[0] == 200


def test_limits_keep_neither_addresses_nor_clients(client: TestClient, session: Session) -> None:
    ask(client, "ada@example.org")

    keys = session.connection().exec_driver_sql("SELECT key FROM kernel_rate_limit").scalars()

    assert not [key for key in keys if "ada" in key or "testclient" in key]
