"""What an operator does to chosen partners at once: shown first, then done where it fits."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from sqlalchemy import select
from sqlalchemy.orm import Session

from flowlink.identity.models import User
from flowlink.insights import people
from flowlink.insights.people import Wanted
from flowlink.kernel.errors import Invalid
from flowlink.kernel.policy import Policy
from flowlink.partners import bans, letters, queries, service as partners
from flowlink.partners.ids import PartnerId
from flowlink.partners.models import Partner, PartnerStatus
from flowlink.risk import service as risk, verdicts
from flowlink.risk.models import Hold

CHOSEN_MAX = 500


class Act(StrEnum):
    APPROVE = "approve"
    DECLINE = "decline"
    MESSAGE = "message"
    HOLD = "hold"
    LIFT = "lift"
    BAN = "ban"


REASONED = (Act.DECLINE, Act.HOLD, Act.LIFT, Act.BAN)


class NothingChosen(Invalid):
    message = "Tick at least one partner."
    field = "partner"


class TooMany(Invalid):
    message = "More than %(max)s partners match. Narrow the search."
    field = "everyone"


@dataclass(frozen=True)
class Wish:
    """What shall be done, and what it says. `once` names the form: sent twice, it acts once."""

    act: Act
    reason: str = ""
    subject: str = ""
    body: str = ""
    once: str = ""

    def check(self) -> None:
        """:raises partners.ReasonMissing: :raises letters.NothingWritten:"""
        if self.act in REASONED and not self.reason.strip():
            raise partners.ReasonMissing
        if self.act is Act.MESSAGE and not (self.subject.strip() and self.body.strip()):
            raise letters.NothingWritten


@dataclass(frozen=True)
class Fate:
    """What the wish does to one partner; nothing if it does not fit them."""

    partner: Partner
    email: str
    on_hold: bool
    fits: bool


def everyone(session: Session, *, wanted: Wanted) -> list[PartnerId]:
    """All whom these filters match.

    :raises TooMany: more than one act may concern.
    """
    found = people.matching(session, wanted=wanted, limit=CHOSEN_MAX + 1)
    if len(found) > CHOSEN_MAX:
        raise TooMany(max=CHOSEN_MAX)
    return found


def preview(session: Session, *, chosen: Sequence[PartnerId], wish: Wish) -> Sequence[Fate]:
    """What would happen to each. Changes nothing.

    :raises NothingChosen: :raises partners.ReasonMissing: :raises letters.NothingWritten:
    :raises queries.UnknownPartner: one of them does not exist.
    """
    if not chosen:
        raise NothingChosen
    wish.check()
    held = select(Hold.id).where(Hold.partner_id == Partner.id, Hold.lifted_at.is_(None)).exists()
    rows = (
        select(Partner, User.email, held)
        .join(User, User.id == Partner.user_id)
        .where(Partner.id.in_(chosen))
        .order_by(Partner.id.desc())
    )
    fates = [
        Fate(partner, email, on_hold, _fits(wish.act, partner, on_hold=on_hold))
        for partner, email, on_hold in session.execute(rows)
    ]
    if len(fates) < len(chosen):
        raise queries.UnknownPartner
    return fates


def carry_out(
    session: Session,
    *,
    chosen: Sequence[PartnerId],
    wish: Wish,
    actor: str,
    policy: Policy,
    now: datetime,
    ip: str = "",
) -> int:
    """Do it to all whom it fits, in one transaction; returns to how many. Others stay as they are.

    :raises NothingChosen: :raises partners.ReasonMissing: :raises letters.NothingWritten:
    """
    fates = preview(session, chosen=chosen, wish=wish)
    who = Who(actor, policy, now, ip)
    fitting = sorted(PartnerId(fate.partner.id) for fate in fates if fate.fits)
    return sum(_do(session, each, wish, who) for each in fitting)


def _fits(act: Act, partner: Partner, *, on_hold: bool) -> bool:
    match act:
        case Act.APPROVE | Act.DECLINE:
            return partner.status == PartnerStatus.PENDING
        case Act.HOLD:
            return partner.status == PartnerStatus.ACTIVE and not on_hold
        case Act.LIFT:
            return on_hold
        case Act.BAN:
            return partner.status != PartnerStatus.CLOSED
        case Act.MESSAGE:
            return True


@dataclass(frozen=True)
class Who:
    """Who acts, when, from where, and by which numbers."""

    actor: str
    policy: Policy
    now: datetime
    ip: str


def _do(session: Session, partner_id: PartnerId, wish: Wish, who: Who) -> bool:
    """Whether it was done: if somebody else was quicker, nothing happens here."""
    try:
        if wish.act is Act.MESSAGE:
            return _write(session, partner_id, wish, who)
        if wish.act in (Act.APPROVE, Act.DECLINE):
            _decide(session, partner_id, wish, who)
        else:
            _restrain(session, partner_id, wish, who)
    except (partners.AlreadyDecided, risk.NotOnHold, bans.AlreadyClosed):
        return False
    return True


def _write(session: Session, partner_id: PartnerId, wish: Wish, who: Who) -> bool:
    return letters.write(
        session,
        partner_id=partner_id,
        subject=wish.subject,
        body=wish.body,
        once=wish.once,
        actor=who.actor,
        now=who.now,
        ip=who.ip,
    )


def _decide(session: Session, partner_id: PartnerId, wish: Wish, who: Who) -> None:
    actor, now, ip = who.actor, who.now, who.ip
    if wish.act is Act.APPROVE:
        partners.approve(session, partner_id=partner_id, actor=actor, now=now, ip=ip)
    else:
        reason = wish.reason
        partners.decline(session, partner_id=partner_id, reason=reason, actor=actor, now=now, ip=ip)


def _restrain(session: Session, partner_id: PartnerId, wish: Wish, who: Who) -> None:
    actor, now, ip, reason = who.actor, who.now, who.ip, wish.reason
    if wish.act is Act.LIFT:
        risk.lift_hold(session, partner_id=partner_id, reason=reason, actor=actor, now=now, ip=ip)
    elif wish.act is Act.BAN:
        verdicts.ban(
            session,
            partner_id=partner_id,
            reason=reason,
            evidence={"placed": "by hand"},
            actor=actor,
            now=now,
            policy=who.policy,
            ip=ip,
        )
    else:
        risk.place_hold(
            session,
            partner_id=partner_id,
            reason=reason,
            evidence={"placed": "by hand"},
            actor=actor,
            now=now,
            policy=who.policy,
            ip=ip,
        )
