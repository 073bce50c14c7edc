"""What an operator decides about watched clicks, one or many at once."""

from collections.abc import Collection, Sequence
from datetime import datetime
from enum import StrEnum
from typing import Any
from uuid import UUID

from sqlalchemy import select, tuple_
from sqlalchemy.orm import Session

from flowlink.identity.models import User
from flowlink.kernel.policy import Policy
from flowlink.partners import bans, queries
from flowlink.partners.ids import PartnerId
from flowlink.partners.models import Partner
from flowlink.risk import service as risk, watches
from flowlink.risk.models import Flag
from flowlink.risk.service import ReasonMissing
from flowlink.risk.watch_models import Watch, WatchState


class Verdict(StrEnum):
    CLEAR = "clear"
    CONFIRM = "confirm"
    HOLD = "hold"
    BAN = "ban"


Line = tuple[Watch, str]


def decide(
    session: Session,
    *,
    watch_ids: Collection[UUID],
    verdict: Verdict,
    reason: str,
    actor: str,
    now: datetime,
    policy: Policy,
    ip: str = "",
) -> int:
    """Do the same for each of these that is still open; how many there were.

    `clear` pays the clicks, `confirm` lets them be worth nothing, `hold` keeps the partner apart
    as well and leaves the clicks open, `ban` confirms all that is open of the partner, holds
    what they have and closes them.

    :raises ReasonMissing: the partners read why.
    """
    if not reason.strip():
        raise ReasonMissing
    rows = select(Watch).where(Watch.id.in_(watch_ids), Watch.state == WatchState.OPEN)
    chosen = session.scalars(rows.order_by(Watch.id)).all()
    people = sorted({PartnerId(watch.partner_id) for watch in chosen})
    if verdict in (Verdict.CLEAR, Verdict.CONFIRM):
        for watch in chosen:
            fraud = verdict is Verdict.CONFIRM
            watches.decide(
                session, watch_id=watch.id, fraud=fraud, reason=reason, actor=actor, now=now, ip=ip
            )
    for partner_id in people if verdict in (Verdict.HOLD, Verdict.BAN) else ():
        act = ban if verdict is Verdict.BAN else risk.place_hold
        act(
            session,
            partner_id=partner_id,
            reason=reason,
            evidence={"watched": [str(w.rule) for w in chosen if w.partner_id == partner_id]},
            actor=actor,
            now=now,
            policy=policy,
            ip=ip,
        )
    return len(chosen)


def ban(
    session: Session,
    *,
    partner_id: PartnerId,
    reason: str,
    evidence: dict[str, Any],
    actor: str,
    now: datetime,
    policy: Policy,
    ip: str = "",
) -> None:
    """End the work with a partner as a fraud: what waits is refused, what they have is held.

    They read the reason in one mail, that of the ban.

    :raises bans.AlreadyClosed: :raises ReasonMissing: :raises queries.UnknownPartner:
    """
    queries.get(session, partner_id)
    risk.lock_hold(session, partner_id=partner_id)  # before the partner's row, as everywhere
    bans.ban(session, partner_id=partner_id, reason=reason, actor=actor, now=now, ip=ip)
    risk.place_hold(
        session,
        partner_id=partner_id,
        flag=Flag.FRAUD,
        reason=reason,
        evidence=evidence,
        actor=actor,
        now=now,
        policy=policy,
        ip=ip,
    )
    for watch in watches.open_of(session, partner_id):
        watches.decide(
            session, watch_id=watch.id, fraud=True, reason=reason, actor=actor, now=now, ip=ip
        )


def listed(
    session: Session,
    *,
    decided: bool = False,
    only: Collection[UUID] | None = None,
    after: UUID | None = None,
    limit: int = 50,
) -> Sequence[Line]:
    """Open watches by deadline, so overdue ones first; or decided ones, the newest first."""
    rows = select(Watch, User.email).join(Partner, Partner.id == Watch.partner_id)
    rows = rows.join(User, User.id == Partner.user_id)
    if only is not None:
        rows = rows.where(Watch.id.in_(only))
    if decided:
        rows = rows.where(Watch.state != WatchState.OPEN).order_by(Watch.id.desc())
        rows = rows.where(Watch.id < after) if after is not None else rows
    else:
        rows = rows.where(Watch.state == WatchState.OPEN).order_by(Watch.deadline, Watch.id)
        if after is not None:
            last = select(Watch.deadline, Watch.id).where(Watch.id == after).scalar_subquery()
            rows = rows.where(tuple_(Watch.deadline, Watch.id) > last)
    return [(row[0], row[1]) for row in session.execute(rows.limit(limit))]
