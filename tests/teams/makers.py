"""Teams and their people, as tests need them."""

from sqlalchemy.orm import Session

from flowlink.identity import service as identity
from flowlink.kernel import clock
from flowlink.teams import service as teams
from flowlink.teams.models import Member, Role, Team
from tests.factories import Person, make_person


def make_team(session: Session, owner: Person | None = None, slug: str = "acme") -> Team:
    """A team of this owner, else of one made for it."""
    owner = owner or make_person(session, email=f"owner@{slug}.example")
    return teams.create(
        session, owner_id=owner.user_id, slug=slug, name="Acme", actor="test", now=clock.now()
    )


def make_member(session: Session, team: Team, role: Role, email: str = "") -> Person:
    """Somebody new in the team."""
    person = make_person(session, email=email or f"{role}@{team.slug}.example")
    session.add(Member(team_id=team.id, user_id=person.user_id, role=role, joined_at=clock.now()))
    session.flush()
    return person


def team_key(session: Session, team: Team, scopes: list[str] | None = None) -> dict[str, str]:
    """The header of a program that acts for the team."""
    token = identity.make_api_key(
        session,
        owner_kind="team",
        owner_id=team.id,
        scopes=scopes,
        actor="test",
        now=clock.now(),
    )
    return {"authorization": f"Bearer {token}"}
