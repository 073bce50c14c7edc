"""Lists of links to look through: a partner's own, or everybody's for operators."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from uuid import UUID

from sqlalchemy import ColumnElement, any_, func, literal, or_, select
from sqlalchemy.orm import Session

from flowlink.kernel import settings
from flowlink.partners.ids import PartnerId
from flowlink.partners.models import Partner
from flowlink.tracking import domains, service, statistics
from flowlink.tracking.ids import LinkId
from flowlink.tracking.models import Domain, Link, Offer


class State(StrEnum):
    """Whether a link leads somewhere."""

    ACTIVE = "active"
    DISABLED = "disabled"
    EXPIRED = "expired"


@dataclass(frozen=True, slots=True)
class Line:
    """A link as lists show it, with all its clicks so far."""

    link: Link
    offer: Offer
    host: str | None
    partner: Partner
    state: State
    valid: int = 0
    flagged: int = 0

    @property
    def address(self) -> str:
        """The short address to share."""
        return domains.address(self.host, self.link.code)

    @property
    def destination(self) -> str:
        """Where it leads, its own destination before its offer's."""
        return self.link.destination or self.offer.destination

    @property
    def leads_to(self) -> str:
        """The same as people read it."""
        return self.destination.replace("{base_url}", settings.current().url)


@dataclass(frozen=True, slots=True)
class Filter:
    """What a reader looks for; empty means everything."""

    q: str = ""
    tag: str = ""
    state: State | None = None


def lines(
    session: Session,
    *,
    now: datetime,
    partner_id: PartnerId | None = None,
    wanted: Filter | None = None,
    before: UUID | None = None,
    limit: int = 50,
) -> Sequence[Line]:
    """Links, newest first, with their clicks so far."""
    asked = _matching(wanted or Filter(), now)
    if partner_id is not None:
        asked.append(Link.partner_id == partner_id)
    if before is not None:
        asked.append(Link.id < before)
    return _lines(session, asked, now=now, limit=limit)


def line(session: Session, *, link_id: LinkId, partner_id: PartnerId, now: datetime) -> Line:
    """One link of this partner.

    :raises service.UnknownLink:
    """
    asked = [Link.id == link_id, Link.partner_id == partner_id]
    found = _lines(session, asked, now=now, limit=1)
    if not found:
        raise service.UnknownLink
    return found[0]


def tags_of(session: Session, *, partner_id: PartnerId) -> Sequence[str]:
    """All tags that a partner uses, by name."""
    words = select(func.unnest(Link.tags).label("tag")).where(Link.partner_id == partner_id)
    tag = words.subquery().c.tag
    return session.scalars(select(tag).distinct().order_by(tag)).all()


def _lines(
    session: Session, asked: list[ColumnElement[bool]], *, now: datetime, limit: int
) -> list[Line]:
    rows = session.execute(
        select(Link, Offer, Domain.host, Partner)
        .join(Offer, Offer.id == Link.offer_id)
        .join(Partner, Partner.id == Link.partner_id)
        .outerjoin(Domain, Domain.id == Link.domain_id)
        .where(*asked)
        .order_by(Link.id.desc())
        .limit(limit)
    ).all()
    counts = statistics.totals(session, [row[0] for row in rows])
    return [
        Line(link, offer, host, partner, _state(link, now), *counts.get(link.number, (0, 0)))
        for link, offer, host, partner in rows
    ]


def _state(link: Link, now: datetime) -> State:
    if link.disabled_at is not None:
        return State.DISABLED
    if link.expires_at is not None and link.expires_at <= now:
        return State.EXPIRED
    return State.ACTIVE


def _matching(wanted: Filter, now: datetime) -> list[ColumnElement[bool]]:
    asked: list[ColumnElement[bool]] = []
    if q := wanted.q.strip():
        texts = (Link.code, Link.note, Link.destination, Offer.name)
        asked.append(or_(*(text.icontains(q, autoescape=True) for text in texts)))
    if wanted.tag:
        asked.append(literal(wanted.tag.lower()) == any_(Link.tags))
    over = Link.expires_at <= now
    match wanted.state:
        case State.DISABLED:
            asked.append(Link.disabled_at.is_not(None))
        case State.EXPIRED:
            asked += [Link.disabled_at.is_(None), over]
        case State.ACTIVE:
            asked += [Link.disabled_at.is_(None), or_(Link.expires_at.is_(None), ~over)]
    return asked
