"""Teams as their members see them: settings in sections, members, keys, the end."""

from typing import Annotated, Literal

from fastapi import APIRouter, Form, Query, Request, Response
from pydantic import BaseModel

from flowlink.identity import owned_keys, scopes, service as identity
from flowlink.identity.deps import CurrentViewer, MaybeViewer
from flowlink.identity.ids import KEY, USER, KeyId, UserId, actor_of
from flowlink.kernel import clock, ids
from flowlink.teams import members, queries, service as teams
from flowlink.teams.deps import AdminOf, MemberOf, OwnerOf
from flowlink.teams.ids import INVITATION, InvitationId, TeamId
from flowlink.teams.members import OPEN_MAX
from flowlink.teams.models import Role
from flowlink.web import csv, lists
from flowlink.web.forms import Line
from flowlink.web.lists import Cursor
from flowlink.web.render import page, see_other
from flowlink.web.sessions import Db

TEAMS = "/teams"

router = APIRouter(include_in_schema=False)


class NewTeamForm(BaseModel):
    name: Line = ""
    slug: Line = ""


class NameForm(BaseModel):
    name: Line = ""


class InviteForm(BaseModel):
    email: Line = ""
    role: Literal["admin", "member"] = "member"


class RoleForm(BaseModel):
    role: Literal["admin", "member"] = "member"


class HandOverForm(BaseModel):
    member: Line = ""


class ConfirmForm(BaseModel):
    confirm: Line = ""


class KeyForm(BaseModel):
    name: Line = ""
    scopes: list[Line] = []


class TokenForm(BaseModel):
    token: Line = ""


@router.get(TEAMS)
def show_teams(
    request: Request, session: Db, viewer: CurrentViewer, cursor: Cursor = None
) -> Response:
    """My teams, and the way to make one."""
    found = queries.of_user(session, viewer.user_id)
    return page(request, "teams/teams.html", teams=lists.stretch(found, cursor))


@router.get(f"{TEAMS}.csv")
def teams_csv(session: Db, viewer: CurrentViewer) -> Response:
    found = queries.of_user(session, viewer.user_id)
    rows = ((team.slug, team.name, str(role), team.created_at) for team, role in found)
    return csv.response("teams.csv", ("team", "name", "role", "created_at"), rows)


@router.post(TEAMS)
def make_team(session: Db, viewer: CurrentViewer, form: Annotated[NewTeamForm, Form()]) -> Response:
    team = teams.create(
        session,
        owner_id=viewer.user_id,
        slug=form.slug,
        name=form.name,
        actor=actor_of(viewer.user_id),
        now=clock.now(),
    )
    return see_other(f"{TEAMS}/{team.slug}")


@router.get(f"{TEAMS}/join")
def show_invitation(
    request: Request, session: Db, viewer: MaybeViewer, token: Annotated[str, Query(max_length=200)]
) -> Response:
    """What one is invited to, and one button; mail scanners open links too."""
    found = queries.invitation(session, token)
    if found is None or found.revoked_at is not None:
        raise members.InvitationUnknown
    return page(
        request,
        "teams/join.html",
        invitation=found,
        team=queries.get(session, TeamId(found.team_id)),
        token=token,
        is_over=found.expires_at <= clock.now(),
        signed_in=viewer.email if viewer else None,
    )


@router.post(f"{TEAMS}/join")
def join(session: Db, viewer: CurrentViewer, form: Annotated[TokenForm, Form()]) -> Response:
    team = members.accept(
        session,
        token=form.token,
        user_id=viewer.user_id,
        actor=actor_of(viewer.user_id),
        now=clock.now(),
    )
    return see_other(f"{TEAMS}/{team.slug}")


@router.get(f"{TEAMS}/{{team_slug}}")
def show_general(request: Request, session: Db, access: MemberOf) -> Response:
    """What the team is called, and what one is in it."""
    return page(request, "teams/general.html", access=access)


@router.post(f"{TEAMS}/{{team_slug}}")
def rename(session: Db, access: AdminOf, form: Annotated[NameForm, Form()]) -> Response:
    teams.rename(
        session, team_id=access.team_id, name=form.name, actor=access.actor, now=clock.now()
    )
    return see_other(f"{TEAMS}/{access.team.slug}")


@router.get(f"{TEAMS}/{{team_slug}}/members")
def show_members(
    request: Request, session: Db, access: MemberOf, cursor: Cursor = None
) -> Response:
    open_ = queries.invitations(session, access.team_id) if access.may(Role.ADMIN) else ()
    return page(
        request,
        "teams/members.html",
        access=access,
        members=lists.stretch(queries.members(session, access.team_id), cursor),
        invitations=open_,
        invitations_max=OPEN_MAX,
        now=clock.now(),
    )


@router.get(f"{TEAMS}/{{team_slug}}/members.csv")
def members_csv(session: Db, access: MemberOf) -> Response:
    found = queries.members(session, access.team_id)
    rows = ((line.email, str(line.role), line.joined_at) for line in found)
    return csv.response("members.csv", ("email", "role", "joined_at"), rows)


@router.get(f"{TEAMS}/{{team_slug}}/invitations.csv")
def invitations_csv(session: Db, access: AdminOf) -> Response:
    found = queries.invitations(session, access.team_id)
    rows = ((line.email, str(line.role), line.expires_at) for line in found)
    return csv.response("invitations.csv", ("email", "role", "expires_at"), rows)


@router.post(f"{TEAMS}/{{team_slug}}/invitations")
def invite(
    request: Request, session: Db, access: AdminOf, form: Annotated[InviteForm, Form()]
) -> Response:
    members.invite(
        session,
        team=access.team,
        email=form.email,
        role=Role(form.role),
        actor=access.actor,
        lang=request.state.lang,
        now=clock.now(),
    )
    return see_other(f"{TEAMS}/{access.team.slug}/members")


@router.post(f"{TEAMS}/{{team_slug}}/invitations/{{invitation_id}}/revoke")
def take_back(session: Db, access: AdminOf, invitation_id: str) -> Response:
    members.take_back(
        session,
        team_id=access.team_id,
        invitation_id=InvitationId(ids.parse(INVITATION, invitation_id)),
        actor=access.actor,
        now=clock.now(),
    )
    return see_other(f"{TEAMS}/{access.team.slug}/members")


@router.post(f"{TEAMS}/{{team_slug}}/members/{{user_id}}/role")
def change_role(
    session: Db, access: AdminOf, user_id: str, form: Annotated[RoleForm, Form()]
) -> Response:
    members.change_role(
        session,
        team_id=access.team_id,
        user_id=UserId(ids.parse(USER, user_id)),
        role=Role(form.role),
        by=access.user_id,
        actor=access.actor,
        now=clock.now(),
    )
    return see_other(f"{TEAMS}/{access.team.slug}/members")


@router.post(f"{TEAMS}/{{team_slug}}/members/{{user_id}}/remove")
def remove(session: Db, access: AdminOf, user_id: str) -> Response:
    members.remove(
        session,
        team_id=access.team_id,
        user_id=UserId(ids.parse(USER, user_id)),
        actor=access.actor,
        now=clock.now(),
    )
    return see_other(f"{TEAMS}/{access.team.slug}/members")


@router.post(f"{TEAMS}/{{team_slug}}/leave")
def leave(session: Db, access: MemberOf) -> Response:
    """A program is the owner, who stays."""
    members.remove(
        session,
        team_id=access.team_id,
        user_id=access.user_id or queries.owner_of(session, access.team_id),
        actor=access.actor,
        now=clock.now(),
    )
    return see_other(TEAMS)


@router.get(f"{TEAMS}/{{team_slug}}/keys")
def show_keys(request: Request, session: Db, access: AdminOf, cursor: Cursor = None) -> Response:
    found = owned_keys.live(session, owner_kind="team", owner_id=access.team_id)
    keys = lists.stretch(found, cursor)
    return page(request, "teams/keys.html", access=access, keys=keys, scopes=scopes.SCOPES["team"])


@router.get(f"{TEAMS}/{{team_slug}}/keys.csv")
def keys_csv(session: Db, access: AdminOf) -> Response:
    found = owned_keys.live(session, owner_kind="team", owner_id=access.team_id)
    return csv.response("keys.csv", owned_keys.HEADER, map(owned_keys.cells, found))


@router.post(f"{TEAMS}/{{team_slug}}/keys")
def make_key(
    request: Request, session: Db, access: AdminOf, form: Annotated[KeyForm, Form()]
) -> Response:
    """The key, this once. Without a chosen permission it may do all that its maker may."""
    every = None if access.may(Role.OWNER) else list(scopes.SCOPES["team"])
    token = identity.make_api_key(
        session,
        owner_kind="team",
        owner_id=access.team_id,
        actor=access.actor,
        now=clock.now(),
        scopes=form.scopes or every,
        name=form.name,
        ip=access.ip,
    )
    back = f"{TEAMS}/{access.team.slug}/keys"
    return page(request, "identity/key_made.html", key=token, back=back)


@router.post(f"{TEAMS}/{{team_slug}}/keys/{{key_id}}/revoke")
def revoke_key(session: Db, access: AdminOf, key_id: str) -> Response:
    owned_keys.revoke(
        session,
        owner_kind="team",
        owner_id=access.team_id,
        key_id=KeyId(ids.parse(KEY, key_id)),
        actor=access.actor,
        now=clock.now(),
        ip=access.ip,
    )
    return see_other(f"{TEAMS}/{access.team.slug}/keys")


@router.get(f"{TEAMS}/{{team_slug}}/danger")
def show_danger(request: Request, session: Db, access: OwnerOf) -> Response:
    """Handing over, deleting, bringing back."""
    others = [line for line in queries.members(session, access.team_id) if line.role != Role.OWNER]
    return page(
        request, "teams/danger.html", access=access, others=others, grace_days=teams.GRACE.days
    )


@router.post(f"{TEAMS}/{{team_slug}}/hand-over")
def hand_over(session: Db, access: OwnerOf, form: Annotated[HandOverForm, Form()]) -> Response:
    teams.hand_over(
        session,
        team_id=access.team_id,
        to=UserId(ids.parse(USER, form.member)),
        actor=access.actor,
        now=clock.now(),
        ip=access.ip,
    )
    return see_other(f"{TEAMS}/{access.team.slug}/members")


@router.post(f"{TEAMS}/{{team_slug}}/delete")
def delete(session: Db, access: OwnerOf, form: Annotated[ConfirmForm, Form()]) -> Response:
    teams.delete(
        session,
        team_id=access.team_id,
        confirm=form.confirm,
        actor=access.actor,
        now=clock.now(),
        ip=access.ip,
    )
    return see_other(f"{TEAMS}/{access.team.slug}")


@router.post(f"{TEAMS}/{{team_slug}}/restore")
def bring_back(session: Db, access: OwnerOf) -> Response:
    teams.bring_back(
        session, team_id=access.team_id, actor=access.actor, now=clock.now(), ip=access.ip
    )
    return see_other(f"{TEAMS}/{access.team.slug}")
