"""Making a team, inviting, changing roles, handing over, deleting and bringing back."""

import re
from datetime import timedelta
from threading import Barrier, Thread

import pytest
from fastapi.testclient import TestClient
from sqlalchemy import text
from sqlalchemy.exc import DatabaseError, IntegrityError
from sqlalchemy.orm import Session

from flowlink.app import registry
from flowlink.kernel import clock, db, ids, jobs
from flowlink.teams import members, queries, service as teams
from flowlink.teams.ids import InvitationId, TeamId
from flowlink.teams.models import Role, Team
from tests.factories import Person, make_person, sign_in
from tests.identity.mailbox import mails_to
from tests.teams.makers import make_member, make_team, team_key

HTML = {"accept": "text/html", "accept-language": "en"}


def roles(session: Session, team: Team) -> dict[str, str]:
    return {line.email: str(line.role) for line in queries.members(session, team.id)}


def user(person: Person) -> str:
    return ids.public("usr", person.user_id)


def invite(session: Session, team: Team, email: str, role: Role = Role.MEMBER) -> str:
    """Invite and return the token as it stands in the mail."""
    members.invite(
        session, team=team, email=email, role=role, actor="test", lang="en", now=clock.now()
    )
    session.flush()
    found = re.search(r"token=([\w-]+)", mails_to(session, email.lower())[0])
    assert found
    return found.group(1)


def test_whoever_makes_a_team_owns_it(client: TestClient, session: Session) -> None:
    ada = sign_in(client, make_person(session))

    made = client.post("/teams", data={"name": " Acme  Ltd ", "slug": "ACME"}, headers=HTML)

    assert "Acme Ltd" in made.text
    team = queries.by_slug(session, "acme")
    assert roles(session, team) == {ada.email: "owner"}
    assert "Acme Ltd" in client.get("/teams", headers=HTML).text


@pytest.mark.parametrize(
    ("name", "slug", "status"),
    [
        ("Acme", "ab", 400),
        ("Acme", "-abc", 400),
        ("Acme", "a--b", 400),
        ("Acme", "a" * 41, 400),
        ("Acme", "api", 400),
        ("Acme", "é-team", 400),
        ("", "acme", 400),
        ("x" * 81, "acme", 400),
        ("Acme", "taken", 400),
    ],
)
def test_a_bad_name_makes_nothing(
    client: TestClient, session: Session, name: str, slug: str, status: int
) -> None:
    make_team(session, slug="taken")
    ada = sign_in(client, make_person(session))

    answer = client.post("/teams", data={"name": name, "slug": slug}, headers=HTML)

    assert answer.status_code == status
    assert queries.of_user(session, ada.user_id) == []


@pytest.mark.parametrize("slug", ["join", "new", "admin"])
def test_a_word_of_our_own_addresses_is_no_team(
    client: TestClient, session: Session, slug: str
) -> None:
    sign_in(client, make_person(session))

    page = client.post("/teams", data={"name": "Acme", "slug": slug}, headers=HTML)

    assert page.status_code == 400
    assert "is kept for us" in page.text


def test_one_person_owns_so_many_teams_and_no_more(session: Session) -> None:
    ada = make_person(session)
    for number in range(teams.TEAMS_MAX):
        make_team(session, ada, slug=f"team-{number}")

    with pytest.raises(teams.TooManyTeams):
        make_team(session, ada, slug="one-more")


def test_two_with_one_short_name_at_once_make_one_team(database: str) -> None:
    with db.write() as session:
        people = [make_person(session) for _ in range(6)]
    start, refused = Barrier(6), []

    def work(person: Person) -> None:
        start.wait()
        try:
            with db.write() as session:
                make_team(session, person, slug="acme")
        except teams.TeamSlugTaken as error:
            refused.append(error)

    threads = [Thread(target=work, args=(person,)) for person in people]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert len(refused) == 5


def test_an_invitation_lets_its_address_in_once(client: TestClient, session: Session) -> None:
    team = make_team(session)
    token = invite(session, team, "Bo@Example.org", Role.ADMIN)
    bo = make_person(session, email="bo@example.org")

    stranger = client.get(f"/teams/join?token={token}", headers=HTML)
    sign_in(client, make_person(session, email="eve@example.org"))
    eve = client.post("/teams/join", data={"token": token}, headers=HTML)
    sign_in(client, bo)
    shown = client.get(f"/teams/join?token={token}", headers=HTML)
    joined = client.post("/teams/join", data={"token": token}, headers=HTML)
    again = client.post("/teams/join", data={"token": token}, headers=HTML)

    assert "Sign in with the address" in stranger.text
    assert eve.status_code == 403
    assert "Join" in shown.text
    assert joined.status_code == again.status_code == 200
    assert roles(session, team)["bo@example.org"] == "admin"
    assert len(roles(session, team)) == 2


def test_an_invitation_ends(client: TestClient, session: Session) -> None:
    team = make_team(session)
    bo = make_person(session, email="bo@example.org")
    first = invite(session, team, bo.email)
    second = invite(session, team, bo.email)
    later = clock.now() + timedelta(days=31)

    def accept(token: str, at: timedelta = timedelta()) -> None:
        members.accept(session, token=token, user_id=bo.user_id, actor="test", now=clock.now() + at)

    for token in (first, "nonsense"):
        with pytest.raises(members.InvitationUnknown):
            accept(token)
    with pytest.raises(members.InvitationOver):
        accept(second, timedelta(days=31))
    [open_] = queries.invitations(session, team.id)
    assert open_.expires_at <= later
    members.take_back(
        session,
        team_id=TeamId(team.id),
        invitation_id=InvitationId(open_.id),
        actor="test",
        now=clock.now(),
    )
    with pytest.raises(members.InvitationUnknown):
        accept(second)
    assert len(roles(session, team)) == 1


def test_whoever_is_in_is_not_invited(session: Session) -> None:
    team = make_team(session)

    with pytest.raises(members.AlreadyMember):
        invite(session, team, "owner@acme.example")


def test_an_admin_leads_members_and_nobody_above(client: TestClient, session: Session) -> None:
    team = make_team(session)
    bo = make_member(session, team, Role.ADMIN)
    cy = make_member(session, team, Role.MEMBER)
    owner = next(line for line in queries.members(session, team.id))
    sign_in(client, bo)

    raised = client.post(f"/teams/acme/members/{user(cy)}/role", data={"role": "admin"})
    above = client.post(
        f"/teams/acme/members/{ids.public('usr', owner.user_id)}/role",
        data={"role": "member"},
        headers=HTML,
    )
    own = client.post(f"/teams/acme/members/{user(bo)}/role", data={"role": "member"}, headers=HTML)
    grab = client.post(f"/teams/acme/members/{user(bo)}/role", data={"role": "owner"}, headers=HTML)
    away = client.post(f"/teams/acme/members/{user(cy)}/remove")

    assert raised.status_code == away.status_code == 200
    assert above.status_code == own.status_code == grab.status_code == 400
    assert roles(session, team) == {owner.email: "owner", bo.email: "admin"}


def test_a_member_leaves_and_the_owner_stays(client: TestClient, session: Session) -> None:
    ada = make_person(session)
    team = make_team(session, ada)
    bo = sign_in(client, make_member(session, team, Role.MEMBER))

    left = client.post("/teams/acme/leave", headers=HTML)
    gone = client.get("/teams/acme", headers=HTML)
    sign_in(client, ada)
    stays = client.post("/teams/acme/leave", headers=HTML)

    assert left.status_code == 200
    assert gone.status_code == 404
    assert stays.status_code == 400
    assert bo.email not in roles(session, team)


def test_the_team_is_handed_over_whole(client: TestClient, session: Session) -> None:
    ada = make_person(session)
    team = make_team(session, ada)
    bo = make_member(session, team, Role.MEMBER)
    stranger = make_person(session)
    sign_in(client, ada)

    wrong = client.post("/teams/acme/hand-over", data={"member": user(stranger)}, headers=HTML)
    done = client.post("/teams/acme/hand-over", data={"member": user(bo)}, headers=HTML)
    again = client.post("/teams/acme/hand-over", data={"member": user(ada)}, headers=HTML)

    assert (wrong.status_code, done.status_code, again.status_code) == (404, 200, 403)
    assert roles(session, team) == {bo.email: "owner", ada.email: "admin"}


def test_a_deleted_team_comes_back_until_its_day(client: TestClient, session: Session) -> None:
    ada = sign_in(client, make_person(session))
    team = make_team(session, ada)
    key = team_key(session, team)
    now = clock.now()

    wrong = client.post("/teams/acme/delete", data={"confirm": "acm"}, headers=HTML)
    done = client.post("/teams/acme/delete", data={"confirm": "Acme "}, headers=HTML)
    assert wrong.status_code == 400
    assert "This team was deleted" in done.text
    assert teams.close_due(session, now=now + timedelta(days=13)) == 0
    back = client.post("/teams/acme/restore", headers=HTML)
    assert "This team was deleted" not in back.text
    assert teams.close_due(session, now=now + timedelta(days=30)) == 0

    client.post("/teams/acme/delete", data={"confirm": "acme"})
    assert teams.close_due(session, now=now + timedelta(days=15)) == 1
    assert client.get("/teams/acme", headers=HTML).status_code == 404
    client.cookies.clear()
    assert client.get("/teams/acme", headers=key).status_code == 401
    with pytest.raises(teams.TeamSlugTaken):
        make_team(session, slug="acme")


def test_the_job_closes_what_is_due(database: str) -> None:
    registry.load()
    assert jobs.JOBS["teams_close"].run(clock.now()) == "0 teams closed"


@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE teams_member SET role = 'admin'",
        "DELETE FROM teams_member WHERE role = 'owner'",
        "INSERT INTO teams_team (slug, name, created_at) VALUES ('bare', 'Bare', now())",
    ],
)
def test_a_team_without_an_owner_cannot_be(session: Session, statement: str) -> None:
    make_team(session)

    session.execute(text(statement))

    with pytest.raises(DatabaseError, match="has no owner"):
        session.execute(text("SET CONSTRAINTS ALL IMMEDIATE"))


def test_a_second_owner_cannot_be(session: Session) -> None:
    team = make_team(session)

    with pytest.raises(IntegrityError):
        make_member(session, team, Role.OWNER)


def test_a_made_key_is_shown_once_and_revoked(client: TestClient, session: Session) -> None:
    sign_in(client, make_person(session, email="ada@example.org"))
    ada = make_person(session, email="ada@example.org")
    make_team(session, ada)

    made = client.post(
        "/teams/acme/keys", data={"name": "CI", "scopes": ["resources:read"]}, headers=HTML
    )
    found = re.search(r"flk_[\w-]{20,}", made.text)
    assert found
    listed = client.get("/teams/acme/keys", headers=HTML)
    assert ",CI,flk_" in client.get("/teams/acme/keys.csv").text
    assert "acme,Acme,owner," in client.get("/teams.csv").text
    client.post("/teams/acme/invitations", data={"email": "bob@example.org", "role": "admin"})
    assert "bob@example.org,admin," in client.get("/teams/acme/invitations.csv").text
    bearer = {"authorization": f"Bearer {found.group()}"}
    before = client.get("/teams/acme/members", headers=bearer)
    key_id = re.search(r"key_[0-9a-z]{26}", listed.text)
    assert key_id
    client.post(f"/teams/acme/keys/{key_id.group()}/revoke")
    after = client.get("/teams/acme/members", headers=bearer)

    assert "CI" in listed.text
    assert found.group() not in listed.text
    assert (before.status_code, after.status_code) == (200, 401)


def test_long_lists_page(client: TestClient, session: Session) -> None:
    ada = sign_in(client, make_person(session, email="ada@example.org"))
    team = make_team(session, ada)
    for number in range(51):
        make_member(session, team, Role.MEMBER, email=f"m{number:02}@example.org")
        team_key(session, team)

    for path, word in (("members", "Make an admin:"), ("keys", "/revoke")):
        first = client.get(f"/teams/acme/{path}", headers=HTML).text
        found = re.search(rf"/teams/acme/{path}\?cursor=[^\"]+", first)
        assert found is not None
        second = client.get(found.group(0), headers=HTML).text
        assert first.count(word) + second.count(word) == 51
        assert second.count(word) in {1, 2}
    assert client.get("/teams/acme/members?cursor=x", headers=HTML).status_code == 400


@pytest.mark.parametrize("role", ["owner", "boss"])
def test_no_form_makes_anybody_something_else(
    client: TestClient, session: Session, role: str
) -> None:
    ada = sign_in(client, make_person(session, email="ada@example.org"))
    team = make_team(session, ada)
    bo = make_member(session, team, Role.ADMIN)
    person = ids.public("usr", bo.user_id)

    invited = client.post(
        "/teams/acme/invitations", data={"email": "c@example.org", "role": role}, headers=HTML
    )
    changed = client.post(f"/teams/acme/members/{person}/role", data={"role": role}, headers=HTML)

    assert [invited.status_code, changed.status_code] == [400, 400]
    assert queries.invitations(session, team.id) == []
    assert queries.role_of(session, team_id=team.id, user_id=bo.user_id) == Role.ADMIN
