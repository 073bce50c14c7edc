"""What a sign-in opens: a session, its cookie, the page one lands on, the reader's language."""

import re
from collections.abc import Iterator
from datetime import datetime

import pytest
from fastapi.testclient import TestClient
from sqlalchemy import select
from sqlalchemy.orm import Session

from flowlink.identity import service as identity
from flowlink.identity.ids import UserId
from flowlink.identity.models import MagicLink, Role, User
from flowlink.kernel import settings
from tests.conftest import test_settings
from tests.identity.acts import ask, count, is_signed_in, use
from tests.identity.mailbox import link_for, mails_to

_SAVEPOINT = re.compile(r"sa_savepoint_\d+")


@pytest.fixture
def https() -> Iterator[None]:
    before = settings.current()
    settings.use(test_settings(base_url="https://testserver"))
    yield
    settings.use(before)


def test_tokens_are_stored_as_digests(client: TestClient, session: Session) -> None:
    ask(client, "ada@example.org")
    link = link_for(session, "ada@example.org")
    use(client, link)
    token, cookie = link.partition("token=")[2], client.cookies["flowlink"]

    stored = session.connection().exec_driver_sql(
        "SELECT string_agg(t::text, '') FROM (SELECT l::text AS t FROM identity_magic_link l"
        " UNION ALL SELECT s::text FROM identity_session s"
        " UNION ALL SELECT m::text FROM notify_mail m"
        " UNION ALL SELECT e::text FROM kernel_event e) x"
    )

    everything = stored.scalar_one()
    assert token not in everything
    assert cookie not in everything
    assert len(token) >= 43
    assert len(cookie) >= 43


def test_the_cookie_is_kept_from_scripts_and_other_sites(
    client: TestClient, session: Session
) -> None:
    ask(client, "ada@example.org")

    answer = client.post(link_for(session, "ada@example.org"), follow_redirects=False)

    cookie = answer.headers["set-cookie"]
    assert cookie.startswith("flowlink=")
    assert {"HttpOnly", "Path=/", "SameSite=lax"} <= set(cookie.split("; "))
    assert "Secure" not in cookie
    assert "Domain" not in cookie


def test_on_https_the_cookie_stays_on_https_and_this_host(
    client: TestClient, session: Session, https: None
) -> None:
    client.base_url = "https://testserver"
    ask(client, "ada@example.org")

    answer = client.post(link_for(session, "ada@example.org"), follow_redirects=False)

    cookie = answer.headers["set-cookie"]
    assert cookie.startswith("__Host-flowlink=")
    assert {"HttpOnly", "Path=/", "SameSite=lax", "Secure"} <= set(cookie.split("; "))
    assert "Domain" not in cookie
    assert is_signed_in(client)


@pytest.mark.parametrize(
    ("hat", "area", "place"),
    [
        (None, "user", "/account"),
        (Role.OPERATOR, "user", "/admin/monitoring"),
        (Role.AGENT, "user", "/account"),
        (None, "partner", "/partner/portal"),
        (Role.OPERATOR, "partner", "/partner/portal"),
    ],
)
def test_one_lands_where_one_s_work_is(
    client: TestClient,
    session: Session,
    now: datetime,
    hat: Role | None,
    area: identity.Area,
    place: str,
) -> None:
    user = identity.ensure_user(session, email="ada@example.org", now=now)
    identity.set_staff(session, user_id=UserId(user.id), role=hat, actor="cli", now=now)
    token = identity.make_link(session, email="ada@example.org", area=area, now=now)
    url = identity.link_url(token, area=area)

    assert use(client, url) == (303, place)


@pytest.mark.parametrize(
    ("asked_for", "place"),
    [
        ("/partners/earnings?days=7", "/partners/earnings?days=7"),
        ("https://evil.example", "/account"),
        ("//evil.example", "/account"),
        ("/\\evil.example", "/account"),
        ("javascript:alert(1)", "/account"),
        ("/a\r\nSet-Cookie: x=y", "/account"),
        pytest.param("/" + "a" * 10_000, "/account", id="long"),
    ],
)
def test_one_comes_back_to_where_one_was_but_never_leaves_the_house(
    client: TestClient, session: Session, asked_for: str, place: str
) -> None:
    client.post("/login", data={"email": "ada@example.org", "next": asked_for})

    assert use(client, link_for(session, "ada@example.org")) == (303, place)


def test_the_link_is_printed_where_no_mail_leaves(
    client: TestClient, session: Session, capsys: pytest.CaptureFixture[str]
) -> None:
    _, page = ask(client, "ada@example.org")

    printed = capsys.readouterr()
    assert "/login/verify?token=" in printed.out + printed.err
    assert "No mail leaves this installation yet" in page


@pytest.mark.parametrize(
    "changes", [{"flowlink_env": "production"}, {"smtp_url": "smtp://localhost:1"}]
)
def test_a_link_is_printed_nowhere_else(
    client: TestClient, capsys: pytest.CaptureFixture[str], changes: dict[str, str]
) -> None:
    before = settings.current()
    settings.use(before.model_copy(update=changes))

    status, page = ask(client, "ada@example.org")

    settings.use(before)
    printed = capsys.readouterr()
    assert (status, "token=" in printed.out + printed.err) == (200, False)
    assert "No mail leaves" not in page


@pytest.mark.parametrize(
    ("language", "title"), [("fr", "Regardez votre messagerie"), ("en", "Look into your mailbox")]
)
def test_page_and_mail_speak_the_reader_s_language(
    client: TestClient, session: Session, language: str, title: str
) -> None:
    headers = {"accept-language": language}

    page = client.post("/login", data={"email": "ada@example.org"}, headers=headers).text
    client.post(link_for(session, "ada@example.org"), headers=headers)

    assert title in page
    assert session.scalars(select(User.lang)).one() == language
    assert ("Bonjour" in mails_to(session, "ada@example.org")[0]) == (language == "fr")


def test_a_new_sign_in_ends_the_session_it_replaces(client: TestClient, session: Session) -> None:
    ask(client, "ada@example.org")
    use(client, link_for(session, "ada@example.org"))
    before = client.cookies["flowlink"]
    ask(client, "eve@example.org")
    use(client, link_for(session, "eve@example.org"))
    assert client.cookies["flowlink"] != before

    client.cookies.clear()
    client.cookies.set("flowlink", before)

    assert not is_signed_in(client)


def test_who_is_signed_in_needs_no_form(client: TestClient, session: Session) -> None:
    ask(client, "ada@example.org")
    use(client, link_for(session, "ada@example.org"))

    answer = client.get("/login", follow_redirects=False)

    assert (answer.status_code, answer.headers["location"]) == (303, "/account")


@pytest.mark.parametrize("path", ["/login", "/login/verify?token=x", "/partner/login?token=x"])
def test_another_site_cannot_post(client: TestClient, session: Session, path: str) -> None:
    headers = [{"sec-fetch-site": "cross-site"}, {"origin": "https://evil.example"}]

    answers = [client.post(path, data={"email": "a@b.org"}, headers=one) for one in headers]

    assert [answer.status_code for answer in answers] == [403, 403]
    assert count(session, MagicLink) == 0
