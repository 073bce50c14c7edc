"""Placing and lifting holds, and the lock under which a partner's money moves."""

from collections.abc import Collection, Sequence
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import select
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.orm import Session

from flowlink.identity import queries as identity
from flowlink.identity.ids import UserId
from flowlink.kernel import audit, db, events, settings
from flowlink.kernel.errors import Invalid, Refused
from flowlink.kernel.policy import Policy
from flowlink.notify import service as notify
from flowlink.partners import ids as partner_ids, own_affairs, queries as partners
from flowlink.partners.ids import PartnerId
from flowlink.partners.models import PartnerStatus
from flowlink.risk.models import Flag, Hold, Standing


class ReasonMissing(Invalid):
    message = "Please give a reason."
    field = "reason"


class NotOnHold(Refused):
    message = "This partner is not on hold."


def lock_hold(session: Session, *, partner_id: PartnerId) -> Hold | None:
    """The hold that binds this partner, read under the lock that placing one takes.

    Until the transaction ends no hold is placed or lifted, and no money of this partner is moved
    by anybody else.
    """
    return lock_holds(session, partner_ids=[partner_id]).get(partner_id)


def lock_holds(session: Session, *, partner_ids: Collection[PartnerId]) -> dict[PartnerId, Hold]:
    """As `lock_hold`, for many partners at once, always locked in the same order."""
    wanted = sorted(set(partner_ids))
    if not wanted:
        return {}
    rows = [{"id": partner_id} for partner_id in wanted]
    session.execute(insert(Standing).values(rows).on_conflict_do_nothing())
    db.lock(session, Standing, Standing.id.in_(wanted))
    return {PartnerId(hold.partner_id): hold for hold in _open(session, wanted)}


def place_hold(
    session: Session,
    *,
    partner_id: PartnerId,
    flag: Flag = Flag.HOLD,
    reason: str,
    evidence: dict[str, Any],
    actor: str,
    now: datetime,
    policy: Policy,
    ip: str = "",
) -> Hold:
    """Keep a partner's money and publications back from now on, for a reason they can read.

    While a hold with this flag binds, placing another changes nothing and returns the first.
    A banned partner gets no mail of it: that of the ban said why.
    """
    if not reason.strip():
        raise ReasonMissing
    partner = partners.get(session, partner_id)
    lock_hold(session, partner_id=partner_id)
    for binding in _open(session, [partner_id]):
        if binding.flag == flag:
            return binding
    hold = Hold(
        partner_id=partner_id,
        flag=flag,
        reason=reason.strip(),
        evidence=evidence,
        placed_by=actor,
        created_at=now,
        deadline=now + timedelta(days=policy.risk_hold_days),
    )
    session.add(hold)
    session.flush()  # the event names the hold
    _tell(session, "hold.placed", hold)
    subject = partner_ids.public(partner_id)
    facts = {"flag": str(flag), "reason": hold.reason, "evidence": evidence}
    audit.record(session, actor, "placed hold", subject, now, ip, **facts)
    if partner.status != PartnerStatus.CLOSED:
        _write_to(session, hold, template="risk/email/hold_placed", now=now)
    return hold


def lift_hold(
    session: Session,
    *,
    partner_id: PartnerId,
    reason: str,
    actor: str,
    now: datetime,
    ip: str = "",
) -> Sequence[Hold]:
    """Lift every hold that binds this partner. Rules look only at clicks from `now` on (spec 3).

    The partner reads the reason; one who is closed gets no mail, for nothing is open again.

    :raises ReasonMissing: a person says why.
    :raises NotOnHold: nothing binds this partner. :raises OwnAffair: `actor` is the partner.
    """
    if not reason.strip():
        raise ReasonMissing
    own_affairs.refuse(session, partner_id=partner_id, actor=actor)
    if lock_hold(session, partner_id=partner_id) is None:
        raise NotOnHold
    lifted = _open(session, [partner_id])
    for hold in lifted:
        hold.lifted_at, hold.lifted_by, hold.lifted_reason = now, actor, reason.strip()
        _tell(session, "hold.lifted", hold)
    subject = partner_ids.public(partner_id)
    facts = {"flags": [str(hold.flag) for hold in lifted], "reason": reason.strip()}
    audit.record(session, actor, "lifted hold", subject, now, ip, **facts)
    if partners.get(session, partner_id).status != PartnerStatus.CLOSED:
        _write_to(session, lifted[0], template="risk/email/hold_lifted", now=now)
    return lifted


def _open(session: Session, partner_ids: Collection[PartnerId]) -> Sequence[Hold]:
    """What binds now: a statement of its own, so that it sees what was placed before our lock."""
    rows = select(Hold).where(Hold.partner_id.in_(partner_ids), Hold.lifted_at.is_(None))
    fresh = rows.order_by(Hold.id.desc()).execution_options(populate_existing=True)
    return session.scalars(fresh).all()


def _write_to(session: Session, hold: Hold, *, template: str, now: datetime) -> None:
    """Tell the partner, with the reason (spec 3)."""
    user_id = UserId(partners.get(session, PartnerId(hold.partner_id)).user_id)
    notify.send(
        session,
        to=identity.email_of(session, user_id),
        template=template,
        lang=identity.lang_of(session, user_id),
        context={
            "reason": hold.lifted_reason or hold.reason,
            "rule": str(hold.evidence.get("rule", "")),
            "clicks": str(hold.evidence.get("clicks", "")),
            "addresses": str(hold.evidence.get("ip_hashes", "")),
            "valid": str(hold.evidence.get("valid", "")),
            "limit": str(hold.evidence.get("limit", "")),
            "url": f"{settings.current().url}/partner/portal",
        },
        source=f"{template}:{hold.id}",
        now=now,
    )


def _tell(session: Session, name: str, hold: Hold) -> None:
    events.emit(session, name, {"hold_id": str(hold.id), "partner_id": str(hold.partner_id)})
