"""Reads of what was agreed: groups, one partner, everybody on one offer; and what a form says."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from sqlalchemy import select
from sqlalchemy.orm import Session

from flowlink.kernel.money import Money
from flowlink.partners import groups, onboarding, queries as partners, referrals
from flowlink.partners.group_models import Group, Membership
from flowlink.partners.groups import GroupLine, Member
from flowlink.partners.ids import PartnerId
from flowlink.partners.models import Partner
from flowlink.partners.onboarding import Given
from flowlink.partners.onboarding_models import Referral
from flowlink.partners.referrals import ReferralLine
from flowlink.payouts import deals, rewards
from flowlink.payouts.deal_models import Deal
from flowlink.payouts.deals import DealLine, Scope
from flowlink.risk import scales
from flowlink.risk.watch_models import VelocityScale
from flowlink.tracking import offers
from flowlink.tracking.models import Link, Offer
from flowlink.web.lists import SIZE

LINKS_SHOWN = 200


def _percent(bps: int) -> str:
    """As a person types it: without zeros that say nothing."""
    return f"{Money.from_cents(bps).decimal():.2f}".rstrip("0").rstrip(".")


@dataclass(frozen=True)
class DealForm:
    """What is agreed in one scope, as the form for its next version begins with it."""

    scope: Scope
    offer: str
    latest: Deal | None
    offers: Sequence[str]

    @property
    def version(self) -> int:
        return self.latest.version if self.latest else 0

    @property
    def shown(self) -> Deal | None:
        """What the fields show: nothing, where the last version ended."""
        return self.latest if self.latest is not None and not self.latest.ended else None

    @property
    def tiers(self) -> str:
        """Tiers as they are typed."""
        rows = self.shown.tiers if self.shown else []
        return "\n".join(
            f"{Money(row['from_micro']).decimal():.2f} {_percent(row['share_bps'])}" for row in rows
        )


@dataclass(frozen=True)
class GroupPage:
    """A group with its members and all that was agreed with it."""

    group: Group
    members: Sequence[Member]
    deals: Sequence[DealLine]
    form: DealForm
    limits: Sequence[VelocityScale]


@dataclass(frozen=True)
class PartnerTerms:
    """A partner's group, overrides, answers, links, and whom they brought."""

    partner: Partner
    email: str
    group_id: UUID | None
    groups: Sequence[GroupLine]
    memberships: Sequence[tuple[Membership, str | None]]
    deals: Sequence[DealLine]
    form: DealForm
    answers: Sequence[Given]
    links: Sequence[Link]
    brought: Sequence[ReferralLine]
    brought_by: Referral | None
    rewards: Money


@dataclass(frozen=True)
class OfferTerms:
    """What was agreed with everybody about one offer, beside its own terms."""

    offer: Offer
    deals: Sequence[DealLine]
    form: DealForm


def group_page(
    session: Session, *, group_id: UUID, offer: str, before: UUID | None, now: datetime
) -> GroupPage:
    """:raises groups.UnknownGroup: :raises offers.UnknownOffer:"""
    lines = deals.history(session, group_id=group_id, now=now)
    return GroupPage(
        group=groups.get(session, group_id),
        members=groups.members(session, group_id, before=before, limit=SIZE + 1),
        deals=lines,
        form=_form(session, lines, offer, group_id=group_id),
        limits=scales.history(session, group_id=group_id),
    )


def partner_terms(
    session: Session, *, partner_id: PartnerId, offer: str, now: datetime
) -> PartnerTerms:
    """:raises partners.UnknownPartner: :raises offers.UnknownOffer:"""
    lines = deals.history(session, partner_id=partner_id, now=now)
    links = select(Link).where(Link.partner_id == partner_id).order_by(Link.id.desc())
    return PartnerTerms(
        partner=partners.get(session, partner_id),
        email=partners.email_of(session, partner_id),
        group_id=groups.group_of(session, partner_id),
        groups=groups.all_groups(session),
        memberships=groups.memberships(session, partner_id),
        deals=lines,
        form=_form(session, lines, offer, partner_id=partner_id),
        answers=onboarding.answers_of(session, partner_id),
        links=session.scalars(links.limit(LINKS_SHOWN)).all(),
        brought=referrals.brought(session, partner_id),
        brought_by=session.get(Referral, partner_id),
        rewards=rewards.total(session, partner_id),
    )


def offer_terms(session: Session, *, offer: Offer, now: datetime) -> OfferTerms:
    """What everybody gets on this offer beside what it says itself."""
    lines = deals.history(session, offer_id=offer.id, now=now)
    latest = lines[0].deal if lines else None
    form = DealForm(Scope(offer_id=offer.id), offer.name, latest, ())
    return OfferTerms(offer=offer, deals=lines, form=form)


def _form(
    session: Session,
    lines: Sequence[DealLine],
    offer: str,
    *,
    group_id: UUID | None = None,
    partner_id: UUID | None = None,
) -> DealForm:
    """The newest version of what is agreed on this offer (empty: on all) is where to start."""
    offer_id = offers.named(session, offer).id if offer else None
    scope = Scope(group_id=group_id, partner_id=partner_id, offer_id=offer_id)
    latest = next((line.deal for line in lines if line.deal.offer_id == offer_id), None)
    names = session.scalars(select(Offer.name).order_by(Offer.name)).all()
    return DealForm(scope, offer, latest, names)
