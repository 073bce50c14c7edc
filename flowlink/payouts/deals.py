"""What is agreed beside an offer's own terms: with everybody, with a group, or with one partner.

Every change is a new version with a reason, in force from now or from a later moment on; what was
earned before keeps what it was earned under.
"""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import select
from sqlalchemy.orm import Session

from flowlink.kernel import audit, db, ids
from flowlink.kernel.errors import Invalid, Refused
from flowlink.kernel.money import FULL_BPS, Money
from flowlink.partners import groups, own_affairs
from flowlink.partners.group_models import Group
from flowlink.partners.ids import PartnerId
from flowlink.payouts import agreed
from flowlink.payouts.deal_models import Deal
from flowlink.payouts.ids import DEAL
from flowlink.payouts.terms import Tier, checked_tiers
from flowlink.tracking.models import Offer

MONTHS_MAX = 600
DAYS_MAX = 3650


class BadDeal(Invalid):
    message = "Shares lie between 0 and 100 percent, amounts and times are not negative."
    field = "share"


class BadTiers(Invalid):
    message = "Tiers are lines such as “1000 65”: sold in the month, share. They rise from above 0."
    field = "tiers"


class BadDealTerm(Invalid):
    message = "What is agreed begins now or later, and ends after it begins."
    field = "from"


class DealReason(Invalid):
    message = "Please say why: the reason is kept with the version."
    field = "reason"


class DealChanged(Refused):
    message = "Somebody else has changed this meanwhile. Please look at it again."
    field = "version"


class NothingAgreed(Refused):
    message = "Nothing is agreed here that could end."


@dataclass(frozen=True, slots=True)
class Scope:
    """With whom (one of both, or everybody) and about what (one offer, or all)."""

    group_id: UUID | None = None
    partner_id: UUID | None = None
    offer_id: UUID | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Agreement:
    """What a deal says; an empty field leaves it to what is less special."""

    share_bps: int | None = None
    own_share_bps: int | None = None
    cpc: Money | None = None
    reserve_bps: int | None = None
    release_days: int | None = None
    cap_day: Money | None = None
    cap_month: Money | None = None
    months: int | None = None
    tiers: tuple[Tier, ...] = ()
    marginal: bool = False


@dataclass(frozen=True)
class DealLine:
    """A version with the names of whom and what it is about."""

    deal: Deal
    offer: str | None
    state: str


def agree(
    session: Session,
    *,
    scope: Scope,
    agreement: Agreement,
    version: int,
    reason: str,
    actor: str,
    now: datetime,
    from_at: datetime | None = None,
    until_at: datetime | None = None,
    ip: str = "",
) -> Deal:
    """The next version of this scope. `version` is the latest that was looked at, 0 for none.

    :raises BadDeal: :raises BadTiers: :raises BadDealTerm: :raises DealReason:
    :raises DealChanged: another version was made meanwhile.
    :raises OwnAffair: `actor` is the partner, or one of the group.
    """
    _check(agreement)
    begins = from_at or now
    if begins < now or (until_at is not None and until_at <= begins):
        raise BadDealTerm
    values = _columns(agreement) | {"in_force_at": begins, "until_at": until_at}
    return _add(
        session, scope, version, values, reason=reason, actor=actor, now=now, ip=ip, ended=False
    )


def end(
    session: Session,
    *,
    scope: Scope,
    version: int,
    reason: str,
    actor: str,
    now: datetime,
    ip: str = "",
) -> Deal:
    """From now on nothing is agreed here.

    :raises NothingAgreed: :raises DealReason: :raises DealChanged: :raises OwnAffair:
    """
    last = _latest(session, scope)
    if last is None or last.ended:
        raise NothingAgreed
    values = {"in_force_at": now}
    return _add(
        session, scope, version, values, reason=reason, actor=actor, now=now, ip=ip, ended=True
    )


def history(
    session: Session,
    *,
    now: datetime,
    group_id: UUID | None = None,
    partner_id: UUID | None = None,
    offer_id: UUID | None = None,
) -> Sequence[DealLine]:
    """Every version about this group, this partner, or everybody on this offer; newest first."""
    rows = select(Deal, Offer.name).outerjoin(Offer, Offer.id == Deal.offer_id)
    if group_id is not None or partner_id is not None:
        rows = rows.where(Deal.group_id == group_id if group_id else Deal.partner_id == partner_id)
    else:
        everybody = Deal.group_id.is_(None), Deal.partner_id.is_(None)
        rows = rows.where(*everybody, Deal.offer_id == offer_id)
    found = [(row[0], row[1]) for row in session.execute(rows.order_by(Deal.id.desc()))]
    by_scope: dict[tuple[UUID | None, UUID | None, UUID | None], list[Deal]] = {}
    for deal, _ in found:
        by_scope.setdefault(_key(deal), []).append(deal)
    return [DealLine(deal, name, _state(deal, by_scope[_key(deal)], now)) for deal, name in found]


def named(session: Session, keys: Sequence[UUID]) -> dict[UUID, tuple[Deal, str | None]]:
    """These deals, with the name of the group where one is meant: for trails."""
    rows = select(Deal, Group.name).outerjoin(Group, Group.id == Deal.group_id)
    found = session.execute(rows.where(Deal.id.in_(keys)))
    return {deal.id: (deal, name) for deal, name in found}


def tiers_of(text: str) -> tuple[Tier, ...]:
    """Tiers as typed: a line each, how much was sold in euros, and the share in percent.

    :raises BadTiers:
    """
    found = []
    for line in filter(None, (line.strip() for line in text.splitlines())):
        words = line.replace("%", " ").replace("€", " ").replace(":", " ").split()
        if len(words) != 2:
            raise BadTiers
        try:
            found.append(Tier(Money.parse(words[0]).micro, Money.parse(words[1]).cents))
        except Invalid:
            raise BadTiers from None
    tiers = tuple(found)
    if not checked_tiers(tiers):
        raise BadTiers
    return tiers


def _add(
    session: Session,
    scope: Scope,
    version: int,
    values: dict[str, Any],
    *,
    reason: str,
    actor: str,
    now: datetime,
    ip: str,
    ended: bool,
) -> Deal:
    if not reason.strip():
        raise DealReason
    _refuse_own(session, scope, actor)
    db.advisory_lock(session, f"deal:{scope}")
    last = _latest(session, scope)
    if version != (last.version if last else 0):
        raise DealChanged
    deal = Deal(
        **asdict(scope),
        **values,
        version=version + 1,
        ended=ended,
        reason=reason.strip(),
        actor=actor,
        made_at=now,
    )
    session.add(deal)
    session.flush()  # a constraint that says no says it here
    told = {key: str(value) for key, value in values.items() if value not in (None, [], False)}
    about = {key: str(value) for key, value in asdict(scope).items() if value}
    subject = ids.public(DEAL, deal.id)
    action = "ended deal" if ended else "agreed deal"
    audit.record(
        session,
        actor,
        action,
        subject,
        now,
        ip,
        version=deal.version,
        reason=reason,
        **about,
        **told,
    )
    return deal


def _refuse_own(session: Session, scope: Scope, actor: str) -> None:
    """What is agreed with everybody may reach whoever agrees it; a group or partner is meant."""
    if scope.partner_id is not None:
        own_affairs.refuse(session, partner_id=PartnerId(scope.partner_id), actor=actor)
    if scope.group_id is not None:
        groups.refuse_member(session, group_id=scope.group_id, actor=actor)


def _latest(session: Session, scope: Scope) -> Deal | None:
    rows = select(Deal).where(
        Deal.group_id.is_not_distinct_from(scope.group_id),
        Deal.partner_id.is_not_distinct_from(scope.partner_id),
        Deal.offer_id.is_not_distinct_from(scope.offer_id),
    )
    return session.scalar(rows.order_by(Deal.version.desc()).limit(1))


def _check(given: Agreement) -> None:
    shares = (given.share_bps, given.own_share_bps, given.reserve_bps)
    if any(share is not None and not 0 <= share <= FULL_BPS for share in shares):
        raise BadDeal
    if any(amount is not None and amount.micro < 0 for amount in (given.cap_day, given.cap_month)):
        raise BadDeal
    if given.cpc is not None and given.cpc.micro <= 0:
        raise BadDeal
    for count, most in ((given.release_days, DAYS_MAX), (given.months, MONTHS_MAX)):
        if count is not None and not 0 <= count <= most:
            raise BadDeal
    if not checked_tiers(given.tiers):
        raise BadTiers


def _columns(given: Agreement) -> dict[str, Any]:
    return {
        "share_bps": given.share_bps,
        "own_share_bps": given.own_share_bps,
        "cpc_micro": given.cpc.micro if given.cpc else None,
        "reserve_bps": given.reserve_bps,
        "release_days": given.release_days,
        "cap_day_micro": None if given.cap_day is None else given.cap_day.micro,
        "cap_month_micro": None if given.cap_month is None else given.cap_month.micro,
        "months": given.months,
        "tiers": [asdict(tier) for tier in given.tiers],
        "marginal": given.marginal,
    }


def _key(deal: Deal) -> tuple[UUID | None, UUID | None, UUID | None]:
    return deal.group_id, deal.partner_id, deal.offer_id


def _state(deal: Deal, versions: Sequence[Deal], now: datetime) -> str:
    """Whether it is in force, still to come, or past."""
    if agreed.in_force(sorted(versions, key=lambda one: -one.version), now) is deal:
        return "active"
    if deal.in_force_at > now and not deal.ended:
        return "coming"
    return "past"
