"""Reads of what was kept about the running of the place: audit log, flags and policy."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, time
from typing import Any
from uuid import UUID

from sqlalchemy import Text, cast, or_, select
from sqlalchemy.dialects.postgresql import distinct_on
from sqlalchemy.orm import Session

from flowlink.identity.ids import UserId, actor_of
from flowlink.identity.models import User
from flowlink.kernel import flags, policy, settings
from flowlink.kernel.flags import Flag
from flowlink.kernel.models import AuditRow, FlagRow, PolicyRow

PEOPLE_MAX = 1_000  # whom a search by e-mail finds


@dataclass(frozen=True)
class FlagState:
    """A flag as it stands. `switched` is empty while nobody has touched it."""

    flag: Flag
    on: bool
    switched: FlagRow | None


@dataclass(frozen=True)
class PolicyState:
    """A policy number: in force, as the settings have it, and what is still to come."""

    name: str
    value: str
    default: str
    changed: bool
    coming: PolicyRow | None


def audit_lines(
    session: Session,
    *,
    query: str = "",
    first: date | None = None,
    last: date | None = None,
    before: UUID | None = None,
    limit: int = 50,
) -> Sequence[AuditRow]:
    """The newest first, of the UTC days from `first` to `last`, both included.

    `query` is part of an actor or their e-mail, an action, a subject, an address or the facts.
    """
    rows = select(AuditRow)
    if first is not None:
        rows = rows.where(AuditRow.at >= datetime.combine(first, time.min, UTC))
    if last is not None:
        rows = rows.where(AuditRow.at <= datetime.combine(last, time.max, UTC))
    if query:
        facts = cast(AuditRow.details, Text)
        columns = (AuditRow.actor, AuditRow.action, AuditRow.subject, AuditRow.ip, facts)
        found = [column.icontains(query, autoescape=True) for column in columns]
        rows = rows.where(or_(*found, AuditRow.actor.in_(_people(session, query))))
    if before is not None:
        rows = rows.where(AuditRow.id < before)
    return session.scalars(rows.order_by(AuditRow.id.desc()).limit(limit)).all()


def _people(session: Session, query: str) -> list[str]:
    """The actors whose e-mail has this in it."""
    rows = select(User.id).where(User.email.icontains(query, autoescape=True))
    return [actor_of(UserId(user_id)) for user_id in session.scalars(rows.limit(PEOPLE_MAX))]


def flag_states(session: Session) -> Sequence[FlagState]:
    return [
        FlagState(flag=flag, on=flags.on(session, flag), switched=session.get(FlagRow, flag.value))
        for flag in Flag
    ]


def policy_states(session: Session, now: datetime) -> Sequence[PolicyState]:
    """Every policy number in the order of the documentation."""
    in_force = (
        select(PolicyRow)
        .ext(distinct_on(PolicyRow.name))
        .where(PolicyRow.effective_at <= now)
        .order_by(PolicyRow.name, PolicyRow.effective_at.desc(), PolicyRow.id.desc())
    )
    next_up = (
        select(PolicyRow)
        .ext(distinct_on(PolicyRow.name))
        .where(PolicyRow.effective_at > now)
        .order_by(PolicyRow.name, PolicyRow.effective_at, PolicyRow.id)
    )
    changed = {row.name: row for row in session.scalars(in_force)}
    coming = {row.name: row for row in session.scalars(next_up)}
    states = []
    for name, (_, setting, _) in policy.NAMES.items():
        default = _written(getattr(settings.current(), setting), name)
        value = changed[name].value if name in changed else default
        states.append(PolicyState(name, value, default, name in changed, coming.get(name)))
    return states


def policy_history(
    session: Session, *, before: UUID | None = None, limit: int = 20
) -> Sequence[PolicyRow]:
    """Every change that was made, the newest first."""
    rows = select(PolicyRow)
    if before is not None:
        rows = rows.where(PolicyRow.id < before)
    return session.scalars(rows.order_by(PolicyRow.id.desc()).limit(limit)).all()


def _written(value: object, name: str) -> str:
    """A setting's value the way that an operator would type it."""
    if isinstance(value, tuple):
        return ",".join(value)
    if name.endswith("_PCT"):
        assert isinstance(value, int)
        return f"{value // 10_000}.{value % 10_000 // 100:02d}"
    return str(value).removesuffix(" EUR")


def flag_history(session: Session, *, limit: int = 20) -> Sequence[AuditRow]:
    """Who switched what, the newest first."""
    switched = select(AuditRow).where(
        AuditRow.action == "switched flag", AuditRow.subject.in_([flag.value for flag in Flag])
    )
    return session.scalars(switched.order_by(AuditRow.id.desc()).limit(limit)).all()


def as_text(details: dict[str, Any]) -> str:
    """An audit line's facts as one readable line."""
    return ", ".join(
        f"{name}: {value}" for name, value in details.items() if value not in ("", None)
    )
