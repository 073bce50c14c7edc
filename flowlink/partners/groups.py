"""Groups of partners: made, renamed, and joined. What a group earns is agreed in payouts."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from sqlalchemy import Select, func, select, update
from sqlalchemy.dialects.postgresql import distinct_on
from sqlalchemy.orm import Session

from flowlink.identity import queries as identity
from flowlink.identity.models import User
from flowlink.kernel import audit, db, ids
from flowlink.kernel.errors import Invalid, NotFound, Refused
from flowlink.partners import ids as partner_ids, own_affairs, queries
from flowlink.partners.group_models import Group, Membership
from flowlink.partners.ids import GROUP, PartnerId
from flowlink.partners.models import Partner, PartnerStatus

NAME_MAX = 60


class UnknownGroup(NotFound):
    message = "There is no such group."


class BadGroupName(Invalid):
    message = "A group has a name of up to 60 characters."
    field = "name"


class GroupExists(Refused):
    message = "A group of this name exists already."
    field = "name"


class GroupChanged(Refused):
    message = "Somebody else has changed this group meanwhile. Please look at it again."
    field = "version"


class GroupReason(Invalid):
    message = "Please say why."
    field = "reason"


@dataclass(frozen=True)
class GroupLine:
    """A group and how many active partners are in it now."""

    group: Group
    members: int


@dataclass(frozen=True)
class Member:
    """A partner in a group: since when, and why."""

    partner: Partner
    email: str
    since: datetime
    reason: str


def create(
    session: Session,
    *,
    name: str,
    description: str = "",
    for_newcomers: bool = False,
    actor: str,
    now: datetime,
    ip: str = "",
) -> Group:
    """A new group, without members. Of all groups at most one is the newcomers'.

    :raises BadGroupName: :raises GroupExists:
    """
    db.advisory_lock(session, "partners.groups")
    group = Group(name=_free_name(session, name), description=description, created_at=now)
    group.version = 1
    _make_newcomers(session, group, for_newcomers=for_newcomers)
    session.add(group)
    session.flush()  # members and deals name it
    audit.record(session, actor, "made group", ids.public(GROUP, group.id), now, ip, name=name)
    return group


def change(
    session: Session,
    *,
    group_id: UUID,
    version: int,
    name: str,
    description: str,
    for_newcomers: bool,
    reason: str,
    actor: str,
    now: datetime,
    ip: str = "",
) -> Group:
    """Another name, description, or whether newcomers join it.

    :raises GroupChanged: `version` is not the latest. :raises GroupReason: :raises UnknownGroup:
    """
    if not reason.strip():
        raise GroupReason
    db.advisory_lock(session, "partners.groups")
    group = get(session, group_id)
    if group.version != version:
        raise GroupChanged
    if group.name != name.strip():
        group.name = _free_name(session, name)
    group.description = description.strip()
    _make_newcomers(session, group, for_newcomers=for_newcomers)
    group.version += 1
    session.flush()  # one newcomers' group, says the database
    subject = ids.public(GROUP, group.id)
    facts = {"name": group.name, "version": group.version, "newcomers": for_newcomers}
    audit.record(session, actor, "changed group", subject, now, ip, reason=reason, **facts)
    return group


def move(
    session: Session,
    *,
    partner_id: PartnerId,
    group_id: UUID | None,
    reason: str,
    actor: str,
    now: datetime,
    ip: str = "",
) -> None:
    """Let the partner belong to this group (None: to none) from now on. The same again is nothing.

    :raises GroupReason: :raises UnknownGroup: :raises queries.UnknownPartner:
    :raises OwnAffair: `actor` is the partner.
    """
    if not reason.strip():
        raise GroupReason
    own_affairs.refuse(session, partner_id=partner_id, actor=actor)
    if group_id is not None:
        get(session, group_id)
    db.advisory_lock(session, f"partner-group:{partner_id}")
    if group_of(session, partner_id) == group_id:
        return
    session.add(
        Membership(
            partner_id=partner_id,
            group_id=group_id,
            from_at=now,
            reason=reason.strip(),
            actor=actor,
        )
    )
    session.flush()
    group = ids.public(GROUP, group_id) if group_id else "none"
    subject = partner_ids.public(partner_id)
    audit.record(session, actor, "moved partner", subject, now, ip, group=group, reason=reason)


def welcome(session: Session, *, partner_id: PartnerId, now: datetime) -> None:
    """Put a newcomer into the newcomers' group, if there is one."""
    group_id = session.scalar(select(Group.id).where(Group.for_newcomers))
    if group_id is not None:
        move(
            session,
            partner_id=partner_id,
            group_id=group_id,
            reason="joined",
            actor="policy",
            now=now,
        )


def get(session: Session, group_id: UUID) -> Group:
    """:raises UnknownGroup:"""
    group = session.get(Group, group_id)
    if group is None:
        raise UnknownGroup
    return group


def group_of(session: Session, partner_id: PartnerId) -> UUID | None:
    """The group that the partner belongs to now."""
    rows = select(Membership.group_id).where(Membership.partner_id == partner_id)
    return session.scalar(rows.order_by(Membership.id.desc()).limit(1))


def groups_of(session: Session, partner_ids: Collection[PartnerId]) -> dict[PartnerId, UUID]:
    """The groups that these partners belong to now; who is in none is left out."""
    latest = _latest().where(Membership.partner_id.in_(partner_ids)).subquery()
    rows = select(latest.c.partner_id, latest.c.group_id).where(latest.c.group_id.is_not(None))
    return {PartnerId(row[0]): row[1] for row in session.execute(rows)}


def refuse_member(session: Session, *, group_id: UUID, actor: str) -> None:
    """Whoever stands behind `actor` is not in this group: what it gets is others' to decide.

    :raises OwnAffair:
    """
    person = identity.person_behind(session, actor)
    mine = queries.of_user(session, person) if person is not None else None
    if mine is not None and group_of(session, PartnerId(mine.id)) == group_id:
        raise own_affairs.OwnAffair


def all_groups(session: Session) -> Sequence[GroupLine]:
    """All groups by name."""
    latest = _latest().subquery()
    counted = (
        select(latest.c.group_id, func.count().label("members"))
        .join(Partner, Partner.id == latest.c.partner_id)
        .where(Partner.status == PartnerStatus.ACTIVE)
        .group_by(latest.c.group_id)
        .subquery()
    )
    rows = select(Group, func.coalesce(counted.c.members, 0)).outerjoin(
        counted, counted.c.group_id == Group.id
    )
    return [GroupLine(*row) for row in session.execute(rows.order_by(Group.name))]


def members(
    session: Session, group_id: UUID, *, before: UUID | None = None, limit: int = 50
) -> Sequence[Member]:
    """Who is in the group now, the newest partner first."""
    latest = _latest().subquery()
    rows = (
        select(Partner, User.email, latest.c.from_at, latest.c.reason)
        .join(latest, latest.c.partner_id == Partner.id)
        .join(User, User.id == Partner.user_id)
        .where(latest.c.group_id == group_id)
    )
    if before is not None:
        rows = rows.where(Partner.id < before)
    return [Member(*row) for row in session.execute(rows.order_by(Partner.id.desc()).limit(limit))]


def memberships(session: Session, partner_id: UUID) -> Sequence[tuple[Membership, str | None]]:
    """Where a partner was when, the newest first, with the groups' names."""
    rows = (
        select(Membership, Group.name)
        .outerjoin(Group, Group.id == Membership.group_id)
        .where(Membership.partner_id == partner_id)
        .order_by(Membership.id.desc())
    )
    return [(row[0], row[1]) for row in session.execute(rows)]


def _latest() -> Select[UUID, UUID | None, datetime, str]:
    """Each partner's membership of now."""
    columns = Membership.partner_id, Membership.group_id, Membership.from_at, Membership.reason
    rows = select(*columns).ext(distinct_on(Membership.partner_id))
    return rows.order_by(Membership.partner_id, Membership.id.desc())


def _free_name(session: Session, given: str) -> str:
    name = given.strip()
    if not name or len(name) > NAME_MAX:
        raise BadGroupName
    if session.scalar(select(Group.id).where(func.lower(Group.name) == name.lower())):
        raise GroupExists
    return name


def _make_newcomers(session: Session, group: Group, *, for_newcomers: bool) -> None:
    """One group at most is for newcomers: choosing this one frees the other."""
    if for_newcomers:
        session.execute(update(Group).where(Group.for_newcomers).values(for_newcomers=False))
    group.for_newcomers = for_newcomers
