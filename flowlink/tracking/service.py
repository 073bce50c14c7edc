"""Links: a partner's short addresses; and what a fresh installation starts with."""

from collections.abc import Mapping
from datetime import datetime

from sqlalchemy import select
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.orm import Session

from flowlink.kernel import db, settings
from flowlink.kernel.errors import NotFound, Refused
from flowlink.partners.ids import PartnerId
from flowlink.tracking import destinations, names, networks, offers
from flowlink.tracking.ids import LinkId, OfferId
from flowlink.tracking.models import Link, Offer

_ATTEMPTS = 5


class UnknownLink(NotFound):
    message = "There is no such link."


class SlugTaken(Refused):
    message = "This short name is taken. Please choose another one."
    field = "slug"


def create_link(
    session: Session,
    *,
    partner_id: PartnerId,
    offer_id: OfferId | None = None,
    destination: str | None = None,
    slug: str | None = None,
    own_content: bool = False,
    now: datetime,
) -> Link:
    """A new link of an offer, to a page of the partner's choice where the offer allows it (spec 8).

    Asking again for the same slug with the same offer and destination gives the same link.

    :raises offers.UnknownOffer: :raises offers.NoOffer: nothing can be promoted now.
    :raises destinations.BadDestination: :raises destinations.HostNotAllowed:
    :raises names.BadSlug: :raises names.ReservedSlug: :raises SlugTaken: somebody has it.
    """
    offer = _offer(session, offer_id, now)
    base_url = settings.current().url
    if destination is not None:
        destination = destinations.cleaned(destination, base_url=base_url)
        allowed = offers.allowed_hosts(offer, base_url=base_url)
        destinations.check_host(destination, allowed=allowed, base_url=base_url)
    wanted = {
        "partner_id": partner_id,
        "offer_id": offer.id,
        "destination": destination,
        "own_content": own_content,
        "created_at": now,
    }
    if slug is not None:
        return _with_slug(session, wanted, names.check_slug(slug))
    for _ in range(_ATTEMPTS):
        link = _insert(session, {**wanted, "code": names.random_code()})
        if link is not None:
            return link
    raise AssertionError("no free code in 31**8")


def disable_link(
    session: Session, *, link_id: LinkId, partner_id: PartnerId | None = None, now: datetime
) -> Link:
    """Let the link lead nowhere from now on; its clicks and conversions stay.

    With `partner_id` it has to be that partner's.

    :raises UnknownLink:
    """
    found = db.lock(session, Link, Link.id == link_id)
    if not found or partner_id not in {None, found[0].partner_id}:
        raise UnknownLink
    found[0].disabled_at = found[0].disabled_at or now
    return found[0]


def url(link: Link, *, base_url: str) -> str:
    """The address to share."""
    return f"{base_url}/l/{link.code}"


def seed(session: Session, *, base_url: str, now: datetime) -> None:
    """See that the network `direct` and the offer `default` are there (spec 8).

    The offer leads to `base_url` + `/go`, wherever `base_url` is later on.
    """
    db.advisory_lock(session, "tracking.seed")
    network = networks.seed(session, now=now)
    offers.seed(session, network=network, now=now)


def _offer(session: Session, offer_id: OfferId | None, now: datetime) -> Offer:
    offer = offers.current(session, now=now) if offer_id is None else session.get(Offer, offer_id)
    if offer is None:
        raise offers.NoOffer if offer_id is None else offers.UnknownOffer
    if not offer.active or (offer.ends_at is not None and offer.ends_at <= now):
        raise offers.NoOffer
    return offer


def _with_slug(session: Session, wanted: Mapping[str, object], slug: str) -> Link:
    link = _insert(session, {**wanted, "code": slug})
    if link is not None:
        return link
    existing = session.scalars(select(Link).where(Link.code == slug)).one()
    same = all(
        getattr(existing, name) == wanted[name]
        for name in ("partner_id", "offer_id", "destination")
    )
    if existing.disabled_at is not None or not same:
        raise SlugTaken
    return existing


def _insert(session: Session, values: Mapping[str, object]) -> Link | None:
    """The new link, or nothing when its code is taken, even by somebody at this moment."""
    statement = insert(Link).values(**values).on_conflict_do_nothing(index_elements=["code"])
    return session.scalars(statement.returning(Link)).one_or_none()
