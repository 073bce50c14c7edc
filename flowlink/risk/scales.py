"""How many clicks in ten minutes trip the velocity rule for a partner.

The policy's number is for everybody. Some partners are known to have bursts: their own percentage
of it, or else that of the group they are in, comes first. Versions are only added.
"""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from sqlalchemy import Select, select
from sqlalchemy.dialects.postgresql import distinct_on
from sqlalchemy.orm import Session, aliased

from flowlink.identity.models import User
from flowlink.kernel import audit, db, ids
from flowlink.kernel.errors import Invalid, Refused
from flowlink.kernel.policy import Policy
from flowlink.partners import groups, ids as partner_ids, own_affairs
from flowlink.partners.group_models import Group
from flowlink.partners.ids import GROUP, PartnerId
from flowlink.partners.models import Partner
from flowlink.risk.service import ReasonMissing
from flowlink.risk.watch_models import Scope, VelocityScale

USUAL = 100
LEAST, MOST = 10, 100_000


class BadPercentage(Invalid):
    message = "Please give a percentage from 10 to 100,000."
    field = "percent"


class LimitChanged(Refused):
    message = "Somebody else has changed this limit meanwhile. Please look at it again."
    field = "version"


@dataclass(frozen=True)
class Scale:
    """A partner's own limit, as the operator sees it."""

    partner_id: PartnerId
    email: str
    percent: int
    reason: str
    actor: str
    at: datetime


def limits(
    session: Session, *, partner_ids: Collection[PartnerId], policy: Policy
) -> dict[PartnerId, int]:
    """At how many clicks in ten minutes each of them is held; never below one."""
    group_of = groups.groups_of(session, partner_ids)
    latest = _latest([*partner_ids, *group_of.values()])
    known = {(one.scope, one.subject): one.percent for one in session.scalars(latest)}
    found = {}
    for partner_id in partner_ids:
        mine = known.get((Scope.PARTNER, partner_id), USUAL)
        if mine == USUAL and partner_id in group_of:
            mine = known.get((Scope.GROUP, group_of[partner_id]), USUAL)
        found[partner_id] = clicks(mine, policy)
    return found


def clicks(percent: int, policy: Policy) -> int:
    """What a percentage of the policy's number is, rounded up."""
    return max(-(-policy.risk_velocity_max_clicks_10m * percent // USUAL), 1)


def set_for(
    session: Session,
    *,
    partner_id: PartnerId,
    percent: int,
    reason: str,
    actor: str,
    now: datetime,
    ip: str = "",
) -> None:
    """Give a partner a limit of their own, in percent of the policy's; 100 takes it away.

    :raises BadPercentage: :raises ReasonMissing: :raises UnknownPartner:
    :raises OwnAffair: `actor` is the partner.
    """
    own_affairs.refuse(session, partner_id=partner_id, actor=actor)
    made = _next(session, Scope.PARTNER, partner_id, percent, reason, actor, now)
    session.add(made)
    subject = partner_ids.public(partner_id)
    facts = {"percent": percent, "reason": made.reason}
    audit.record(session, actor, "changed velocity limit", subject, now, ip, **facts)


def set_for_group(
    session: Session,
    *,
    group_id: UUID,
    version: int,
    percent: int,
    reason: str,
    actor: str,
    now: datetime,
    ip: str = "",
) -> None:
    """As `set_for`, for all partners of a group that have no limit of their own.

    :raises LimitChanged: `version` (0 for none) is not the latest. :raises BadPercentage:
    :raises ReasonMissing: :raises UnknownGroup: :raises OwnAffair: `actor` is in the group.
    """
    groups.get(session, group_id)
    groups.refuse_member(session, group_id=group_id, actor=actor)
    made = _next(session, Scope.GROUP, group_id, percent, reason, actor, now)
    if made.version != version + 1:
        raise LimitChanged
    session.add(made)
    facts = {"percent": percent, "version": made.version, "reason": made.reason}
    subject = ids.public(GROUP, group_id)
    audit.record(session, actor, "changed velocity limit", subject, now, ip, **facts)


def own(session: Session, *, after: UUID | None = None, limit: int = 50) -> Sequence[Scale]:
    """The partners with a limit of their own, by their key."""
    scale = aliased(VelocityScale, _latest(scope=Scope.PARTNER).subquery())
    rows = (
        select(scale, User.email)
        .join(Partner, Partner.id == scale.subject)
        .join(User, User.id == Partner.user_id)
        .where(scale.percent != USUAL)
    )
    if after is not None:
        rows = rows.where(scale.subject > after)
    found = session.execute(rows.order_by(scale.subject).limit(limit))
    return [
        Scale(PartnerId(row.subject), email, row.percent, row.reason, row.actor, row.at)
        for row, email in found
    ]


def of_groups(session: Session) -> Sequence[tuple[Group, VelocityScale]]:
    """The groups with a limit of their own, by name."""
    scale = aliased(VelocityScale, _latest(scope=Scope.GROUP).subquery())
    rows = select(Group, scale).join(scale, scale.subject == Group.id)
    found = session.execute(rows.where(scale.percent != USUAL).order_by(Group.name))
    return [(row[0], row[1]) for row in found]


def history(session: Session, *, group_id: UUID) -> Sequence[VelocityScale]:
    """Every version of a group's limit, the newest first."""
    mine = VelocityScale.scope == Scope.GROUP, VelocityScale.subject == group_id
    rows = select(VelocityScale).where(*mine).order_by(VelocityScale.version.desc())
    return session.scalars(rows).all()


def _latest(
    subjects: Collection[UUID] | None = None, *, scope: Scope | None = None
) -> Select[VelocityScale]:
    """The version that binds, of each of these subjects, or of all of one kind."""
    names = VelocityScale.scope, VelocityScale.subject
    rows = select(VelocityScale).ext(distinct_on(*names))
    if subjects is not None:
        rows = rows.where(VelocityScale.subject.in_(subjects))
    if scope is not None:
        rows = rows.where(VelocityScale.scope == scope)
    return rows.order_by(*names, VelocityScale.version.desc())


def _next(
    session: Session,
    scope: Scope,
    subject: UUID,
    percent: int,
    reason: str,
    actor: str,
    now: datetime,
) -> VelocityScale:
    """The version after the latest; until the transaction ends nobody makes another."""
    if not LEAST <= percent <= MOST:
        raise BadPercentage
    if not reason.strip():
        raise ReasonMissing
    db.advisory_lock(session, f"velocity-scale:{scope}:{subject}")
    last = session.scalar(_latest([subject], scope=scope))
    return VelocityScale(
        scope=scope,
        subject=subject,
        version=last.version + 1 if last else 1,
        percent=percent,
        reason=reason.strip(),
        actor=actor,
        at=now,
    )
