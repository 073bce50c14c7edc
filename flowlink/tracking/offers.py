"""Offers: what partners can promote, where it leads, and what it pays.

Every change makes a version. What happened before it keeps the terms that it happened under:
a click, and a conversion that began with one, belong to the version in force at the click.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal, InvalidOperation
from typing import Any

from sqlalchemy import func, or_, select
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.orm import Session

from flowlink.kernel import audit, db, ids, settings
from flowlink.kernel.errors import Invalid, NotFound, Refused
from flowlink.kernel.money import BadAmount, Money
from flowlink.tracking import budgets, destinations, names
from flowlink.tracking.ids import OFFER, OfferId
from flowlink.tracking.models import Mode, Network, Offer, OfferVersion

DEFAULT = "default"
_FULL_BPS = 10_000
_LONGEST_HOST = 260


class UnknownOffer(NotFound):
    message = "There is no offer of this name."
    field = "offer"


class NoOffer(Refused):
    message = "There is no offer to promote at the moment."
    field = "offer"


class OfferExists(Refused):
    message = "An offer of this name exists already."
    field = "name"


class BadTerms(Invalid):
    message = "A cpc offer needs a price per click above zero; a revshare offer has none."
    field = "cpc"


class BadShare(Invalid):
    message = "A share lies between 0 and 1."
    field = "share"


class BadBudget(Invalid):
    message = "A budget cannot be negative."
    field = "budget"


class BadCap(Invalid):
    message = "A cap cannot be negative."
    field = "cap_daily"


class BadTerm(Invalid):
    message = "An offer starts before it ends."
    field = "ends_at"


class OfferChanged(Refused):
    message = "Somebody else has changed this offer meanwhile. Please look at it again."
    field = "version"


class BadHost(Invalid):
    message = "“%(host)s” is not the name of a host."
    field = "allowed_hosts"


@dataclass(frozen=True, slots=True, kw_only=True)
class Terms:
    """What a version of an offer says. Without `share_bps` the policy's share applies.

    Caps bound what clicks may cost: of one partner in a UTC day, of all in a day, and for ever.
    """

    mode: Mode
    destination: str
    share_bps: int | None = None
    cpc: Money | None = None
    cap_total: Money | None = None
    cap_daily: Money | None = None
    cap_partner_daily: Money | None = None
    starts_at: datetime | None = None
    ends_at: datetime | None = None
    allowed_hosts: Sequence[str] = ()
    active: bool = True


@dataclass(frozen=True, slots=True, kw_only=True)
class OfferIn(Terms):
    """A new offer. `budget` is paid in at once: clicks are paid from it, and from nothing else."""

    name: str
    budget: Money | None = None


def create(
    session: Session, *, given: OfferIn, network: Network, actor: str, now: datetime, ip: str = ""
) -> Offer:
    """Add an offer of this network.

    :raises OfferExists: the name is taken.
    :raises BadTerms: :raises BadShare: :raises BadBudget: :raises BadCap: :raises BadTerm:
    :raises BadHost: :raises destinations.BadDestination: not an absolute web address (macros
        allowed).
    """
    name = names.check_name(given.name)
    db.advisory_lock(session, "tracking.offers")
    if session.scalar(select(Offer.id).where(func.lower(Offer.name) == name.lower())):
        raise OfferExists
    if given.budget is not None and given.budget.micro < 0:
        raise BadBudget
    values = _columns(given)
    fixed = {"name": name, "network_id": network.id, "currency": "EUR", "version": 1}
    added = insert(Offer).values(**fixed, **values, created_at=now)
    offer = session.scalars(added.returning(Offer)).one()
    session.add(OfferVersion(offer_id=offer.id, version=1, in_force_at=now, actor=actor, **values))
    session.flush()  # whoever pins the version finds it
    audit.record(session, actor, "offer.created", ids.public(OFFER, offer.id), now, ip, name=name)
    if given.budget:
        budgets.fund(session, offer=offer, amount=given.budget, actor=actor, now=now, ip=ip)
    return offer


def change(
    session: Session,
    *,
    offer_id: OfferId,
    terms: Terms,
    version: int,
    actor: str,
    now: datetime,
    ip: str = "",
) -> Offer:
    """Let the offer have other terms from now on, as its next version. The same terms make none.

    :raises OfferChanged: `version`, which the change is meant for, is not the latest any more.
    :raises UnknownOffer: and what `create` raises about terms.
    """
    values = _columns(terms)
    found = db.lock(session, Offer, Offer.id == offer_id)
    if not found:
        raise UnknownOffer
    offer = found[0]
    if offer.version != version:
        raise OfferChanged
    changed = {key: value for key, value in values.items() if getattr(offer, key) != value}
    if not changed:
        return offer
    before = session.get_one(OfferVersion, (offer.id, version))
    for key, value in changed.items():
        setattr(offer, key, value)
    offer.version += 1
    session.add(
        OfferVersion(
            offer_id=offer.id,
            version=offer.version,
            in_force_at=max(now, before.in_force_at + timedelta(microseconds=1)),
            actor=actor,
            **values,
        )
    )
    session.flush()  # a constraint that says no says it here
    subject = ids.public(OFFER, offer.id)
    told = {key: str(value) for key, value in changed.items()}
    audit.record(
        session, actor, "offer.changed", subject, now, ip, version=offer.version, changes=told
    )
    return offer


def terms_of(offer: Offer | OfferVersion) -> Terms:
    """What the offer, or one of its versions, says."""
    return Terms(
        mode=Mode(offer.mode),
        destination=offer.destination,
        share_bps=offer.share_bps,
        cpc=_money(offer.cpc_micro),
        cap_total=_money(offer.cap_total_micro),
        cap_daily=_money(offer.cap_daily_micro),
        cap_partner_daily=_money(offer.cap_partner_daily_micro),
        starts_at=offer.starts_at,
        ends_at=offer.ends_at,
        allowed_hosts=tuple(offer.allowed_hosts),
        active=offer.active,
    )


def in_force(session: Session, *, offer_id: OfferId, at: datetime) -> OfferVersion:
    """The version that was in force at `at`; the first one for all that was before it."""
    mine = select(OfferVersion).where(OfferVersion.offer_id == offer_id)
    then = mine.where(or_(OfferVersion.in_force_at <= at, OfferVersion.version == 1))
    return session.scalars(then.order_by(OfferVersion.version.desc()).limit(1)).one()


def price(text: str) -> Money:
    """An amount as typed or sent, down to the millionth: clicks may cost less than a cent.

    :raises BadAmount:
    """
    try:
        return Money.exact(Decimal(text.strip().replace(",", ".")))
    except InvalidOperation:
        raise BadAmount from None


def named(session: Session, name: str) -> Offer:
    """The offer of this name, or with this public id.

    :raises UnknownOffer: there is none.
    """
    wanted = func.lower(Offer.name) == name.lower()
    if name.startswith(f"{OFFER}_"):
        wanted = Offer.id == ids.parse(OFFER, name)
    offer = None if "\x00" in name else session.scalar(select(Offer).where(wanted))
    if offer is None:
        raise UnknownOffer
    return offer


def current(session: Session, *, now: datetime) -> Offer | None:
    """The offer that new links get unless they name one: `default`, else the newest open one."""
    by_preference = (Offer.name == DEFAULT).desc(), Offer.id.desc()
    started = or_(Offer.starts_at.is_(None), Offer.starts_at <= now)
    going_on = or_(Offer.ends_at.is_(None), Offer.ends_at > now)
    rows = select(Offer).where(Offer.active, started, going_on)
    return session.scalar(rows.order_by(*by_preference).limit(1))


def allowed_hosts(offer: Offer, *, base_url: str) -> list[str]:
    """Where partners may lead visitors: the offer's own host, and those named beside it."""
    return [destinations.host_of(offer.destination, base_url=base_url), *offer.allowed_hosts]


def seed(session: Session, *, network: Network, now: datetime) -> Offer:
    """The offer `default` of a fresh installation (spec 8)."""
    found = session.scalar(select(Offer).where(Offer.name == DEFAULT))
    if found is not None:
        return found
    given = OfferIn(name=DEFAULT, mode=Mode.REVSHARE, destination="{base_url}/go")
    return create(session, given=given, network=network, actor="seed", now=now)


def _columns(given: Terms) -> dict[str, Any]:
    """The terms as the columns that an offer and its versions have in common, once checked."""
    check_terms(given)
    return {
        "mode": given.mode,
        "destination": destinations.cleaned(given.destination, base_url=settings.current().url),
        "share_bps": given.share_bps,
        "cpc_micro": _micro(given.cpc),
        "cap_total_micro": _micro(given.cap_total),
        "cap_daily_micro": _micro(given.cap_daily),
        "cap_partner_daily_micro": _micro(given.cap_partner_daily),
        "starts_at": given.starts_at,
        "ends_at": given.ends_at,
        "allowed_hosts": [_checked_host(host) for host in given.allowed_hosts],
        "active": given.active,
    }


def check_terms(given: Terms) -> None:
    """:raises BadTerms: :raises BadShare: :raises BadCap: :raises BadTerm:"""
    if (given.mode == Mode.CPC) != (given.cpc is not None):
        raise BadTerms
    if given.cpc is not None and given.cpc.micro <= 0:
        raise BadTerms
    if given.share_bps is not None and not 0 <= given.share_bps <= _FULL_BPS:
        raise BadShare
    for cap in (given.cap_total, given.cap_daily, given.cap_partner_daily):
        if cap is not None and cap.micro < 0:
            raise BadCap
    if given.starts_at and given.ends_at and given.starts_at >= given.ends_at:
        raise BadTerm


def _micro(amount: Money | None) -> int | None:
    return None if amount is None else amount.micro


def _money(micro: int | None) -> Money | None:
    return None if micro is None else Money(micro)


def _checked_host(text: str) -> str:
    host = text.strip().lower()
    bare = host.removeprefix("*.")
    try:
        plain = destinations.host_of(
            destinations.cleaned(f"https://{bare}/", base_url=""), base_url=""
        )
    except destinations.BadDestination:
        raise BadHost(host=text) from None
    if "/" in bare or "?" in bare or "#" in bare or len(bare) > _LONGEST_HOST or "{" in bare:
        raise BadHost(host=text)
    return f"*.{plain}" if host.startswith("*.") else plain
