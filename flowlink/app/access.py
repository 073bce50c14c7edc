"""Letting people and programs in from the command line: the user gets the hat if new."""

from datetime import datetime

from sqlalchemy.orm import Session

from flowlink.identity import service as identity
from flowlink.identity.ids import UserId
from flowlink.identity.models import Role
from flowlink.identity.service import Area
from flowlink.kernel import clock, db
from flowlink.partners import service as partners
from flowlink.teams import queries as teams

ACTOR = "cli"
_ROLES = {"operator": Role.OPERATOR, "agent": Role.AGENT}


def sign_in_link(*, email: str, hat: str | None) -> str:
    """A one-time URL for this address. Links made here count in no limit (spec 1.2)."""
    now = clock.now()
    with db.write() as session:
        _put_on(session, email=email, hat=hat, now=now)
        area: Area = "partner" if hat == "partner" else "user"
        token = identity.make_link(session, email=email, area=area, from_cli=True, now=now)
    return identity.link_url(token, area=area)


def api_key(
    *, operator: bool, partner: str | None, team: str | None, scopes: list[str] | None
) -> str:
    """A new key of the operator, of the partner with this address, or of a team.

    :raises UnknownTeam:
    """
    now = clock.now()
    with db.write() as session:
        if operator:
            return identity.make_api_key(
                session, owner_kind="operator", owner_id=None, scopes=scopes, actor=ACTOR, now=now
            )
        if partner is None:
            assert team is not None, "the parser wants one of the three"
            found = teams.by_slug(session, team)
            return identity.make_api_key(
                session, owner_kind="team", owner_id=found.id, scopes=scopes, actor=ACTOR, now=now
            )
        user_id = _put_on(session, email=partner, hat="partner", now=now)
        owner = partners.ensure_active(session, user_id=user_id, now=now)
        return identity.make_api_key(
            session,
            owner_kind="partner",
            owner_id=owner.id,
            user_id=user_id,
            scopes=scopes,
            actor=ACTOR,
            now=now,
        )


def _put_on(session: Session, *, email: str, hat: str | None, now: datetime) -> UserId:
    user_id = UserId(identity.ensure_user(session, email=email, now=now).id)
    if hat == "partner":
        partners.ensure_active(session, user_id=user_id, now=now)
    elif hat:
        identity.set_staff(session, user_id=user_id, role=_ROLES[hat], actor=ACTOR, now=now)
    return user_id
