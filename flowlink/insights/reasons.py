"""Why something brought nothing, is held or was refused: each in a line, with its evidence."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from sqlalchemy import func, select
from sqlalchemy.orm import Session, aliased

from flowlink.kernel import ids
from flowlink.kernel.money import Money
from flowlink.partners.ids import PartnerId
from flowlink.partners.models import Partner
from flowlink.payouts import ids as payout_ids, queries as payouts
from flowlink.payouts.case_models import Dispute, DisputeState
from flowlink.payouts.models import Accrual, AccrualZero, Commission, State, Withdrawal
from flowlink.tracking.ids import CONVERSION
from flowlink.tracking.models import Conversion, ConversionRevision, Status
from flowlink.tracking.rollups import DayCount

RECENT = timedelta(days=30)
SHOWN = 12


@dataclass(frozen=True)
class Why:
    """One reason. `word` names its sentence, the rest fills it; `href` leads to the evidence."""

    word: str
    count: int = 0
    amount: Money | None = None
    text: str = ""
    at: datetime | None = None
    href: str | None = None


def of_partner(session: Session, *, partner: Partner, now: datetime) -> Sequence[Why]:
    """Everything of the last 30 days that a partner may wonder about, the gravest first."""
    since = now - RECENT
    found = [
        *_debt(session, partner),
        *_disputes(session, partner),
        *_withdrawals(session, partner, since),
        *_sales(session, partner, since),
        *_reduced(session, partner, since),
        *_limited(session, partner, since),
        *_clicks(session, partner, since),
    ]
    return found[:SHOWN]


def _debt(session: Session, partner: Partner) -> Iterator[Why]:
    debt = payouts.balances(session, PartnerId(partner.id)).debt
    if debt:
        yield Why("debt", 1, debt, href="/partners/earnings/lines?account=debt")


def _disputes(session: Session, partner: Partner) -> Iterator[Why]:
    rows = select(Dispute).where(
        Dispute.partner_id == partner.id, Dispute.state == DisputeState.OPEN
    )
    for each in session.scalars(rows.order_by(Dispute.id.desc()).limit(SHOWN)):
        href = f"/partners/trail/{ids.public(CONVERSION, each.conversion_id)}"
        yield Why("dispute", 1, each.held, each.reference, each.opened_at, href)


def _withdrawals(session: Session, partner: Partner, since: datetime) -> Iterator[Why]:
    refused = State.REJECTED, State.FAILED, State.RETURNED
    rows = select(Withdrawal).where(
        Withdrawal.partner_id == partner.id,
        Withdrawal.state.in_(refused),
        Withdrawal.updated_at >= since,
    )
    for each in session.scalars(rows.order_by(Withdrawal.id.desc()).limit(3)):
        href = f"/partners/trail/{payout_ids.public(each.id)}"
        yield Why("withdrawal", 1, each.amount, each.reason, each.updated_at, href)


def _sales(session: Session, partner: Partner, since: datetime) -> Iterator[Why]:
    """Rejected and reversed ones: how many, and the way to the latest."""
    rows = (
        select(Conversion.status, func.count(), func.max(Conversion.updated_at))
        .where(
            Conversion.partner_id == partner.id,
            Conversion.status.in_([Status.REJECTED, Status.REVERSED]),
            Conversion.updated_at >= since,
        )
        .group_by(Conversion.status)
        .order_by(Conversion.status)
    )
    for status, count, at in session.execute(rows).all():
        latest = select(Conversion.id).where(
            Conversion.partner_id == partner.id,
            Conversion.status == status,
            Conversion.updated_at == at,
        )
        yield Why(str(status), count, at=at, href=_trail(session.scalar(latest.limit(1))))


def _reduced(session: Session, partner: Partner, since: datetime) -> Iterator[Why]:
    """Sales that still stand, for less than was once confirmed."""
    before, after = aliased(ConversionRevision), aliased(ConversionRevision)
    less = (
        select(after.revision)
        .join(before, before.conversion_id == after.conversion_id)
        .where(
            after.conversion_id == Conversion.id,
            after.revision == before.revision + 1,
            before.status == Status.APPROVED,
            after.amount_micro < before.amount_micro,
            after.at >= since,
        )
    )
    rows = (
        select(Conversion.id, func.count().over())
        .where(
            Conversion.partner_id == partner.id,
            Conversion.status == Status.APPROVED,
            Conversion.updated_at >= since,
            less.correlate(Conversion).exists(),
        )
        .order_by(Conversion.updated_at.desc())
        .limit(1)
    )
    for latest, count in session.execute(rows).all():
        yield Why("reduced", count, href=_trail(latest))


def _limited(session: Session, partner: Partner, since: datetime) -> Iterator[Why]:
    rows = (
        select(Commission.limited_by, func.count())
        .join(Conversion, Conversion.id == Commission.conversion_id)
        .where(
            Commission.partner_id == partner.id,
            Commission.limited_by.is_not(None),
            Conversion.occurred_at >= since,
        )
        .group_by(Commission.limited_by)
    )
    for word, count in session.execute(rows).all():
        mine = Commission.partner_id == partner.id, Commission.limited_by == word
        latest = select(Commission.conversion_id).where(*mine)
        latest = latest.order_by(Commission.conversion_id.desc())
        yield Why(str(word), count, href=_trail(session.scalar(latest.limit(1))))


def _clicks(session: Session, partner: Partner, since: datetime) -> Iterator[Why]:
    """Valid clicks that were not paid, by reason; and those that never count."""
    number = func.sum(func.cardinality(AccrualZero.click_ids))
    rows = (
        select(AccrualZero.reason, number)
        .join(Accrual, Accrual.id == AccrualZero.accrual_id)
        .where(Accrual.partner_id == partner.id, Accrual.hour >= since)
        .group_by(AccrualZero.reason)
        .order_by(number.desc())
    )
    for reason, count in session.execute(rows):
        yield Why("click", int(count), text=str(reason), href="/partners/accruals")
    flagged = select(func.sum(DayCount.flagged)).where(
        DayCount.partner == partner.number, DayCount.day >= since.date()
    )
    if count := session.scalar(flagged):
        yield Why("flagged", int(count), href="/partners/earnings")


def _trail(key: Any) -> str | None:
    return f"/partners/trail/{ids.public(CONVERSION, UUID(str(key)))}" if key else None
