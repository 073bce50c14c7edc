"""Watches: clicks that look wrong together. Opened by rules, decided by people, never by time.

What an outsider could have done never holds the partner: their other clicks are paid on. Only
their own clicks, in numbers, and an account shared with somebody else do.
"""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from sqlalchemy import func, select, text
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.orm import Session

from flowlink.identity import queries as identity
from flowlink.identity.ids import UserId
from flowlink.kernel import audit, db, events, flags, ids, settings
from flowlink.kernel.errors import NotFound, Refused
from flowlink.kernel.flags import Flag as FeatureFlag
from flowlink.kernel.policy import Policy
from flowlink.notify import service as notify
from flowlink.partners import ids as partner_ids, own_affairs, queries as partners
from flowlink.partners.ids import PartnerId
from flowlink.risk import grouping, service as risk, traffic
from flowlink.risk.models import Hold
from flowlink.risk.service import ReasonMissing
from flowlink.risk.signals import Finding
from flowlink.risk.watch_models import Rule, Watch, WatchState

PREFIX = "wat"
ACTOR = "job:risk_sweep"
TRUSTED, SUSPECTED = timedelta(days=7), timedelta(days=30)
AFTER_CLEARED, AFTER_CONFIRMED = 85, 45  # how many points it takes after such a decision
HELD_OWN, HELD_SHARE = 20, 2  # own clicks that hold a partner, at least every second of all


class UnknownWatch(NotFound):
    message = "There are no such watched clicks."


class AlreadyDecided(Refused):
    message = "Somebody has decided about these clicks already."


@dataclass(frozen=True)
class Watched:
    """Clicks that a watch covers, as found in one look."""

    watch_id: UUID
    numbers: Collection[int]


def look(
    session: Session,
    *,
    partner_ids: Collection[PartnerId],
    hour: datetime,
    now: datetime,
    policy: Policy,
) -> dict[int, UUID]:
    """Look at the clicks of a day that ends with `hour`; which clicks are watched, and by what.

    Opens watches, or adds to those that are open. With FEATURE_RISKBOT off nothing new is opened,
    and open ones get no more clicks.
    """
    if not flags.on(session, FeatureFlag.FEATURE_RISKBOT):
        return {}
    found: dict[int, UUID] = {}
    for partner_id in sorted(partner_ids):
        partner = partners.get(session, partner_id)
        seen = traffic.read(session, partner=partner, hour=hour)
        if sum(click.counts for click in seen.clicks) < grouping.OWN_FEWEST:
            continue
        since, limits = _decided(session, partner_id, now)
        for finding in grouping.suspicious(seen, since=since, limits=limits):
            watch_id = _keep(session, partner_id, finding, now=now, policy=policy)
            found |= {click.number: watch_id for click in finding.group.clicks}
    return found


def report(
    session: Session,
    *,
    partner_id: PartnerId,
    evidence: Mapping[str, Any],
    score: int,
    now: datetime,
    policy: Policy,
) -> UUID | None:
    """Watch a partner for what somebody else knows of their account; nothing if it was cleared."""
    if not flags.on(session, FeatureFlag.FEATURE_RISKBOT):
        return None
    since, _ = _decided(session, partner_id, now)
    if Rule.ACCOUNT in since:
        return None
    return _upsert(session, partner_id, Rule.ACCOUNT, score, dict(evidence), now, policy)


def decide(
    session: Session,
    *,
    watch_id: UUID,
    fraud: bool,
    reason: str,
    actor: str,
    now: datetime,
    ip: str = "",
) -> Watch:
    """Pay the watched clicks, or let them be worth nothing: `watch.decided` tells who pays.

    :raises ReasonMissing: the partner reads why. :raises UnknownWatch: :raises AlreadyDecided:
    :raises OwnAffair: `actor` is the partner.
    """
    if not reason.strip():
        raise ReasonMissing
    found = db.lock(session, Watch, Watch.id == watch_id)
    if not found:
        raise UnknownWatch
    (watch,) = found
    own_affairs.refuse(session, partner_id=PartnerId(watch.partner_id), actor=actor)
    if watch.state != WatchState.OPEN:
        raise AlreadyDecided
    watch.state = WatchState.CONFIRMED if fraud else WatchState.CLEARED
    watch.decided_by, watch.decided_at, watch.decided_reason = actor, now, reason.strip()
    _tell(session, "watch.decided", watch.id, watch.partner_id)
    facts = {"watch": ids.public(PREFIX, watch.id), "rule": str(watch.rule), "reason": reason}
    action = "confirmed fraud" if fraud else "cleared clicks"
    subject = partner_ids.public(PartnerId(watch.partner_id))
    audit.record(session, actor, action, subject, now, ip, **facts)
    _write_to(session, watch, now=now)
    session.flush()
    return watch


def hold_self_dealing(
    session: Session, *, watch_id: UUID, now: datetime, policy: Policy
) -> Hold | None:
    """Hold whoever clicks their own links in numbers: nobody else can do that to them."""
    watch = session.get(Watch, watch_id)
    if watch is None or watch.state != WatchState.OPEN:
        return None
    if not _is_self_dealing(Rule(watch.rule), watch.evidence):
        return None
    if not flags.on(session, FeatureFlag.FEATURE_RISKBOT):
        return None
    mine, every = watch.evidence["valid"], watch.evidence["of_partner"]
    return risk.place_hold(
        session,
        partner_id=PartnerId(watch.partner_id),
        reason=f"{mine} of {every} clicks came from where you sign in yourself.",
        evidence=watch.evidence,
        actor=ACTOR,
        now=now,
        policy=policy,
    )


def open_of(session: Session, partner_id: PartnerId) -> Sequence[Watch]:
    """What is watched of this partner now, the oldest first."""
    rows = select(Watch).where(Watch.partner_id == partner_id, Watch.state == WatchState.OPEN)
    return session.scalars(rows.order_by(Watch.id)).all()


def open_count(session: Session) -> int:
    return session.scalar(select(func.count()).where(Watch.state == WatchState.OPEN)) or 0


def _decided(
    session: Session, partner_id: PartnerId, now: datetime
) -> tuple[dict[Rule, datetime], dict[Rule, int]]:
    """By rule: from when clicks count again, and how many points it takes now."""
    rows = (
        select(Watch.rule, Watch.state, Watch.decided_at)
        .where(Watch.partner_id == partner_id, Watch.decided_at.is_not(None))
        .order_by(Watch.decided_at)
    )
    since: dict[Rule, datetime] = {}
    limits: dict[Rule, int] = {}
    for rule, state, at in session.execute(rows):
        assert at is not None, "what is decided has its moment, the database says so"
        key = Rule(rule)
        if state == WatchState.CLEARED:
            since[key] = at
        limits.pop(key, None)
        if state == WatchState.CLEARED and at > now - TRUSTED:
            limits[key] = AFTER_CLEARED
        elif state == WatchState.CONFIRMED and at > now - SUSPECTED:
            limits[key] = AFTER_CONFIRMED
    return since, limits


def _keep(
    session: Session, partner_id: PartnerId, finding: Finding, *, now: datetime, policy: Policy
) -> UUID:
    group = finding.group
    facts = traffic.evidence([*group.clicks, *group.others], group.traffic.seconds)
    facts |= {
        "valid": len(group.clicks),
        "of_partner": len([click for click in group.traffic.clicks if click.counts]),
        "signals": {each.name: f"{each.points}: {each.figure}" for each in finding.signals},
    }
    rule = group.rule
    watch_id = _upsert(
        session, partner_id, rule, finding.score, {"rule": rule} | facts, now, policy
    )
    if _is_self_dealing(rule, facts):
        _tell(session, "watch.self_dealing", watch_id, partner_id)
    return watch_id


def _upsert(
    session: Session,
    partner_id: PartnerId,
    rule: Rule,
    score: int,
    facts: dict[str, Any],
    now: datetime,
    policy: Policy,
) -> UUID:
    """The open watch of this rule, with what was found last; two at once open one."""
    row = insert(Watch).values(
        partner_id=partner_id,
        rule=rule,
        score=score,
        evidence=facts,
        created_at=now,
        seen_at=now,
        deadline=now + timedelta(days=policy.risk_hold_days),
    )
    kept = row.on_conflict_do_update(
        index_elements=["partner_id", "rule"],
        index_where=text("state = 'open'"),  # as the index says it: no parameter fits
        set_={
            "score": func.greatest(Watch.score, row.excluded.score),
            "evidence": row.excluded.evidence,
            "seen_at": now,
        },
    )
    watch_id, created_at = session.execute(kept.returning(Watch.id, Watch.created_at)).one()
    if created_at == now:
        _tell(session, "watch.opened", watch_id, partner_id)
    return UUID(str(watch_id))


def _is_self_dealing(rule: Rule, facts: Mapping[str, Any]) -> bool:
    if rule is not Rule.OWN or facts["valid"] < HELD_OWN:
        return False
    return bool(facts["valid"] * HELD_SHARE >= facts["of_partner"])


def _write_to(session: Session, watch: Watch, *, now: datetime) -> None:
    user_id = UserId(partners.get(session, PartnerId(watch.partner_id)).user_id)
    notify.send(
        session,
        to=identity.email_of(session, user_id),
        template=f"risk/email/watch_{watch.state}",
        lang=identity.lang_of(session, user_id),
        context={
            "reason": watch.decided_reason or "",
            "clicks": str(watch.evidence.get("valid", 0)),
            "url": f"{settings.current().url}/partner/portal",
        },
        source=f"watch:{watch.id}:{watch.state}",
        now=now,
    )


def _tell(session: Session, name: str, watch_id: UUID, partner_id: UUID) -> None:
    events.emit(session, name, {"watch_id": str(watch_id), "partner_id": str(partner_id)})
