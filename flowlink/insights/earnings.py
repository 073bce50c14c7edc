"""What a partner's earnings page and portal show: where their money is, and when it moves next."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from sqlalchemy import select
from sqlalchemy.orm import Session

from flowlink.insights import figures, trends, watching
from flowlink.insights.trends import PartnerTrends
from flowlink.kernel.money import Money
from flowlink.partners import queries as partners
from flowlink.partners.ids import PartnerId
from flowlink.partners.models import Partner
from flowlink.payouts import click_queries, queries as payouts
from flowlink.payouts.click_queries import AccrualLine
from flowlink.payouts.models import Commission, Zero
from flowlink.risk import queries as risk
from flowlink.risk.models import Hold
from flowlink.tracking.models import Conversion, Link, Mode, Offer

DAYS = 90
SHOWN = 20
ACCRUALS_SHOWN = 5


@dataclass(frozen=True)
class Stopped:
    """An offer on which the partner's clicks earn nothing now, and why."""

    offer: str
    reason: Zero


@dataclass(frozen=True)
class Earnings:
    """The earnings page. Gross is the share of sales and the paid clicks of the last 90 days."""

    partner: Partner
    balances: payouts.Balances
    gross: Money
    clicks: int
    epc: Money | None
    releases: Sequence[payouts.Release]
    withdrawals: Sequence[payouts.WithdrawalLine]
    methods: Sequence[payouts.SavedMethod]
    holds: Sequence[Hold]
    watches: Sequence[watching.Watching]
    trends: PartnerTrends
    accruals: Sequence[AccrualLine]
    stopped: Sequence[Stopped]


@dataclass(frozen=True)
class Sale:
    """A conversion and what it brought its partner."""

    conversion: Conversion
    offer: str
    commission: Commission | None

    @property
    def share(self) -> Money:
        """What was credited so far, or what is expected while the network has not confirmed."""
        if self.commission is None:
            return Money.zero(self.conversion.currency)
        micro = self.commission.share_micro + self.commission.pending_micro
        return Money(micro, self.commission.currency)


def earnings(session: Session, *, partner_id: PartnerId, now: datetime) -> Earnings:
    """Balances come from the ledger as they stand; nothing is added up for them here."""
    partner = partners.get(session, partner_id)
    shown = trends.of_partner(
        session, partner_id=partner_id, number=partner.number, now=now, days=DAYS
    )
    gross, clicks = Money(shown.earned.total("earned")), shown.clicks.total("valid")
    return Earnings(
        partner=partner,
        balances=payouts.balances(session, partner_id),
        gross=gross,
        clicks=clicks,
        epc=figures.per(gross, clicks) if clicks else None,
        releases=payouts.releases(session, partner_id),
        withdrawals=payouts.withdrawals(session, partner_id, limit=SHOWN),
        methods=payouts.methods(session, partner_id),
        holds=risk.holds_of(session, partner_id),
        watches=watching.of_partner(session, partner_id),
        trends=shown,
        accruals=click_queries.accruals(session, partner_id=partner_id, limit=ACCRUALS_SHOWN),
        stopped=stopped(session, partner_id=partner_id, now=now),
    )


def stopped(session: Session, *, partner_id: PartnerId, now: datetime) -> Sequence[Stopped]:
    """The cpc offers of the partner's live links on which clicks earn nothing now."""
    live = select(Link.offer_id).where(Link.partner_id == partner_id, Link.disabled_at.is_(None))
    rows = select(Offer).where(Offer.id.in_(live), Offer.mode == Mode.CPC).order_by(Offer.name)
    mine = session.scalars(rows).all()
    found = click_queries.stops(session, offers_shown=mine, partner_id=partner_id, now=now)
    return [Stopped(offer.name, found[offer.id]) for offer in mine if offer.id in found]


def sales(
    session: Session, *, partner_id: PartnerId, before: UUID | None = None, limit: int = 50
) -> Sequence[Sale]:
    """A partner's conversions, the newest first, with what each brought."""
    rows = (
        select(Conversion, Offer.name, Commission)
        .join(Offer, Offer.id == Conversion.offer_id)
        .outerjoin(Commission, Commission.conversion_id == Conversion.id)
        .where(Conversion.partner_id == partner_id)
    )
    if before is not None:
        rows = rows.where(Conversion.id < before)
    found = session.execute(rows.order_by(Conversion.id.desc()).limit(limit))
    return [Sale(*row) for row in found]
