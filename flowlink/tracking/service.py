"""Links: a partner's short addresses; and what a fresh installation starts with."""

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from sqlalchemy import select
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.orm import Session

from flowlink.kernel import db
from flowlink.kernel.errors import NotFound, Refused
from flowlink.partners.ids import PartnerId
from flowlink.tracking import domains, names, networks, offers, wishes
from flowlink.tracking.ids import LinkId, OfferId
from flowlink.tracking.models import Domain, Link, Offer
from flowlink.tracking.wishes import Wishes

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
    host: str = "",
    wished: Wishes | None = None,
    now: datetime,
) -> Link:
    """A new link of an offer, to a page of the partner's choice where the offer allows it (spec 8).

    Asking again for the same slug with the same offer and destination gives the same link.
    `host` is a domain of the operator's list; `wished` says more than `destination` does.

    :raises offers.UnknownOffer: :raises offers.NoOffer: nothing can be promoted now.
    :raises destinations.BadDestination: :raises destinations.HostNotAllowed:
    :raises names.BadSlug: :raises names.ReservedSlug: :raises SlugTaken: somebody has it.
    :raises domains.UnknownDomain: :raises wishes.BadTag: and the other errors of `wishes.columns`.
    """
    wanted = prepare(
        session,
        offer_id=offer_id,
        host=host,
        wished=wished or Wishes(destination=destination),
        now=now,
    )
    wanted |= {"own_content": own_content}
    if slug is not None:
        code = names.check_slug(slug)
        return keep_link(session, partner_id=partner_id, code=code, wanted=wanted)
    return new_link(session, partner_id=partner_id, wanted=wanted)


def new_link(session: Session, *, partner_id: PartnerId, wanted: Mapping[str, Any]) -> Link:
    """A link with a code of our choice; `wanted` by `prepare`."""
    for _ in range(_ATTEMPTS):
        values = {**wanted, "partner_id": partner_id, "code": names.random_code()}
        link = _insert(session, values)
        if link is not None:
            return link
    raise AssertionError("no free code in 31**8")


def prepare(
    session: Session, *, offer_id: OfferId | None, host: str, wished: Wishes, now: datetime
) -> dict[str, Any]:
    """What a new link would be, its code and owner apart; nothing is written.

    :raises FlowlinkError: as `create_link` would, before it comes to the code.
    """
    offer = _offer(session, offer_id, now)
    domain = domains.named(session, host)
    return {
        **wishes.columns(wished, offer=offer, now=now),
        "offer_id": offer.id,
        "domain_id": None if domain is None else domain.id,
        "created_at": now,
    }


def keep_link(
    session: Session, *, partner_id: PartnerId, code: str, wanted: Mapping[str, Any]
) -> Link:
    """A link with this code, whatever it looks like; `wanted` by `prepare`.

    :raises SlugTaken: somebody has it, or it is there with another destination.
    """
    link = _insert(session, {**wanted, "partner_id": partner_id, "code": code})
    if link is not None:
        return link
    there = check_free(session, partner_id=partner_id, code=code, wanted=wanted)
    assert there is not None, "a code that is taken has its link"
    return there


def check_free(
    session: Session, *, partner_id: PartnerId, code: str, wanted: Mapping[str, Any]
) -> Link | None:
    """The link of this code if it is just what is wanted already; None when the code is free.

    :raises SlugTaken: somebody has it, or it is there with another destination.
    """
    there = Link.code == code, Link.domain_id.is_not_distinct_from(wanted["domain_id"])
    existing = session.scalar(select(Link).where(*there))
    if existing is None:
        return None
    same = existing.partner_id == partner_id and all(
        getattr(existing, name) == wanted[name] for name in ("offer_id", "destination")
    )
    if existing.disabled_at is not None or not same:
        raise SlugTaken
    return existing


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


def address(session: Session, link: Link) -> str:
    """The address to share, on the link's own domain or on our host."""
    domain = None if link.domain_id is None else session.get_one(Domain, link.domain_id)
    return domains.address(None if domain is None else domain.host, link.code)


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


def _insert(session: Session, values: Mapping[str, object]) -> Link | None:
    """The new link, or nothing when its code is taken, even by somebody at this moment."""
    statement = (
        insert(Link).values(**values).on_conflict_do_nothing(constraint="uq_tracking_link_code")
    )
    return session.scalars(statement.returning(Link)).one_or_none()
