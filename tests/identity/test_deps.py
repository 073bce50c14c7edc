"""What routes can require: an operator by session, key or secret; a key's owner and scopes."""

from collections.abc import Iterator
from datetime import datetime, timedelta
from uuid import UUID

import pytest
from fastapi import Depends, FastAPI
from fastapi.testclient import TestClient
from sqlalchemy import select
from sqlalchemy.orm import Session

from flowlink.identity import deps, service as identity
from flowlink.identity.deps import Agent, ApiKey, ClientIp, CurrentUser, MaybeUser, Operator
from flowlink.identity.ids import UserId
from flowlink.identity.models import ApiKey as KeyRow, Role
from flowlink.identity.scopes import OwnerKind
from flowlink.kernel import settings
from flowlink.kernel.errors import Invalid
from flowlink.web import errors, middleware
from flowlink.web.sessions import Db

SECRET = "an-admin-secret-for-tests-only"
PARTNER = UUID(int=42)


def _probes() -> FastAPI:
    """One route for each thing that a route can require."""
    app = FastAPI(dependencies=[Depends(deps.load_viewer)])
    errors.install(app)
    middleware.install(app)

    @app.api_route("/api/operator", methods=["GET", "POST"])
    def operator(session: Db, actor: Operator) -> dict[str, str]:
        return {"label": actor.label, "ip": actor.ip}

    @app.api_route("/api/agent", methods=["GET", "POST"])
    def agent(session: Db, actor: Agent) -> dict[str, str]:
        return {"label": actor.label, "ip": actor.ip}

    @app.get("/api/user")
    def user(user_id: CurrentUser) -> str:
        return str(user_id)

    @app.get("/api/maybe")
    def maybe(user_id: MaybeUser) -> str:
        return str(user_id)

    @app.get("/api/key")
    def key(held: ApiKey) -> dict[str, str]:
        return {"owner": f"{held.owner_kind} {held.owner_id}" if held else "nobody"}

    @app.get("/api/ip")
    def ip(found: ClientIp) -> str:
        return found

    return app


PROBES = _probes()


@pytest.fixture
def probe(session: Session) -> Iterator[TestClient]:
    client = TestClient(PROBES)
    client.event_hooks = {
        "request": [lambda _: session.flush()],
        "response": [lambda _: session.expire_all()],
    }
    with client:
        yield client


def sign_in(
    client: TestClient, session: Session, *, role: Role | None = None, now: datetime
) -> UserId:
    user_id = UserId(identity.ensure_user(session, email="ada@example.org", now=now).id)
    identity.set_staff(session, user_id=user_id, role=role, actor="cli", now=now)
    token = identity.make_link(session, email="ada@example.org", now=now)
    session.flush()
    signed_in = identity.consume_link(session, token=token, now=now)
    client.cookies.set(deps.cookie_name(), signed_in.session_token)
    return user_id


def make_key(
    session: Session,
    *,
    now: datetime,
    owner_kind: OwnerKind = "operator",
    owner_id: UUID | None = None,
    scopes: list[str] | None = None,
) -> dict[str, str]:
    key = identity.make_api_key(
        session, owner_kind=owner_kind, owner_id=owner_id, scopes=scopes, actor="cli", now=now
    )
    return {"authorization": f"Bearer {key}"}


@pytest.mark.parametrize(
    ("role", "operator", "agent"),
    [(None, 403, 403), (Role.AGENT, 403, 200), (Role.OPERATOR, 200, 200)],
)
def test_staff_get_in_by_their_role(
    probe: TestClient,
    session: Session,
    now: datetime,
    role: Role | None,
    operator: int,
    agent: int,
) -> None:
    sign_in(probe, session, role=role, now=now)

    found = [probe.get(path).status_code for path in ("/api/operator", "/api/agent", "/api/user")]

    assert found == [operator, agent, 200]


@pytest.mark.parametrize("path", ["/api/operator", "/api/agent", "/api/user"])
def test_strangers_are_asked_to_sign_in(probe: TestClient, path: str) -> None:
    assert probe.get(path).status_code == 401


def test_who_loses_the_role_loses_the_right_at_once(
    probe: TestClient, session: Session, now: datetime
) -> None:
    user_id = sign_in(probe, session, role=Role.OPERATOR, now=now)
    key = make_key(session, owner_id=user_id, now=now)
    assert probe.get("/api/operator").status_code == 200
    assert probe.get("/api/operator", headers=key).status_code == 200

    identity.set_staff(session, user_id=user_id, role=None, actor="cli", now=now)

    assert probe.get("/api/operator").status_code == 403
    assert probe.get("/api/operator", headers=key).status_code == 401


@pytest.mark.parametrize("path", ["/api/operator", "/api/agent"])
def test_the_admin_secret_acts_as_operator(probe: TestClient, path: str) -> None:
    answer = probe.post(path, headers={"x-admin-secret": SECRET})

    assert (answer.status_code, answer.json()["label"]) == (200, "secret")


@pytest.mark.parametrize("secret", ["", "x", SECRET + "x", SECRET[:-1], SECRET.upper(), "é" * 30])
def test_a_wrong_admin_secret_is_nobody_even_beside_a_good_session(
    probe: TestClient, session: Session, now: datetime, secret: str
) -> None:
    sign_in(probe, session, role=Role.OPERATOR, now=now)

    answer = probe.get("/api/operator", headers={b"x-admin-secret": secret.encode("latin-1")})

    assert answer.status_code == 401


def test_an_unset_admin_secret_matches_nothing(probe: TestClient, session: Session) -> None:
    before = settings.current()
    settings.use(before.model_copy(update={"admin_secret": ""}))

    answer = probe.get("/api/operator", headers={"x-admin-secret": ""})

    settings.use(before)
    assert answer.status_code == 401


def test_guessing_the_admin_secret_is_stopped(probe: TestClient, session: Session) -> None:
    wrong = {"x-admin-secret": "guess"}
    for _ in range(deps.WRONG_SECRETS):
        assert probe.get("/api/operator", headers=wrong).status_code == 401

    assert probe.get("/api/operator", headers=wrong).status_code == 429
    assert probe.get("/api/operator", headers={"x-admin-secret": SECRET}).status_code == 200


@pytest.mark.parametrize(
    ("scopes", "read", "write"),
    [(None, 200, 200), (["admin:read"], 200, 403), (["admin:write"], 200, 200)],
)
def test_an_operator_s_key_does_what_its_scopes_say(
    probe: TestClient,
    session: Session,
    now: datetime,
    scopes: list[str] | None,
    read: int,
    write: int,
) -> None:
    key = make_key(session, scopes=scopes, now=now)

    found = probe.get("/api/operator", headers=key), probe.post("/api/operator", headers=key)

    assert [answer.status_code for answer in found] == [read, write]
    assert found[0].json()["label"].startswith("key:key_")


def test_another_owner_s_key_is_no_operator(
    probe: TestClient, session: Session, now: datetime
) -> None:
    key = make_key(session, owner_kind="partner", owner_id=PARTNER, now=now)

    assert probe.get("/api/operator", headers=key).status_code == 403
    assert probe.get("/api/key", headers=key).json() == {"owner": f"partner {PARTNER}"}


@pytest.mark.parametrize(
    "value",
    [
        "Bearer",
        "Bearer ",
        "Bearer flk_unknown",
        "bearer \x01",
        pytest.param("BEARER " + "a" * 5000, id="long"),
    ],
)
def test_a_bad_key_is_nobody_even_beside_a_good_session(
    probe: TestClient, session: Session, now: datetime, value: str
) -> None:
    sign_in(probe, session, role=Role.OPERATOR, now=now)
    headers = {"authorization": value}

    found = [
        probe.get(path, headers=headers) for path in ("/api/operator", "/api/key", "/api/user")
    ]

    assert [answer.status_code for answer in found] == [401, 401, 401]


def test_a_key_keeps_the_cookie_beside_it_out(
    probe: TestClient, session: Session, now: datetime
) -> None:
    sign_in(probe, session, role=Role.OPERATOR, now=now)
    key = make_key(session, owner_kind="partner", owner_id=PARTNER, now=now)

    assert probe.get("/api/operator", headers=key).status_code == 403
    assert probe.get("/api/maybe", headers=key).json() == "None"


def test_another_scheme_is_the_proxy_s_business(
    probe: TestClient, session: Session, now: datetime
) -> None:
    sign_in(probe, session, now=now)

    assert probe.get("/api/user", headers={"authorization": "Basic eDp5"}).status_code == 200


def test_a_revoked_key_is_out_at_once(probe: TestClient, session: Session, now: datetime) -> None:
    key = make_key(session, now=now)
    assert probe.get("/api/operator", headers=key).status_code == 200

    session.scalars(select(KeyRow)).one().revoked_at = now

    assert probe.get("/api/operator", headers=key).status_code == 401


def test_a_key_s_use_is_noted_once_a_minute(
    probe: TestClient, session: Session, now: datetime
) -> None:
    key = make_key(session, now=now)
    session.flush()
    row = session.scalars(select(KeyRow)).one()
    noted = []
    for before in (None, now - timedelta(seconds=50), now - timedelta(seconds=70)):
        row.last_used_at = before
        probe.get("/api/operator", headers=key)
        noted.append(row.last_used_at)

    assert noted[1] == now - timedelta(seconds=50)
    assert all(at is not None and at >= now for at in (noted[0], noted[2]))


def test_scopes_are_those_of_the_owner_s_kind(session: Session, now: datetime) -> None:
    for scopes in (["links:read"], ["admin:read", "x"], []):
        with pytest.raises(Invalid):
            make_key(session, scopes=scopes, now=now)

    assert session.scalars(select(KeyRow)).all() == []


def test_the_client_s_address_comes_from_trusted_proxies_alone(probe: TestClient) -> None:
    claim = {"x-forwarded-for": "6.6.6.6, 203.0.113.9"}
    at_proxy = TestClient(PROBES, client=("127.0.0.1", 1))
    at_large = TestClient(PROBES, client=("198.51.100.7", 1))

    assert at_proxy.get("/api/ip", headers=claim).json() == "203.0.113.9"
    assert at_large.get("/api/ip", headers=claim).json() == "198.51.100.7"
