"""One euro as its partner sees it: click, postback, conversion, commission, reserve, payout.

Or, where clicks are paid: click, accrual, reserve, payout.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime
from uuid import UUID

from sqlalchemy import ColumnElement, select
from sqlalchemy.orm import Session

from flowlink.insights import applied, sources
from flowlink.insights.applied import Applied
from flowlink.kernel import ids
from flowlink.kernel.errors import Invalid, NotFound
from flowlink.kernel.money import Money
from flowlink.ledger import queries as ledger
from flowlink.ledger.queries import EntryView
from flowlink.ledger.service import Code
from flowlink.partners.ids import PartnerId
from flowlink.partners.models import Partner
from flowlink.payouts import (
    click_queries,
    commission_queries,
    dispute_queries,
    queries as payouts,
    run_queries as payout_runs,
    waiting,
)
from flowlink.payouts.case_models import Dispute
from flowlink.payouts.click_queries import AccrualLine, ClickMoney
from flowlink.payouts.ids import ACCRUAL, PREFIX as WITHDRAWAL, WithdrawalId
from flowlink.payouts.models import Accrual, ReserveLot, ReserveShare
from flowlink.risk import queries as risk
from flowlink.risk.watch_models import Watch
from flowlink.tracking import click_lists, clickid, offers, queries as tracking
from flowlink.tracking.click_lists import Line
from flowlink.tracking.clickid import ClickRef
from flowlink.tracking.ids import CONVERSION, OfferId
from flowlink.tracking.models import Conversion, Link, Mode, Offer, OfferVersion, Postback

ENTRY = "ent"
LATER_SHOWN = 3
SALES_SHOWN = 200
LONGEST_NUMBER = 18


class NoTrail(NotFound):
    message = "There is no such entry among your earnings."


@dataclass(frozen=True)
class ConversionTrail:
    """A sale from its click to its payout. `later` are the withdrawals since it was credited.

    `repaid` is what of its commission went into an earlier debt.
    """

    known: tracking.Trail
    clicked_at: datetime | None
    money: commission_queries.Trail | None
    later: Sequence[payouts.WithdrawalLine]
    applied: Applied | None
    disputes: Sequence[Dispute]
    repaid: Money


@dataclass(frozen=True)
class ClickTrail:
    """A click and the sales it led to, mostly none. `click` is missing while its row is late.

    `terms` are those of its moment; `pays` says whether they paid for clicks, `price` how much
    this partner was promised, `money` what came of it. `unbooked` are postbacks that name the
    click and made no sale; `held` is why the partner's money is held now.
    """

    token: str
    at: datetime
    click: Line | None
    archived: bool
    link: Link | None
    offer: Offer | None
    terms: OfferVersion | None
    sales: Sequence[Conversion]
    unbooked: Sequence[Postback]
    money: ClickMoney | None
    held: str | None
    watch: Watch | None
    price: Money | None

    @property
    def pays(self) -> bool:
        """Whether the terms of its moment paid for clicks."""
        return self.terms is not None and self.terms.mode == Mode.CPC


@dataclass(frozen=True)
class AccrualTrail:
    """Paid clicks of an hour. `later` are the withdrawals since they were credited."""

    line: AccrualLine
    entry: EntryView | None
    release_on: date | None
    later: Sequence[payouts.WithdrawalLine]
    applied: Applied | None


@dataclass(frozen=True)
class WithdrawalTrail:
    """A withdrawal, every step it took, and the provider's own last word, empty for none."""

    withdrawal: payouts.WithdrawalLine
    steps: Sequence[payouts.Step]
    answer: str


@dataclass(frozen=True)
class ReleaseTrail:
    """A release of reserve and the sales and paid clicks that it had been kept from."""

    entry: EntryView
    amount: Money
    sales: Sequence[tuple[Conversion, Money]]
    clicks: Sequence[AccrualLine]


@dataclass(frozen=True)
class EntryTrail:
    """An entry of another kind: what it says itself, as far as it concerns this partner."""

    entry: EntryView
    amount: Money


Trail = ConversionTrail | ClickTrail | AccrualTrail | WithdrawalTrail | ReleaseTrail | EntryTrail


def find(session: Session, *, partner: Partner, name: str) -> Trail:
    """The trail of an entry, conversion, accrual, withdrawal or click of this partner.

    :raises NotFound: no such thing, or somebody else's.
    """
    prefix = name.partition("_")[0]
    if prefix == ENTRY:
        return _of_entry(session, partner, ids.parse(ENTRY, name))
    if prefix == CONVERSION:
        return _of_conversion(session, partner, ids.parse(CONVERSION, name))
    if prefix == ACCRUAL:
        return _of_accrual(session, partner, Accrual.id == ids.parse(ACCRUAL, name))
    if prefix == WITHDRAWAL:
        return _of_withdrawal(session, partner, ids.parse(WITHDRAWAL, name))
    return _of_click(session, partner, name)


def canonical(session: Session, *, name: str) -> str | None:
    """The name of a trail as typed: a click id, a click's number, or anything's public id."""
    if name.isdigit() and len(name) <= LONGEST_NUMBER:
        ref = click_lists.ref_of(session, number=int(name))
        return None if ref is None else clickid.token(ref)
    try:
        find(session, partner=partner_of(session, name=name), name=name)
    except (NotFound, Invalid):
        return None
    return name


def partner_of(session: Session, *, name: str) -> Partner:
    """Whose trail that is; of an entry, the first partner among its accounts.

    :raises NotFound: nothing of ours has this name.
    """
    prefix = name.partition("_")[0]
    owner: UUID | None = None
    if prefix == CONVERSION:
        owner = tracking.conversion(session, ids.parse(CONVERSION, name)).partner_id
    elif prefix == ACCRUAL:
        key = ids.parse(ACCRUAL, name)
        owner = click_queries.accrual(session, Accrual.id == key).accrual.partner_id
    elif prefix == WITHDRAWAL:
        owner = payouts.withdrawal(session, WithdrawalId(ids.parse(WITHDRAWAL, name))).partner_id
    elif prefix == ENTRY:
        owner = _owner_of(ledger.entry(session, ids.parse(ENTRY, name)))
    elif ref := clickid.read(name):
        owner = session.scalar(select(Partner.id).where(Partner.number == ref.partner))
    partner = session.get(Partner, owner) if owner else None
    if partner is None:
        raise NoTrail
    return partner


def _owner_of(entry: EntryView) -> UUID | None:
    owners = [one.owner for line in entry.transfers for one in (line.debit, line.credit)]
    keys = (sources.as_key(owner) for owner in owners if owner)
    return next((key for key in keys if key is not None), None)


def _of_conversion(session: Session, partner: Partner, key: UUID) -> ConversionTrail:
    known = tracking.trail(session, key)
    if known.conversion.partner_id != partner.id:
        raise NoTrail
    money = commission_queries.trail(session, key)
    number = known.conversion.click_id
    credited = [step for step in money.steps if step.entry_id] if money else []
    return ConversionTrail(
        known=known,
        clicked_at=None if number is None else clickid.at(number),
        money=money,
        later=_later(session, partner, credited[-1].posted_at if credited else None),
        applied=applied.of_commission(session, key),
        disputes=dispute_queries.of_conversion(session, key),
        repaid=_repaid(session, credited, known.conversion.currency),
    )


def _repaid(
    session: Session, steps: Sequence[commission_queries.CommissionStep], currency: str
) -> Money:
    entries = [ledger.entry(session, step.entry_id) for step in steps if step.entry_id]
    lines = [line for entry in entries for line in entry.transfers]
    repaid = sum(line.amount.micro for line in lines if line.code is Code.DEBT_REPAID)
    return Money(repaid, currency)


def _of_accrual(session: Session, partner: Partner, where: ColumnElement[bool]) -> AccrualTrail:
    line = click_queries.accrual(session, where)
    accrual = line.accrual
    if accrual.partner_id != partner.id:
        raise NoTrail
    lot = session.get(ReserveLot, accrual.lot_id) if accrual.lot_id else None
    return AccrualTrail(
        line=line,
        entry=ledger.entry(session, accrual.entry_id) if accrual.entry_id else None,
        release_on=lot.release_on if lot else None,
        later=_later(session, partner, accrual.posted_at if accrual.entry_id else None),
        applied=applied.of_terms(session, accrual.terms_id),
    )


def _of_entry(session: Session, partner: Partner, entry_id: UUID) -> Trail:
    """The trail of what the entry's source names; the entry itself when it names nothing."""
    found = ledger.entry(session, entry_id)
    if not _touches(found, partner):
        raise NoTrail
    word, _, rest = found.source.partition(":")
    key = sources.as_key(rest.partition(":")[0])
    if word == "conversion" and key is not None:
        return _of_conversion(session, partner, key)
    if word == "withdrawal" and key is not None:
        return _of_withdrawal(session, partner, key)
    if word == "release":
        return _of_release(session, found)
    if word == "clicks":
        return _of_accrual(session, partner, Accrual.entry_id == entry_id)
    return EntryTrail(found, _moved(found))


def _touches(entry: EntryView, partner: Partner) -> bool:
    owner = str(partner.id)
    return any(owner in {line.debit.owner, line.credit.owner} for line in entry.transfers)


def _moved(entry: EntryView) -> Money:
    micro = sum(line.amount.micro for line in entry.transfers)
    return Money(micro, entry.transfers[0].amount.currency)


def _of_withdrawal(session: Session, partner: Partner, key: UUID) -> WithdrawalTrail:
    line = payouts.withdrawal(session, WithdrawalId(key))
    if line.partner_id != partner.id:
        raise NoTrail
    answer = payout_runs.answer_of(session, line.id)
    return WithdrawalTrail(line, payouts.steps(session, line.id), answer)


def _of_release(session: Session, entry: EntryView) -> ReleaseTrail:
    lot_id = sources.as_key(entry.source.rpartition(":")[2])
    rows = (
        select(Conversion, ReserveShare.amount_micro)
        .join(ReserveShare, ReserveShare.conversion_id == Conversion.id)
        .join(ReserveLot, ReserveLot.id == ReserveShare.lot_id)
        .where(ReserveLot.id == lot_id, ReserveShare.amount_micro > 0)
        .order_by(Conversion.id)
        .limit(SALES_SHOWN)
    )
    sales = [(sale, Money(micro, sale.currency)) for sale, micro in session.execute(rows)]
    clicks = click_queries.accruals(session, lot_id=lot_id, limit=SALES_SHOWN) if lot_id else []
    return ReleaseTrail(entry, _moved(entry), sales, clicks)


def _of_click(session: Session, partner: Partner, token: str) -> ClickTrail:
    ref = clickid.read(token)
    if ref is None or ref.partner != partner.number:
        raise NoTrail
    link, at = _link(session, ref), clickid.at(ref.number)
    sales = select(Conversion).where(Conversion.click_id == ref.number).order_by(Conversion.id)
    partner_id = PartnerId(partner.id)
    holds = risk.holds_of(session, partner_id)
    terms = offers.in_force(session, offer_id=OfferId(link.offer_id), at=at) if link else None
    return ClickTrail(
        token=token,
        at=at,
        click=click_lists.one(session, number=ref.number),
        archived=click_lists.is_archived(session, at=at),
        link=link,
        offer=session.get_one(Offer, link.offer_id) if link else None,
        terms=terms,
        sales=session.scalars(sales).all(),
        unbooked=click_lists.unbooked(session, token=token, at=at),
        money=click_queries.click_money(session, partner_id=partner.id, number=ref.number),
        held=holds[0].reason if holds else None,
        watch=waiting.watch_of(session, partner_id=partner.id, number=ref.number),
        price=click_queries.price_of(session, partner_id, terms, at=at) if terms else None,
    )


def _link(session: Session, ref: ClickRef) -> Link | None:
    return session.scalars(select(Link).where(Link.number == ref.link)).one_or_none()


def _later(
    session: Session, partner: Partner, credited_at: datetime | None
) -> Sequence[payouts.WithdrawalLine]:
    """The first withdrawals after the money was credited."""
    if credited_at is None:
        return []
    lines = payouts.withdrawals(session, PartnerId(partner.id), limit=200)
    since = [line for line in lines if line.created_at >= credited_at]
    return since[-LATER_SHOWN:][::-1]
