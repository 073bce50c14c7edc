"""What a partner sees first: today, this month, the next release, links, and what needs them."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy import func, or_, select
from sqlalchemy.orm import Session

from flowlink.insights import earnings, live, reasons, watching
from flowlink.insights.live import Live
from flowlink.insights.reasons import Why
from flowlink.partners import letters, onboarding, queries as partners
from flowlink.partners.ids import PartnerId
from flowlink.partners.models import Partner
from flowlink.partners.onboarding_models import TermsText
from flowlink.payouts import cases, queries as payouts, tax
from flowlink.payouts.case_models import CaseState
from flowlink.risk import queries as risk
from flowlink.risk.models import Hold
from flowlink.tracking import queries as tracking, service
from flowlink.tracking.models import Link, Offer
from flowlink.tracking.rollups import LinkDayCount

SHOWN = 10
LATEST = 5


@dataclass(frozen=True)
class LinkLine:
    """A link and its valid clicks: of the last 30 days, and today."""

    link: Link
    offer: str
    url: str
    clicks_30d: int
    clicks_today: int


@dataclass(frozen=True)
class Portal:
    """The first page after signing in. `needs_details`: invoices of what they asked for wait."""

    partner: Partner
    email: str
    live: Live
    links: Sequence[LinkLine]
    clicks: Sequence[tracking.ClickLine]
    sales: Sequence[earnings.Sale]
    holds: Sequence[Hold]
    watches: Sequence[watching.Watching]
    offers: Sequence[Offer]
    offer: tracking.CurrentOffer | None
    has_method: bool
    needs_details: bool
    stopped: Sequence[earnings.Stopped]
    reasons: Sequence[Why]
    terms: TermsText | None
    new_terms: bool
    cases_open: int
    letters: Sequence[letters.Letter]

    @property
    def offer_choices(self) -> Sequence[tuple[str, str]]:
        """The open offers as a form offers them."""
        return [(offer.name, offer.name) for offer in self.offers]


def portal(session: Session, *, partner_id: PartnerId, now: datetime) -> Portal:
    """Everything on the portal, read at one moment."""
    partner = partners.get(session, partner_id)
    has_method = bool(payouts.methods(session, partner_id))
    return Portal(
        partner=partner,
        email=partners.email_of(session, partner_id),
        live=live.counters(session, partner_id=partner_id, now=now),
        links=links(session, partner_id=partner_id, now=now, limit=SHOWN),
        clicks=tracking.clicks_of(session, partner_id=partner_id, limit=LATEST),
        sales=earnings.sales(session, partner_id=partner_id, limit=LATEST),
        holds=risk.holds_of(session, partner_id),
        watches=watching.of_partner(session, partner_id),
        offers=_offers(session, now),
        offer=tracking.current_offer(session, now),
        has_method=has_method,
        needs_details=has_method and not _on_paper(session, partner_id),
        stopped=earnings.stopped(session, partner_id=partner_id, now=now),
        reasons=reasons.of_partner(session, partner=partner, now=now),
        terms=onboarding.current(session, now),
        new_terms=partner.terms_version != onboarding.version_in_force(session, now),
        cases_open=sum(
            case.state == CaseState.OPEN for case in cases.cases_of(session, partner_id)
        ),
        letters=letters.letters(session, partner_id, limit=LATEST),
    )


def links(
    session: Session, *, partner_id: PartnerId, now: datetime, limit: int
) -> Sequence[LinkLine]:
    """A partner's links that still lead somewhere, the newest first."""
    month_ago = now.date() - timedelta(days=30)
    recent = LinkDayCount.day > month_ago
    today = LinkDayCount.day == now.date()
    counted = (
        select(
            LinkDayCount.link,
            func.sum(LinkDayCount.valid).label("month"),
            func.sum(LinkDayCount.valid).filter(today).label("today"),
        )
        .join(Link, Link.number == LinkDayCount.link)
        .where(Link.partner_id == partner_id, recent)
        .group_by(LinkDayCount.link)
        .subquery()
    )
    rows = (
        select(
            Link,
            Offer.name,
            func.coalesce(counted.c.month, 0),
            func.coalesce(counted.c.today, 0),
        )
        .join(Offer, Offer.id == Link.offer_id)
        .outerjoin(counted, counted.c.link == Link.number)
        .where(Link.partner_id == partner_id, Link.disabled_at.is_(None))
        .order_by(Link.id.desc())
        .limit(limit)
    )
    return [
        LinkLine(link, offer, service.address(session, link), int(month), int(day))
        for link, offer, month, day in session.execute(rows)
    ]


def _on_paper(session: Session, partner_id: PartnerId) -> bool:
    """Whether their invoices can be written."""
    profile = tax.current(session, partner_id)
    return profile is not None and profile.mandate == tax.MANDATE


def _offers(session: Session, now: datetime) -> Sequence[Offer]:
    going_on = or_(Offer.ends_at.is_(None), Offer.ends_at > now)
    return session.scalars(select(Offer).where(Offer.active, going_on).order_by(Offer.name)).all()
