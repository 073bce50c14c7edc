"""Reads about teams."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from sqlalchemy import select
from sqlalchemy.orm import Session

from flowlink.identity.ids import UserId
from flowlink.identity.models import User
from flowlink.kernel import crypto
from flowlink.kernel.errors import NotFound
from flowlink.teams.ids import TeamId
from flowlink.teams.models import Invitation, Member, Role, Team


class UnknownTeam(NotFound):
    message = "There is no such team."


@dataclass(frozen=True, slots=True)
class MemberLine:
    """A member as the team sees them."""

    user_id: UserId
    email: str
    role: Role
    joined_at: datetime


def by_slug(session: Session, slug: str) -> Team:
    """:raises UnknownTeam: there is none, or it is gone for good."""
    team = session.scalar(select(Team).where(Team.slug == slug, Team.closed_at.is_(None)))
    if team is None:
        raise UnknownTeam
    return team


def get(session: Session, team_id: TeamId) -> Team:
    """:raises UnknownTeam:"""
    team = session.get(Team, team_id)
    if team is None:
        raise UnknownTeam
    return team


def role_of(session: Session, *, team_id: UUID, user_id: UserId) -> Role | None:
    """What somebody is in a team; None for who is not in it."""
    wanted = select(Member.role).where(Member.team_id == team_id, Member.user_id == user_id)
    found = session.scalar(wanted)
    return None if found is None else Role(found)


def of_user(session: Session, user_id: UserId) -> Sequence[tuple[Team, Role]]:
    """All teams somebody is in, by name."""
    wanted = (
        select(Team, Member.role)
        .join(Member, Member.team_id == Team.id)
        .where(Member.user_id == user_id, Team.closed_at.is_(None))
        .order_by(Team.name, Team.id)
    )
    return [(team, Role(role)) for team, role in session.execute(wanted)]


def members(session: Session, team_id: UUID) -> Sequence[MemberLine]:
    """Everybody in the team, the owner first, then by address."""
    wanted = (
        select(Member, User.email)
        .join(User, User.id == Member.user_id)
        .where(Member.team_id == team_id)
        .order_by(Member.role != Role.OWNER, User.email)
    )
    return [
        MemberLine(UserId(member.user_id), email, Role(member.role), member.joined_at)
        for member, email in session.execute(wanted)
    ]


def owner_of(session: Session, team_id: UUID) -> UserId:
    """The one who answers for the team."""
    wanted = select(Member.user_id).where(Member.team_id == team_id, Member.role == Role.OWNER)
    return UserId(session.scalars(wanted).one())


def invitations(session: Session, team_id: UUID) -> Sequence[Invitation]:
    """The open ones, also those too old, the newest first."""
    wanted = select(Invitation).where(
        Invitation.team_id == team_id,
        Invitation.accepted_at.is_(None),
        Invitation.revoked_at.is_(None),
    )
    return session.scalars(wanted.order_by(Invitation.id.desc())).all()


def invitation(session: Session, token: str) -> Invitation | None:
    """The invitation that a link carries."""
    wanted = select(Invitation).where(Invitation.token_digest == crypto.digest(token))
    return session.scalar(wanted)


def every(
    session: Session, *, search: str = "", before: UUID | None = None, limit: int = 50
) -> Sequence[tuple[Team, str]]:
    """Teams with their owner's address, the newest first."""
    wanted = (
        select(Team, User.email)
        .join(Member, (Member.team_id == Team.id) & (Member.role == Role.OWNER))
        .join(User, User.id == Member.user_id)
        .order_by(Team.id.desc())
        .limit(limit)
    )
    if search:
        like = f"%{search.lower()}%"
        wanted = wanted.where(Team.slug.like(like) | Team.name.ilike(like) | User.email.like(like))
    if before is not None:
        wanted = wanted.where(Team.id < before)
    return [(team, email) for team, email in session.execute(wanted)]
