"""Making, naming, handing over and deleting teams."""

import re
from datetime import datetime, timedelta
from uuid import UUID

from sqlalchemy import select
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.orm import Session

from flowlink.identity import owned_keys
from flowlink.identity.ids import UserId
from flowlink.kernel import audit, db, events
from flowlink.kernel.errors import Invalid, NotFound, Refused
from flowlink.teams import ids, queries
from flowlink.teams.ids import TeamId
from flowlink.teams.models import Member, Role, Team
from flowlink.teams.queries import UnknownTeam

GRACE = timedelta(days=14)
NAME_MAX = 80
TEAMS_MAX = 20
SLUG = re.compile(r"[a-z0-9][a-z0-9-]{1,38}[a-z0-9]")
# Words of our own addresses (`/teams/join`), and names that would pass for ours.
RESERVED = frozenset(
    {"new", "join", "admin", "api", "www", "mail", "login", "static", "support", "billing"}
    | {"flowlink", "servelink", "contentflow"}
)


class BadTeamSlug(Invalid):
    message = (
        "A short name has 3 to 40 letters from a to z, digits or hyphens; "
        "no hyphen at an end, or two in a row."
    )
    field = "slug"


class TeamSlugReserved(Invalid):
    message = "This short name is kept for us. Please choose another one."
    field = "slug"


class TeamSlugTaken(Refused):
    message = "This short name is taken. Please choose another one."
    field = "slug"


class BadTeamName(Invalid):
    message = "A team's name has 1 to 80 letters."
    field = "name"


class TooManyTeams(Refused):
    message = "You own %(count)s teams. Please write to us if you need more."


class UnknownMember(NotFound):
    message = "This person is not in the team."
    field = "member"


class WrongConfirmation(Invalid):
    message = "Please type the team's short name to confirm."
    field = "confirm"


def create(
    session: Session,
    *,
    owner_id: UserId,
    slug: str,
    name: str,
    actor: str,
    now: datetime,
    ip: str = "",
) -> Team:
    """A new team of this owner.

    :raises BadTeamSlug: :raises TeamSlugReserved: :raises BadTeamName: :raises TooManyTeams:
    :raises TeamSlugTaken: also by a team that is gone.
    """
    short = slug.strip().lower()
    if not SLUG.fullmatch(short) or "--" in short:
        raise BadTeamSlug
    if short in RESERVED:
        raise TeamSlugReserved
    db.advisory_lock(session, f"teams-of:{owner_id}")
    if len(_owned(session, owner_id)) >= TEAMS_MAX:
        raise TooManyTeams(count=TEAMS_MAX)
    values = {"slug": short, "name": _name(name), "created_at": now}
    made = insert(Team).values(values).on_conflict_do_nothing(index_elements=["slug"])
    team = session.scalars(made.returning(Team)).one_or_none()
    if team is None:
        raise TeamSlugTaken
    session.add(Member(team_id=team.id, user_id=owner_id, role=Role.OWNER, joined_at=now))
    session.flush()
    events.emit(session, "team.created", {"team_id": str(team.id)})
    audit.record(session, actor, "made team", ids.public(team.id), now, ip, slug=short)
    return team


def rename(session: Session, *, team_id: TeamId, name: str, actor: str, now: datetime) -> Team:
    """:raises BadTeamName:"""
    team = lock(session, team_id)
    team.name = _name(name)
    audit.record(session, actor, "renamed team", ids.public(team_id), now, name=team.name)
    return team


def hand_over(
    session: Session, *, team_id: TeamId, to: UserId, actor: str, now: datetime, ip: str = ""
) -> None:
    """Make another member the owner; the one before becomes an admin.

    :raises UnknownMember: not in the team.
    """
    lock(session, team_id)
    heir = session.get(Member, (team_id, to))
    if heir is None:
        raise UnknownMember
    before = session.get_one(Member, (team_id, queries.owner_of(session, team_id)))
    if before.user_id == heir.user_id:
        return
    before.role = Role.ADMIN
    session.flush()  # there is one owner at most, at every moment
    heir.role = Role.OWNER
    audit.record(session, actor, "handed team over", ids.public(team_id), now, ip, to=str(to))


def delete(
    session: Session, *, team_id: TeamId, confirm: str, actor: str, now: datetime, ip: str = ""
) -> Team:
    """Let the team end after a time in which it can be brought back. Again changes nothing.

    :raises WrongConfirmation: `confirm` is not its short name.
    """
    team = lock(session, team_id)
    if confirm.strip().lower() != team.slug:
        raise WrongConfirmation
    if team.closes_at is None:
        team.closes_at = now + GRACE
        events.emit(session, "team.deleted", {"team_id": str(team_id)})
        audit.record(session, actor, "deleted team", ids.public(team_id), now, ip)
    return team


def bring_back(
    session: Session, *, team_id: TeamId, actor: str, now: datetime, ip: str = ""
) -> Team:
    """Undo a deletion whose day has not come."""
    team = lock(session, team_id)
    if team.closes_at is not None:
        team.closes_at = None
        events.emit(session, "team.restored", {"team_id": str(team_id)})
        audit.record(session, actor, "brought team back", ids.public(team_id), now, ip)
    return team


def close_due(session: Session, *, now: datetime, limit: int = 100) -> int:
    """End the teams whose day has come. Their money's history stays, their short name too."""
    due = db.lock(session, Team, Team.closed_at.is_(None), Team.closes_at <= now)[:limit]
    for team in due:
        team.closed_at = now
        owned_keys.revoke_all(session, owner_kind="team", owner_id=team.id, now=now)
        events.emit(session, "team.closed", {"team_id": str(team.id)})
        audit.record(session, "job:teams_close", "closed team", ids.public(team.id), now)
    return len(due)


def lock(session: Session, team_id: UUID) -> Team:
    """The team, whose members and money nobody else changes until this transaction ends.

    :raises UnknownTeam: there is none, or it is gone for good.
    """
    team = lock_or_gone(session, team_id)
    if team.closed_at is not None:
        raise UnknownTeam
    return team


def lock_or_gone(session: Session, team_id: UUID) -> Team:
    """The same, also of a team that is gone for good: its money's history goes on.

    :raises UnknownTeam: there never was one.
    """
    found = db.lock(session, Team, Team.id == team_id)
    if not found:
        raise UnknownTeam
    return found[0]


def _name(name: str) -> str:
    plain = " ".join(name.split())
    if not 1 <= len(plain) <= NAME_MAX or not plain.isprintable():
        raise BadTeamName
    return plain


def _owned(session: Session, owner_id: UserId) -> list[UUID]:
    wanted = (
        select(Team.id)
        .join(Member, Member.team_id == Team.id)
        .where(Member.user_id == owner_id, Member.role == Role.OWNER, Team.closed_at.is_(None))
    )
    return list(session.scalars(wanted))
