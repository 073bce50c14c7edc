"""Offers: what partners can promote, where it leads, and what it pays."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import func, select
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.orm import Session

from flowlink.kernel import audit, db, ids, settings
from flowlink.kernel.errors import Invalid, NotFound, Refused
from flowlink.kernel.money import Money
from flowlink.tracking import destinations, names
from flowlink.tracking.ids import OFFER
from flowlink.tracking.models import Mode, Network, Offer

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


class BadHost(Invalid):
    message = "“%(host)s” is not the name of a host."
    field = "allowed_hosts"


@dataclass(frozen=True, slots=True)
class OfferIn:
    """What an operator says about an offer. Without `share_bps` the policy's share applies."""

    name: str
    mode: Mode
    destination: str
    share_bps: int | None = None
    cpc: Money | None = None
    budget: Money | None = None
    daily_budget: Money | None = None
    allowed_hosts: Sequence[str] = ()


def create(
    session: Session, *, given: OfferIn, network: Network, actor: str, now: datetime, ip: str = ""
) -> Offer:
    """Add an offer of this network.

    :raises OfferExists: the name is taken.
    :raises BadTerms: :raises BadShare: :raises BadBudget: :raises BadHost:
    :raises destinations.BadDestination: not an absolute web address (macros allowed).
    """
    name = names.check_name(given.name)
    db.advisory_lock(session, "tracking.offers")
    if session.scalar(select(Offer.id).where(func.lower(Offer.name) == name.lower())):
        raise OfferExists
    _check_terms(given)
    destination = destinations.cleaned(given.destination, base_url=settings.current().url)
    values = insert(Offer).values(
        name=name,
        network_id=network.id,
        mode=given.mode,
        destination=destination,
        share_bps=given.share_bps,
        cpc_micro=_micro(given.cpc),
        budget_micro=_micro(given.budget),
        daily_budget_micro=_micro(given.daily_budget),
        currency="EUR",
        allowed_hosts=[_checked_host(host) for host in given.allowed_hosts],
        version=1,
        active=True,
        created_at=now,
    )
    offer = session.scalars(values.returning(Offer)).one()
    audit.record(session, actor, "offer.created", ids.public(OFFER, offer.id), now, ip, name=name)
    return offer


def named(session: Session, name: str) -> Offer:
    """The offer of this name, or with this public id.

    :raises UnknownOffer: there is none.
    """
    wanted = func.lower(Offer.name) == name.lower()
    if name.startswith(f"{OFFER}_"):
        wanted = Offer.id == ids.parse(OFFER, name)
    offer = session.scalar(select(Offer).where(wanted))
    if offer is None:
        raise UnknownOffer
    return offer


def current(session: Session) -> Offer | None:
    """The offer that new links get unless they name one: `default`, else the newest active."""
    by_preference = (Offer.name == DEFAULT).desc(), Offer.id.desc()
    return session.scalar(select(Offer).where(Offer.active).order_by(*by_preference).limit(1))


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


def _check_terms(given: OfferIn) -> None:
    if (given.mode == Mode.CPC) != (given.cpc is not None):
        raise BadTerms
    if given.cpc is not None and given.cpc.micro <= 0:
        raise BadTerms
    if given.share_bps is not None and not 0 <= given.share_bps <= _FULL_BPS:
        raise BadShare
    if any(
        amount is not None and amount.micro < 0 for amount in (given.budget, given.daily_budget)
    ):
        raise BadBudget


def _micro(amount: Money | None) -> int | None:
    return None if amount is None else amount.micro


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
