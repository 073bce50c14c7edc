"""Reads for the operator's pages about one offer: its terms, its versions and its money."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from sqlalchemy import select
from sqlalchemy.orm import Session

from flowlink.identity.models import User
from flowlink.kernel.money import Money
from flowlink.ledger.entries import Code
from flowlink.ledger.models import EntryRow, TransferRow
from flowlink.partners.models import Partner
from flowlink.payouts import click_queries as clicks
from flowlink.payouts.click_queries import AccrualLine
from flowlink.tracking import budgets, payable
from flowlink.tracking.models import Network, Offer, OfferVersion, Stop

SHOWN = 20


@dataclass(frozen=True)
class Funding:
    """Money that came into an offer's budget, or negative, that was taken back."""

    entry_id: UUID
    at: datetime
    code: str
    amount: Money


@dataclass(frozen=True)
class OfferPage:
    """One offer: what it pays, what it may cost, and what it has cost. The newest rows of each."""

    offer: Offer
    network: str
    left: Money
    spent: Money
    spent_today: Money
    stopped: Stop | None
    versions: Sequence[OfferVersion]
    funded: Sequence[Funding]


@dataclass(frozen=True)
class ClicksPaid:
    """An accrual with whose it is."""

    line: AccrualLine
    partner_id: UUID
    email: str


def offer_page(session: Session, *, offer: Offer, now: datetime) -> OfferPage:
    """Everything on an offer's page but the list of its paid clicks."""
    left = budgets.left(session, [offer.id])[offer.id]
    network = session.get_one(Network, offer.network_id)
    today = clicks.spent_on(session, [offer.id], now.date())
    return OfferPage(
        offer=offer,
        network=network.name,
        left=left,
        spent=clicks.spent(session, [offer.id]).get(offer.id, Money.zero()),
        spent_today=sum(today.values(), Money.zero()),
        stopped=budgets.stop_of(offer, left=left, now=now),
        versions=payable.versions(session, [offer.id])[offer.id][:SHOWN],
        funded=funded(session, offer),
    )


def funded(session: Session, offer: Offer, *, limit: int = SHOWN) -> Sequence[Funding]:
    """What came into the budget or was taken back, the newest first; what clicks took is not it."""
    rows = (
        select(EntryRow.id, EntryRow.at, TransferRow.code, TransferRow.amount)
        .join(TransferRow, TransferRow.entry_id == EntryRow.id)
        .where(EntryRow.source.startswith(f"budget:{offer.id}:"), EntryRow.kind == "budget")
        .order_by(EntryRow.id.desc())
        .limit(limit)
    )
    return [
        Funding(entry_id, at, code, Money(micro if code == Code.BUDGET else -micro, offer.currency))
        for entry_id, at, code, micro in session.execute(rows)
    ]


def clicks_paid(
    session: Session, *, offer: Offer, before: UUID | None = None, limit: int = 50
) -> Sequence[ClicksPaid]:
    """The offer's accruals with their partners, the newest first."""
    lines = clicks.accruals(session, offer_id=offer.id, before=before, limit=limit)
    people = select(Partner.id, User.email).join(User, User.id == Partner.user_id)
    emails = {
        row[0]: row[1]
        for row in session.execute(
            people.where(Partner.id.in_([each.accrual.partner_id for each in lines]))
        )
    }
    return [
        ClicksPaid(each, each.accrual.partner_id, emails[each.accrual.partner_id]) for each in lines
    ]


def plain(micro: int | None) -> str:
    """An amount as a form's field shows it: exact, without zeros at its end beyond cents."""
    if micro is None:
        return ""
    text = f"{Money(micro).decimal():.6f}"
    return text[:-4] + text[-4:].rstrip("0")
