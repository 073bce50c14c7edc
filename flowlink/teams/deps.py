"""Who is asking, as a member of the team in the path: what routes above can require."""

from dataclasses import dataclass
from typing import Annotated

from fastapi import Depends, Request

from flowlink.identity.deps import ApiKey, ClientIp, MaybeViewer
from flowlink.identity.ids import KEY, UserId, actor_of
from flowlink.identity.queries import Principal
from flowlink.kernel import ids
from flowlink.kernel.errors import Forbidden, NotSignedIn
from flowlink.teams import queries
from flowlink.teams.ids import TeamId
from flowlink.teams.models import Role, Team
from flowlink.teams.queries import UnknownTeam
from flowlink.web.sessions import Db

_READING = {"GET", "HEAD", "OPTIONS"}


class RoleTooLow(Forbidden):
    message = "Your role in this team does not allow this."


@dataclass(frozen=True, slots=True)
class Access:
    """Somebody inside a team: a person, or a program with the team's key."""

    team: Team
    role: Role
    actor: str
    user_id: UserId | None
    ip: str

    @property
    def team_id(self) -> TeamId:
        return TeamId(self.team.id)

    def may(self, needed: Role) -> bool:
        return self.role.covers(needed)


def enter(
    request: Request, session: Db, key: ApiKey, viewer: MaybeViewer, ip: ClientIp, team_slug: str
) -> Access:
    """The team in the path, for who is in it; to everybody else it does not exist (spec 4.2).

    :raises NotSignedIn: :raises UnknownTeam: :raises OutOfScope: the key may not do this.
    """
    if key is None and viewer is None:
        raise NotSignedIn
    team = queries.by_slug(session, team_slug)
    if key is not None:
        _check_key(request, team, key)
        label = f"key:{ids.public(KEY, key.key_id)}"
        acts_as = Role.OWNER if key.scopes is None else Role.ADMIN
        return Access(team, acts_as, label, None, ip)
    assert viewer is not None
    role = queries.role_of(session, team_id=team.id, user_id=viewer.user_id)
    if role is None:
        raise UnknownTeam
    return Access(team, role, actor_of(viewer.user_id), viewer.user_id, ip)


MemberOf = Annotated[Access, Depends(enter)]


@dataclass(frozen=True, slots=True)
class AtLeast:
    """A dependency on a role in the team of the path."""

    needed: Role

    def __call__(self, access: MemberOf) -> Access:
        """:raises RoleTooLow:"""
        if not access.may(self.needed):
            raise RoleTooLow
        return access


AdminOf = Annotated[Access, Depends(AtLeast(Role.ADMIN))]
OwnerOf = Annotated[Access, Depends(AtLeast(Role.OWNER))]


def _check_key(request: Request, team: Team, key: Principal) -> None:
    """A team's key acts as its owner unless scoped; another's key finds nothing here."""
    if key.owner_kind != "team" or key.owner_id != team.id:
        raise UnknownTeam
    if key.scopes is None:
        return
    path, writes = request.url.path, request.method not in _READING
    area = "support" if path.startswith("/api/support/") else "resources"
    if writes and not path.startswith("/api/"):
        area = "team"  # its people, keys and money: no permission is for these
    key.require(f"{area}:{'write' if writes else 'read'}")
