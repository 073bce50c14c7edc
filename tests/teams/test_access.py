"""Every route of a team, for every role, in the own and in another team."""

import re
from collections.abc import Iterator

import pytest
from fastapi.dependencies.models import Dependant
from fastapi.routing import APIRoute
from fastapi.testclient import TestClient
from sqlalchemy.orm import Session

from flowlink.app import registry
from flowlink.teams import deps, queries
from flowlink.teams.deps import AtLeast
from flowlink.teams.models import Role
from tests.factories import make_operator, make_partner, make_person, sign_in
from tests.teams.makers import make_member, make_team, team_key

KEY = "key_" + "0" * 26
FORM = {
    "name": "Other",
    "email": "new@example.org",
    "role": "member",
    "member": "usr_" + "0" * 26,
    "confirm": "no",
    "quantity": "1",
}


def calls(dependant: Dependant) -> Iterator[object]:
    yield dependant.call
    for inner in dependant.dependencies:
        yield from calls(inner)


def team_routes() -> list[tuple[str, str, Role]]:
    """Method, path and the role it asks for."""
    found = []
    for router in registry.routers():
        for route in router.routes:
            if not isinstance(route, APIRoute) or "{team_slug}" not in route.path:
                continue
            asked = list(calls(route.dependant))
            assert deps.enter in asked, f"{route.path} lets everybody in"
            roles = [call.needed for call in asked if isinstance(call, AtLeast)]
            found += [
                (method, route.path, roles[0] if roles else Role.MEMBER)
                for method in sorted(route.methods or ())
            ]
    return found


ROUTES = team_routes()


def ask(client: TestClient, method: str, path: str, slug: str, **headers: str) -> int:
    filled = path.replace("{team_slug}", slug)
    for name, value in (("invitation_id", "inv"), ("user_id", "usr"), ("key_id", "key")):
        filled = filled.replace("{" + name + "}", f"{value}_" + "0" * 26)
    body = {"json": {}} if path.startswith("/api/") else {"data": FORM}
    sent = {} if method in {"GET", "DELETE"} else body
    answer = client.request(
        method,
        filled,
        headers={"accept": "text/html", **headers},
        follow_redirects=False,
        **sent,  # type: ignore[arg-type]
    )
    return answer.status_code


def test_there_are_routes_to_try() -> None:
    assert len(ROUTES) > 15


@pytest.mark.parametrize(("method", "path", "needed"), ROUTES)
@pytest.mark.parametrize("role", list(Role))
def test_a_role_opens_what_it_should_and_nothing_of_another_team(
    client: TestClient, session: Session, method: str, path: str, needed: Role, role: Role
) -> None:
    team, other = make_team(session), make_team(session, slug="other")
    owner = queries.members(session, team.id)[0]
    person = make_member(session, team, role) if role != Role.OWNER else None
    sign_in(client, person or make_person(session, email=owner.email))

    theirs = ask(client, method, path, other.slug)
    missing = ask(client, method, path, "no-such-team")
    mine = ask(client, method, path, team.slug)

    assert theirs == missing == 404
    if role.covers(needed):
        assert mine not in {401, 403, 405, 500}
    else:
        assert mine == 403


@pytest.mark.parametrize(("method", "path", "needed"), ROUTES)
def test_strangers_and_staff_find_nothing(
    client: TestClient, session: Session, method: str, path: str, needed: Role
) -> None:
    team = make_team(session)
    other = make_team(session, slug="other")

    assert ask(client, method, path, team.slug) == 401
    assert ask(client, method, path, team.slug, **team_key(session, other)) == 404
    for person in (make_operator(session), make_partner(session)):
        sign_in(client, person)
        assert ask(client, method, path, team.slug) == 404


def test_a_key_may_what_its_owner_may_unless_scoped(client: TestClient, session: Session) -> None:
    team = make_team(session)
    path = "/teams/{team_slug}/members"

    assert ask(client, "GET", path, "acme", **team_key(session, team)) == 200
    assert ask(client, "GET", path, "acme", **team_key(session, team, ["support:read"])) == 403
    reader = team_key(session, team, ["resources:read"])
    assert ask(client, "GET", path, "acme", **reader) == 200
    assert ask(client, "POST", "/teams/{team_slug}", "acme", **reader) == 403


@pytest.mark.parametrize("path", ["/delete", "/hand-over", "/invitations", "/keys", ""])
def test_a_scoped_key_changes_nothing_of_the_team_itself(
    client: TestClient, session: Session, path: str
) -> None:
    team = make_team(session)
    writer = team_key(session, team, ["resources:write"])

    assert ask(client, "POST", "/teams/{team_slug}" + path, "acme", **writer) == 403


def test_an_admin_makes_no_key_that_may_more_than_they(
    client: TestClient, session: Session
) -> None:
    team = make_team(session)
    sign_in(client, make_member(session, team, Role.ADMIN))

    shown = client.post("/teams/acme/keys", data={"name": "mine"}).text
    found = re.search(r"flk_[\w-]+", shown)
    assert found is not None
    client.cookies.clear()
    key = {"authorization": f"Bearer {found[0]}"}

    assert ask(client, "GET", "/api/resources/{team_slug}/limits", "acme", **key) == 200
    assert ask(client, "POST", "/teams/{team_slug}/delete", "acme", **key) == 403
    assert ask(client, "GET", "/teams/{team_slug}/danger", "acme", **key) == 403
