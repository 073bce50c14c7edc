"""The sweep: the velocity rule for everybody who may fit it, then a look at busy traffic."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from flowlink.kernel import audit, db, flags, jobs, policy as policies
from flowlink.kernel.flags import Flag as FeatureFlag
from flowlink.partners.ids import PartnerId
from flowlink.partners.models import Partner
from flowlink.risk import queries, signals, velocity, watches
from flowlink.risk.watch_models import Watch, WatchState
from flowlink.tracking.rollups import MinuteCount

JOB = "risk_sweep"
SLOT_MINUTES = 10


@dataclass(frozen=True)
class Swept:
    """What a sweep did, and what waits too long for a person."""

    placed: int
    watched: int
    overdue: int
    off: bool


def run(now: datetime) -> Swept:
    """Each partner in a transaction of its own; twice, or at once, changes nothing more."""
    with db.read() as session:
        off = not flags.on(session, FeatureFlag.FEATURE_RISKBOT)
        policy = policies.at(session, now)
        found = [] if off else velocity.candidates(session, now=now, policy=policy)
        busy = [] if off else _busy(session, now)
        overdue = queries.overdue(session, now=now) + _overdue_watches(session, now)
    placed = watched = 0
    for partner_id in found:
        with db.write() as session:
            hold = velocity.judge(session, partner_id=partner_id, now=now, policy=policy)
            placed += hold is not None
    hour = now.replace(minute=0, second=0, microsecond=0)
    for partner_id in busy:
        with db.write() as session:
            seen = watches.look(
                session, partner_ids=[partner_id], hour=hour, now=now, policy=policy
            )
            watched += len(seen)
    return Swept(placed=placed, watched=watched, overdue=overdue, off=off)


def ask(session: Session, *, actor: str, now: datetime, ip: str = "") -> None:
    """Let the worker sweep now; asked twice before it does, it sweeps once."""
    jobs.enqueue(session, JOB, {}, coalesce=True)
    audit.record(session, actor, "ran job", JOB, now, ip)


def _busy(session: Session, now: datetime) -> Sequence[PartnerId]:
    """Whose traffic is looked at: once an hour everybody's of that hour, in between only bursts."""
    span = timedelta(hours=1) if now.minute < SLOT_MINUTES else velocity.WINDOW
    rows = (
        select(Partner.id)
        .join(MinuteCount, MinuteCount.partner == Partner.number)
        .where(MinuteCount.minute > now - span, MinuteCount.minute <= now)
        .group_by(Partner.id)
        .having(func.sum(MinuteCount.valid) >= signals.FEWEST)
        .order_by(Partner.id)
    )
    return [PartnerId(partner_id) for partner_id in session.scalars(rows)]


def _overdue_watches(session: Session, now: datetime) -> int:
    late = select(func.count()).where(Watch.state == WatchState.OPEN, Watch.deadline < now)
    return session.scalar(late) or 0
