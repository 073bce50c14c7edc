"""Teams for the operator's programs (spec 8)."""

from typing import Annotated

from fastapi import APIRouter
from pydantic import BaseModel, ConfigDict, Field

from flowlink.billing import pricing, purchases
from flowlink.billing.purchases import UnknownPlan
from flowlink.identity import addresses, service as identity
from flowlink.identity.deps import Operator
from flowlink.identity.ids import UserId
from flowlink.kernel import clock
from flowlink.teams import ids, service as teams
from flowlink.web.sessions import Db

router = APIRouter(tags=["operator"])


class TeamIn(BaseModel):
    model_config = ConfigDict(extra="forbid")

    slug: Annotated[str, Field(max_length=40)]
    name: Annotated[str, Field(max_length=80)]
    owner_email: Annotated[str, Field(max_length=320, json_schema_extra={"format": "email"})]
    plan: Annotated[str, Field(max_length=32)] = pricing.FREE


class TeamOut(BaseModel):
    id: str
    slug: str
    name: str
    owner_email: str
    plan: str


@router.post("/api/admin/teams", status_code=201)
def make_team(session: Db, operator: Operator, body: TeamIn) -> TeamOut:
    """Make a team and, if new, its owner. A paid plan is given without charge and without end."""
    now = clock.now()
    if body.plan not in pricing.current().plans:
        raise UnknownPlan
    try:
        owner = identity.ensure_user(session, email=body.owner_email, now=now)
    except addresses.BadEmail as error:
        error.field = "owner_email"
        raise
    team = teams.create(
        session,
        owner_id=UserId(owner.id),
        slug=body.slug,
        name=body.name or body.slug,
        actor=operator.label,
        now=now,
        ip=operator.ip,
    )
    purchases.give_plan(
        session, team=team, plan=body.plan, actor=operator.label, now=now, ip=operator.ip
    )
    return TeamOut(
        id=ids.public(team.id),
        slug=team.slug,
        name=team.name,
        owner_email=owner.email,
        plan=body.plan,
    )
