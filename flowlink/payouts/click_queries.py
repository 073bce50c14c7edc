"""Reads of what clicks earned: what is due, what was spent, and each accrual with its zeros."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from uuid import UUID

from sqlalchemy import ColumnElement, Select, func, select
from sqlalchemy.orm import Session

from flowlink.kernel import policy as policies
from flowlink.kernel.errors import NotFound
from flowlink.kernel.money import Money
from flowlink.partners.ids import PartnerId
from flowlink.partners.models import Partner
from flowlink.payouts import screening
from flowlink.payouts.agreed import Agreed
from flowlink.payouts.models import Accrual, AccrualZero, ClickHour, Zero
from flowlink.payouts.screening import Room
from flowlink.payouts.terms import Terms as Agreement
from flowlink.payouts.waiting_models import Waiting
from flowlink.tracking import budgets, clickid, payable
from flowlink.tracking.models import Offer, OfferVersion
from flowlink.tracking.rollups import HourCount

DAY = timedelta(days=1)


class UnknownAccrual(NotFound):
    message = "There are no such click earnings."


@dataclass(frozen=True)
class DueHour:
    """A partner's hour with valid clicks of which some have not been looked at."""

    hour: datetime
    partner: int
    partner_id: UUID
    valid: int


@dataclass(frozen=True)
class AccrualLine:
    """An accrual as people see it; `zeros` says how many clicks earned nothing, and why."""

    accrual: Accrual
    offer: str
    zeros: Mapping[Zero, int]

    @property
    def paid(self) -> int:
        return len(self.accrual.click_ids)

    @property
    def unpaid(self) -> int:
        return sum(self.zeros.values())

    @property
    def price(self) -> Money:
        return Money(self.accrual.price_micro, self.accrual.currency)


@dataclass(frozen=True)
class ClickMoney:
    """What became of one valid click: paid in an accrual, or nothing for a reason."""

    line: AccrualLine
    zero: Zero | None


def due_hours(
    session: Session, *, since: datetime, until: datetime, limit: int
) -> Sequence[DueHour]:
    """Of the earliest hour that began in this time: the partners whose clicks were not all seen."""
    seen = select(ClickHour.partner).where(
        ClickHour.partner == HourCount.partner,
        ClickHour.hour == HourCount.hour,
        ClickHour.seen == HourCount.valid,
    )
    rows = (
        select(HourCount.hour, HourCount.partner, Partner.id, HourCount.valid)
        .join(Partner, Partner.number == HourCount.partner)
        .where(
            HourCount.hour.between(since, until),
            HourCount.valid > 0,
            payable.has_cpc_link(),
            ~seen.exists(),
        )
        .order_by(HourCount.hour, HourCount.partner)
        .limit(limit)
    )
    found = [DueHour(*row) for row in session.execute(rows)]
    return [each for each in found if each.hour == found[0].hour]


def known_clicks(session: Session, *, hour: datetime, partner_ids: Collection[UUID]) -> set[int]:
    """The clicks of this hour that have been paid, refused or put by already."""
    mine = Accrual.hour == hour, Accrual.partner_id.in_(partner_ids)
    paid = select(func.unnest(Accrual.click_ids)).where(*mine)
    refused = (
        select(func.unnest(AccrualZero.click_ids))
        .join(Accrual, Accrual.id == AccrualZero.accrual_id)
        .where(*mine)
    )
    put_by = select(func.unnest(Waiting.click_ids)).where(
        Waiting.hour == hour, Waiting.partner_id.in_(partner_ids)
    )
    return {*session.scalars(paid), *session.scalars(refused), *session.scalars(put_by)}


def last_sequences(
    session: Session, *, hour: datetime, offer_ids: Collection[UUID]
) -> dict[tuple[UUID, UUID], int]:
    """The last sequence of each partner and offer in this hour."""
    rows = (
        select(Accrual.partner_id, Accrual.offer_id, func.max(Accrual.sequence))
        .where(Accrual.offer_id.in_(offer_ids), Accrual.hour == hour)
        .group_by(Accrual.partner_id, Accrual.offer_id)
    )
    return {(row[0], row[1]): row[2] for row in session.execute(rows)}


def spent(session: Session, offer_ids: Collection[UUID]) -> dict[UUID, Money]:
    """What clicks on these offers have cost so far; those that cost nothing are left out."""
    rows = select(Accrual.offer_id, func.sum(Accrual.amount_micro))
    rows = rows.where(Accrual.offer_id.in_(offer_ids)).group_by(Accrual.offer_id)
    return {offer_id: Money(int(micro)) for offer_id, micro in session.execute(rows)}


def spent_on(
    session: Session, offer_ids: Collection[UUID], day: date
) -> dict[tuple[UUID, UUID], Money]:
    """What clicks of a UTC day have cost, by offer and partner."""
    start = datetime.combine(day, time.min, UTC)
    rows = (
        select(Accrual.offer_id, Accrual.partner_id, func.sum(Accrual.amount_micro))
        .where(Accrual.offer_id.in_(offer_ids), Accrual.hour >= start, Accrual.hour < start + DAY)
        .group_by(Accrual.offer_id, Accrual.partner_id)
    )
    return {(row[0], row[1]): Money(int(row[2])) for row in session.execute(rows)}


def stops(
    session: Session, *, offers_shown: Collection[Offer], partner_id: PartnerId, now: datetime
) -> dict[UUID, Zero]:
    """Why clicks of this partner would earn nothing now, for each cpc offer where that is so.

    Clicks of the hour that is not over are not in it yet.
    """
    keys = [offer.id for offer in offers_shown if offer.cpc_micro is not None]
    totals, days = spent(session, keys), spent_on(session, keys, now.date())
    promised = _promised(session, keys, partner_id, now)
    found: dict[UUID, Zero] = {}
    for offer_id, left in budgets.left(session, keys).items():
        room = Room(budget=left, total=totals.get(offer_id, Money.zero()))
        for (key, spender), amount in days.items():
            if key == offer_id:
                room.day += amount
                room.partner_day[spender] = amount
        zero = _stop(promised[offer_id], room, partner_id, now)
        if zero is not None:
            found[offer_id] = zero
    return found


def price_of(
    session: Session, partner_id: PartnerId, version: OfferVersion, *, at: datetime
) -> Money | None:
    """What a click of this partner was promised at that moment; None where clicks earn nothing."""
    book = Agreed(session, partner_ids=[partner_id], offer_ids=[version.offer_id])
    policy = policies.at(session, at)
    terms = book.click_terms(partner_id=partner_id, version=version, at=at, policy=policy)
    return None if terms.cpc_micro is None else Money(terms.cpc_micro)


def _promised(
    session: Session, offer_ids: Collection[UUID], partner_id: PartnerId, now: datetime
) -> dict[UUID, tuple[OfferVersion, Agreement]]:
    """What these offers say now, and what this partner is promised on them."""
    book = Agreed(session, partner_ids=[partner_id], offer_ids=offer_ids)
    policy = policies.at(session, now)
    found = {}
    for offer_id, versions in payable.versions(session, offer_ids).items():
        version = payable.in_force(versions, now)
        found[offer_id] = (
            version,
            book.click_terms(partner_id=partner_id, version=version, at=now, policy=policy),
        )
    return found


def _stop(
    promised: tuple[OfferVersion, Agreement], room: Room, partner_id: PartnerId, now: datetime
) -> Zero | None:
    version, agreement = promised
    terms, price = screening.terms_for(version, agreement), Money(agreement.cpc_micro or 0)
    limits = room.limits(terms, partner_id)
    too_little = next((reason for reason, left in limits if left < price), None)
    return screening.not_running(terms, now) or too_little


def accruals(
    session: Session,
    *,
    partner_id: UUID | None = None,
    offer_id: UUID | None = None,
    lot_id: UUID | None = None,
    before: UUID | None = None,
    limit: int = 50,
) -> Sequence[AccrualLine]:
    """The newest first: one partner's, one offer's, or those whose reserve is in one lot."""
    rows = _accruals()
    if partner_id is not None:
        rows = rows.where(Accrual.partner_id == partner_id)
    if offer_id is not None:
        rows = rows.where(Accrual.offer_id == offer_id)
    if lot_id is not None:
        rows = rows.where(Accrual.lot_id == lot_id)
    if before is not None:
        rows = rows.where(Accrual.id < before)
    return _lines(session, rows.order_by(Accrual.id.desc()).limit(limit))


def accrual(session: Session, *where: ColumnElement[bool]) -> AccrualLine:
    """:raises UnknownAccrual:"""
    found = _lines(session, _accruals().where(*where).limit(1))
    if not found:
        raise UnknownAccrual
    return found[0]


def click_money(session: Session, *, partner_id: UUID, number: int) -> ClickMoney | None:
    """What one click earned; None while its hour is not over, and where clicks earn nothing."""
    hour = clickid.at(number).replace(minute=0, second=0, microsecond=0)
    mine = Accrual.partner_id == partner_id, Accrual.hour == hour
    refused = select(AccrualZero.reason, AccrualZero.accrual_id).join(
        Accrual, Accrual.id == AccrualZero.accrual_id
    )
    row = session.execute(refused.where(*mine, AccrualZero.click_ids.contains([number]))).first()
    if row is not None:
        return ClickMoney(accrual(session, Accrual.id == row.accrual_id), Zero(row.reason))
    found = _lines(session, _accruals().where(*mine, Accrual.click_ids.contains([number])))
    return ClickMoney(found[0], None) if found else None


def _accruals() -> Select[Accrual, str]:
    return select(Accrual, Offer.name).join(Offer, Offer.id == Accrual.offer_id)


def _lines(session: Session, rows: Select[Accrual, str]) -> Sequence[AccrualLine]:
    found = [(row[0], row[1]) for row in session.execute(rows)]
    zeros: dict[UUID, dict[Zero, int]] = {}
    refused = select(
        AccrualZero.accrual_id, AccrualZero.reason, func.cardinality(AccrualZero.click_ids)
    ).where(AccrualZero.accrual_id.in_([each.id for each, _ in found]))
    for accrual_id, reason, number in session.execute(refused):
        zeros.setdefault(accrual_id, {})[Zero(reason)] = number
    return [AccrualLine(each, offer, zeros.get(each.id, {})) for each, offer in found]
