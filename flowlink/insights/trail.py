"""One euro as its partner sees it: click, postback, conversion, commission, reserve, payout."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from sqlalchemy import select
from sqlalchemy.orm import Session

from flowlink.insights import sources
from flowlink.kernel import ids
from flowlink.kernel.errors import NotFound
from flowlink.kernel.money import Money
from flowlink.ledger import queries as ledger
from flowlink.ledger.queries import EntryView
from flowlink.partners.ids import PartnerId
from flowlink.partners.models import Partner
from flowlink.payouts import queries as payouts
from flowlink.payouts.ids import PREFIX as WITHDRAWAL, WithdrawalId
from flowlink.payouts.models import ReserveLot, ReserveShare
from flowlink.tracking import clickid, queries as tracking
from flowlink.tracking.clickid import ClickRef
from flowlink.tracking.ids import CONVERSION
from flowlink.tracking.models import Conversion, Link

ENTRY = "ent"
LATER_SHOWN = 3
SALES_SHOWN = 200


class NoTrail(NotFound):
    message = "There is no such entry among your earnings."


@dataclass(frozen=True)
class ConversionTrail:
    """A sale from its click to its payout. `later` are the withdrawals since it was credited."""

    known: tracking.Trail
    clicked_at: datetime | None
    money: payouts.Trail | None
    later: Sequence[payouts.WithdrawalLine]


@dataclass(frozen=True)
class ClickTrail:
    """A click and the sales it led to, mostly none. `click` is missing while its row is late."""

    token: str
    at: datetime
    click: tracking.ClickLine | None
    link: Link | None
    sales: Sequence[Conversion]


@dataclass(frozen=True)
class WithdrawalTrail:
    """A withdrawal and every step it took."""

    withdrawal: payouts.WithdrawalLine
    steps: Sequence[payouts.Step]


@dataclass(frozen=True)
class ReleaseTrail:
    """A release of reserve and the sales that it had been kept from."""

    entry: EntryView
    amount: Money
    sales: Sequence[tuple[Conversion, Money]]


@dataclass(frozen=True)
class EntryTrail:
    """An entry of another kind: what it says itself, as far as it concerns this partner."""

    entry: EntryView
    amount: Money


Trail = ConversionTrail | ClickTrail | WithdrawalTrail | ReleaseTrail | EntryTrail


def find(session: Session, *, partner: Partner, name: str) -> Trail:
    """The trail of an entry, conversion, withdrawal or click of this partner.

    :raises NotFound: no such thing, or somebody else's.
    """
    prefix = name.partition("_")[0]
    if prefix == ENTRY:
        return _of_entry(session, partner, ids.parse(ENTRY, name))
    if prefix == CONVERSION:
        return _of_conversion(session, partner, ids.parse(CONVERSION, name))
    if prefix == WITHDRAWAL:
        return _of_withdrawal(session, partner, ids.parse(WITHDRAWAL, name))
    return _of_click(session, partner, name)


def _of_conversion(session: Session, partner: Partner, key: UUID) -> ConversionTrail:
    known = tracking.trail(session, key)
    if known.conversion.partner_id != partner.id:
        raise NoTrail
    money = payouts.trail(session, key)
    number = known.conversion.click_id
    return ConversionTrail(
        known=known,
        clicked_at=None if number is None else clickid.at(number),
        money=money,
        later=_later(session, partner, money),
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
    return WithdrawalTrail(line, payouts.steps(session, line.id))


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
    return ReleaseTrail(entry, _moved(entry), sales)


def _of_click(session: Session, partner: Partner, token: str) -> ClickTrail:
    ref = clickid.read(token)
    if ref is None or ref.partner != partner.number:
        raise NoTrail
    sales = select(Conversion).where(Conversion.click_id == ref.number).order_by(Conversion.id)
    return ClickTrail(
        token=token,
        at=clickid.at(ref.number),
        click=tracking.click(session, ref),
        link=_link(session, ref),
        sales=session.scalars(sales).all(),
    )


def _link(session: Session, ref: ClickRef) -> Link | None:
    return session.scalars(select(Link).where(Link.number == ref.link)).one_or_none()


def _later(
    session: Session, partner: Partner, money: payouts.Trail | None
) -> Sequence[payouts.WithdrawalLine]:
    """The first withdrawals after the sale's money was credited."""
    credited = [step.posted_at for step in money.steps if step.entry_id] if money else []
    if not credited:
        return []
    lines = payouts.withdrawals(session, PartnerId(partner.id), limit=200)
    since = [line for line in lines if line.created_at >= credited[-1]]
    return since[-LATER_SHOWN:][::-1]
