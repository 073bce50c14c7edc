"""Who is in a team: invitations, roles, leaving."""

from datetime import datetime, timedelta

from sqlalchemy import select
from sqlalchemy.orm import Session

from flowlink.identity import addresses, queries as identity
from flowlink.identity.ids import UserId
from flowlink.identity.models import User
from flowlink.kernel import audit, crypto, db, settings
from flowlink.kernel.errors import Forbidden, NotFound, Refused
from flowlink.notify import service as notify
from flowlink.teams import ids, queries, service
from flowlink.teams.ids import InvitationId, TeamId
from flowlink.teams.models import Invitation, Member, Role, Team
from flowlink.teams.service import UnknownMember

LIFE = timedelta(days=30)
OPEN_MAX = 50


class AlreadyMember(Refused):
    message = "This person is in the team already."
    field = "email"


class TooManyInvitations(Refused):
    message = "%(count)s invitations are open. Please take one back first."


class InvitationUnknown(NotFound):
    message = "This invitation is not complete, was taken back, or was never ours."


class InvitationOver(Refused):
    message = "This invitation is too old. Please ask for a new one."


class InvitationForAnother(Forbidden):
    message = "This invitation is for another address. Please sign in with that one."


class OwnerStays(Refused):
    message = "The owner cannot leave. Hand the team over first."


class OwnRole(Refused):
    message = "You cannot change your own role."


def invite(
    session: Session,
    *,
    team: Team,
    email: str,
    role: Role,
    actor: str,
    lang: str,
    now: datetime,
) -> Invitation:
    """Invite an address for 30 days, by mail. Inviting again replaces the invitation before.

    :raises addresses.BadEmail: :raises AlreadyMember: :raises TooManyInvitations:
    """
    assert role != Role.OWNER, "a team is handed over, not invited into"
    team_id = TeamId(team.id)
    service.lock(session, team_id)
    address = addresses.normalize(email)
    if _is_member(session, team_id, address):
        raise AlreadyMember
    open_ = queries.invitations(session, team_id)
    for before in open_:
        if before.email == address:
            before.revoked_at = now
    if len(open_) >= OPEN_MAX:
        raise TooManyInvitations(count=OPEN_MAX)
    session.flush()
    token = crypto.token()
    made = Invitation(
        team_id=team_id,
        email=address,
        role=role,
        token_digest=crypto.digest(token),
        invited_by=actor,
        created_at=now,
        expires_at=now + LIFE,
    )
    session.add(made)
    session.flush()
    _write(session, made, team=team, token=token, lang=lang, now=now)
    audit.record(session, actor, "invited to team", ids.public(team_id), now, role=role)
    return made


def take_back(
    session: Session, *, team_id: TeamId, invitation_id: InvitationId, actor: str, now: datetime
) -> None:
    """:raises InvitationUnknown: not an open invitation of this team."""
    service.lock(session, team_id)
    found = session.get(Invitation, invitation_id)
    if found is None or found.team_id != team_id or found.accepted_at is not None:
        raise InvitationUnknown
    found.revoked_at = found.revoked_at or now
    audit.record(session, actor, "took invitation back", ids.public(team_id), now)


def accept(session: Session, *, token: str, user_id: UserId, actor: str, now: datetime) -> Team:
    """Join by an invitation to one's own address. Again, by a member, changes nothing.

    :raises InvitationUnknown: :raises InvitationOver: :raises InvitationForAnother:
    """
    found = queries.invitation(session, token)
    if found is None or found.revoked_at is not None:
        raise InvitationUnknown
    team = service.lock(session, found.team_id)
    session.refresh(found)
    if found.email != identity.email_of(session, user_id):
        raise InvitationForAnother
    member = queries.role_of(session, team_id=team.id, user_id=user_id)
    if member is not None:
        return team
    if found.revoked_at is not None or found.accepted_at is not None:
        raise InvitationUnknown
    if found.expires_at <= now:
        raise InvitationOver
    found.accepted_at = now
    session.add(Member(team_id=team.id, user_id=user_id, role=found.role, joined_at=now))
    audit.record(session, actor, "joined team", ids.public(team.id), now, role=found.role)
    return team


def change_role(
    session: Session,
    *,
    team_id: TeamId,
    user_id: UserId,
    role: Role,
    by: UserId | None,
    actor: str,
    now: datetime,
) -> None:
    """Make a member an admin or an admin a member.

    :raises UnknownMember: :raises OwnerStays: the owner's role moves by handing over.
    :raises OwnRole:
    """
    assert role != Role.OWNER, "a team is handed over"
    service.lock(session, team_id)
    member = _member(session, team_id, user_id)
    if member.role == Role.OWNER:
        raise OwnerStays
    if by == user_id:
        raise OwnRole
    member.role = role
    audit.record(
        session, actor, "changed role", ids.public(team_id), now, member=str(user_id), role=role
    )


def remove(
    session: Session, *, team_id: TeamId, user_id: UserId, actor: str, now: datetime
) -> None:
    """Take somebody out of the team, or leave it oneself.

    :raises UnknownMember: :raises OwnerStays:
    """
    service.lock(session, team_id)
    member = _member(session, team_id, user_id)
    if member.role == Role.OWNER:
        raise OwnerStays
    session.delete(member)
    audit.record(session, actor, "left team", ids.public(team_id), now, member=str(user_id))


def _member(session: Session, team_id: TeamId, user_id: UserId) -> Member:
    found = db.lock(session, Member, Member.team_id == team_id, Member.user_id == user_id)
    if not found:
        raise UnknownMember
    return found[0]


def _is_member(session: Session, team_id: TeamId, email: str) -> bool:
    wanted = (
        select(Member.user_id)
        .join(User, User.id == Member.user_id)
        .where(Member.team_id == team_id, User.email == email)
    )
    return session.scalar(wanted) is not None


def _write(
    session: Session, made: Invitation, *, team: Team, token: str, lang: str, now: datetime
) -> None:
    notify.send(
        session,
        to=made.email,
        template="teams/email/invitation",
        lang=lang,
        context={
            "team": team.name,
            "url": f"{settings.current().url}/teams/join?token={token}",
        },
        secret=True,
        source=f"invitation:{made.id}",
        now=now,
    )
