"""How many clicks in ten minutes trip the velocity rule for a partner.

The policy's number is for everybody. Some partners are known to have bursts: their own percentage
of it, or their group's, comes first. A group is whatever `groups_from` says a partner is in.
"""

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from sqlalchemy import delete, select
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.orm import Session

from flowlink.identity.models import User
from flowlink.kernel import audit
from flowlink.kernel.errors import Invalid
from flowlink.kernel.policy import Policy
from flowlink.partners import ids as partner_ids, own_affairs
from flowlink.partners.ids import PartnerId
from flowlink.partners.models import Partner
from flowlink.risk.service import ReasonMissing
from flowlink.risk.watch_models import Scope, VelocityScale

USUAL = 100
LEAST, MOST = 10, 100_000

Groups = Callable[[Session, Collection[PartnerId]], Mapping[PartnerId, UUID]]


class BadPercentage(Invalid):
    message = "Please give a percentage from 10 to 100,000."
    field = "percent"


@dataclass(frozen=True)
class Scale:
    """A partner's own limit, as the operator sees it."""

    partner_id: PartnerId
    email: str
    percent: int
    reason: str
    actor: str
    at: datetime


@dataclass
class _Seam:
    groups: Groups


def _nobody(session: Session, partner_ids: Collection[PartnerId]) -> Mapping[PartnerId, UUID]:
    return {}


_seam = _Seam(_nobody)


def groups_from(groups: Groups) -> None:
    """Let `groups` say who is in which group, in this process."""
    _seam.groups = groups


def limits(
    session: Session, *, partner_ids: Collection[PartnerId], policy: Policy
) -> dict[PartnerId, int]:
    """At how many clicks in ten minutes each of them is held; never below one."""
    groups = _seam.groups(session, partner_ids)
    wanted = {*partner_ids, *groups.values()}
    rows = select(VelocityScale).where(VelocityScale.subject.in_(wanted))
    known = {(row.scope, row.subject): row.percent for row in session.scalars(rows)}
    found = {}
    for partner_id in partner_ids:
        group = known.get((Scope.GROUP, groups[partner_id])) if partner_id in groups else None
        percent = known.get((Scope.PARTNER, partner_id)) or group or USUAL
        scaled = -(-policy.risk_velocity_max_clicks_10m * percent // USUAL)
        found[partner_id] = max(scaled, 1)
    return found


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
    subject = partner_ids.public(partner_id)
    _set(session, Scope.PARTNER, partner_id, subject, percent, reason, actor, now, ip)


def set_for_group(
    session: Session,
    *,
    group_id: UUID,
    name: str,
    percent: int,
    reason: str,
    actor: str,
    now: datetime,
    ip: str = "",
) -> None:
    """As `set_for`, for all partners of a group that have no limit of their own."""
    _set(session, Scope.GROUP, group_id, name, percent, reason, actor, now, ip)


def own(session: Session, *, after: UUID | None = None, limit: int = 50) -> Sequence[Scale]:
    """The partners with a limit of their own, by their key."""
    rows = (
        select(VelocityScale, User.email)
        .join(Partner, Partner.id == VelocityScale.subject)
        .join(User, User.id == Partner.user_id)
        .where(VelocityScale.scope == Scope.PARTNER)
    )
    if after is not None:
        rows = rows.where(VelocityScale.subject > after)
    found = session.execute(rows.order_by(VelocityScale.subject).limit(limit))
    return [
        Scale(PartnerId(row.subject), email, row.percent, row.reason, row.actor, row.at)
        for row, email in found
    ]


def _set(
    session: Session,
    scope: Scope,
    subject: UUID,
    name: str,
    percent: int,
    reason: str,
    actor: str,
    now: datetime,
    ip: str,
) -> None:
    if not LEAST <= percent <= MOST:
        raise BadPercentage
    if not reason.strip():
        raise ReasonMissing
    mine = VelocityScale.scope == scope, VelocityScale.subject == subject
    if percent == USUAL:
        session.execute(delete(VelocityScale).where(*mine))
    else:
        values = {"percent": percent, "reason": reason.strip(), "actor": actor, "at": now}
        row = insert(VelocityScale).values(scope=scope, subject=subject, **values)
        session.execute(row.on_conflict_do_update(index_elements=["scope", "subject"], set_=values))
    facts = {"percent": percent, "reason": reason.strip()}
    audit.record(session, actor, "changed velocity limit", name, now, ip, **facts)
