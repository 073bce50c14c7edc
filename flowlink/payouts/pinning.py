"""The terms of new commissions, found once and kept; and what their months have brought so far."""

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from uuid import UUID

from sqlalchemy import func, select, tuple_
from sqlalchemy.orm import Session

from flowlink.kernel.money import Money
from flowlink.kernel.policy import Policy
from flowlink.payouts import agreed
from flowlink.payouts.agreed import Agreed
from flowlink.payouts.models import Commission
from flowlink.payouts.terms import Terms, capped, month_of, months_later
from flowlink.tracking import clickid, payable
from flowlink.tracking.models import Conversion, Link, Status

DURATION = "duration"
CAP_MONTH = "cap_month"
Month = tuple[UUID, UUID, str, datetime]
Series = tuple[UUID, int, str]


@dataclass
class Totals:
    """What a partner sold of an offer in a month, and what that brought them, in millionths."""

    gross: int = 0
    share: int = 0


@dataclass
class Reckoner:
    """What each commission of a batch is owed, kept true while its steps are added up."""

    terms: Mapping[UUID, Terms]
    months: dict[Month, Totals] = field(default_factory=dict)

    def wanted(
        self, commission: Commission, conversion: Conversion, status: Status, amount: Money
    ) -> Money:
        """The share that the commission should have at this status and amount."""
        if status not in {Status.PENDING, Status.APPROVED} or commission.limited_by == DURATION:
            return Money.zero(amount.currency)
        terms = self.terms.get(commission.terms_id) if commission.terms_id else None
        if terms is None:  # posted before terms were pinned
            return amount.share(commission.share_bps)
        month = self._month(conversion)
        volume = commission.volume_micro
        if volume is None:
            volume = month.gross - commission.gross_micro
        if terms.tiers and status == Status.APPROVED:
            commission.volume_micro = volume
        owed = terms.owed(amount, volume)
        credited = Money(commission.share_micro, amount.currency)
        room = _room(terms, month, credited)
        granted = capped(owed, credited=credited, room=room)
        commission.limited_by = CAP_MONTH if granted < owed else None
        return granted

    def add(self, conversion: Conversion, *, gross: int, share: int) -> None:
        """A step has changed what the month has."""
        month = self._month(conversion)
        month.gross += gross
        month.share += share

    def _month(self, conversion: Conversion) -> Totals:
        return self.months.setdefault(month_key(conversion), Totals())


def month_key(conversion: Conversion) -> Month:
    """Which month of which offer and partner a sale counts to."""
    month = month_of(conversion.occurred_at)
    return conversion.partner_id, conversion.offer_id, conversion.currency, month


def new_rows(
    session: Session, conversions: Collection[Conversion], policy: Policy
) -> Sequence[dict[str, object]]:
    """The commissions that these conversions begin with, their terms pinned."""
    known = select(Commission.conversion_id).where(
        Commission.conversion_id.in_([each.id for each in conversions])
    )
    begun = set(session.scalars(known))
    fresh = [each for each in conversions if each.id not in begun]
    found = _terms(session, fresh, policy)
    kept = agreed.pin(session, found.values())
    started = _started(session, [each for each in fresh if found[each.id].months is not None])
    return [
        {
            "conversion_id": each.id,
            "partner_id": each.partner_id,
            "currency": each.currency,
            "offer_version": each.offer_version,
            "share_bps": found[each.id].share_bps,
            "reserve_bps": found[each.id].reserve_bps,
            "release_days": found[each.id].release_days,
            "terms_id": kept[agreed.digest(found[each.id])],
            "limited_by": _limit(each, found[each.id], started),
        }
        for each in fresh
    ]


def reckoner(
    session: Session, commissions: Iterable[Commission], conversions: Mapping[UUID, Conversion]
) -> Reckoner:
    """Terms and months of these commissions, read under their partners' locks."""
    mine = list(commissions)
    terms = agreed.pinned(session, {each.terms_id for each in mine if each.terms_id})
    counted = {
        month_key(conversions[each.conversion_id])
        for each in mine
        if each.terms_id and _counts(terms[each.terms_id])
    }
    return Reckoner(terms=terms, months=_months(session, counted))


def clicked_at(conversion: Conversion) -> datetime:
    """When the promise was made: at the click, as far as it is known."""
    number = conversion.click_id
    if number is None:
        return conversion.occurred_at
    return min(clickid.at(number), conversion.occurred_at)


def _terms(session: Session, fresh: Collection[Conversion], policy: Policy) -> dict[UUID, Terms]:
    offers = {each.offer_id for each in fresh}
    book = Agreed(session, partner_ids={each.partner_id for each in fresh}, offer_ids=offers)
    versions = {
        (offer_id, one.version): one
        for offer_id, rows in payable.versions(session, offers).items()
        for one in rows
    }
    own = select(Link.id).where(Link.id.in_([each.link_id for each in fresh]), Link.own_content)
    marked = set(session.scalars(own))
    return {
        each.id: book.sale_terms(
            partner_id=each.partner_id,
            version=versions[each.offer_id, each.offer_version],
            share_bps=each.share_bps,
            own_content=each.link_id in marked,
            at=clicked_at(each),
            policy=policy,
        )
        for each in fresh
    }


def _series(conversion: Conversion) -> Series | None:
    """What rebills have in common with their first sale: network, click and goal."""
    number = conversion.click_id
    return None if number is None else (conversion.network_id, number, conversion.goal)


def _started(session: Session, fresh: Collection[Conversion]) -> dict[Series, datetime]:
    """When the first sale of each series was that a network did not reject."""
    wanted = {series for each in fresh if (series := _series(each)) is not None}
    if not wanted:
        return {}
    columns = Conversion.network_id, Conversion.click_id, Conversion.goal
    rows = (
        select(*columns, func.min(Conversion.occurred_at))
        .where(tuple_(*columns).in_(wanted), Conversion.status != Status.REJECTED)
        .group_by(*columns)
    )
    return {
        (network, number, goal): at
        for network, number, goal, at in session.execute(rows)
        if number is not None
    }


def _limit(conversion: Conversion, terms: Terms, started: Mapping[Series, datetime]) -> str | None:
    """Whether the sale is a rebill that came after its time."""
    series = _series(conversion)
    first = started.get(series) if series is not None else None
    if terms.months is None or first is None or first >= conversion.occurred_at:
        return None
    late = conversion.occurred_at >= months_later(first, terms.months)
    return DURATION if late else None


def _counts(terms: Terms) -> bool:
    return bool(terms.tiers) or terms.cap_month_micro is not None


def _months(session: Session, keys: Collection[Month]) -> dict[Month, Totals]:
    found: dict[Month, Totals] = {}
    for key in sorted(keys, key=str):
        partner_id, offer_id, currency, month = key
        sums = (
            select(func.sum(Commission.gross_micro), func.sum(Commission.share_micro))
            .join(Conversion, Conversion.id == Commission.conversion_id)
            .where(
                Commission.partner_id == partner_id,
                Commission.currency == currency,
                Conversion.offer_id == offer_id,
                Conversion.occurred_at >= month,
                Conversion.occurred_at < months_later(month, 1),
            )
        )
        gross, share = session.execute(sums).one()
        found[key] = Totals(int(gross or 0), int(share or 0))
    return found


def _room(terms: Terms, month: Totals, credited: Money) -> Money | None:
    """What the month's cap leaves for this sale, what it has already included."""
    if terms.cap_month_micro is None:
        return None
    others = month.share - credited.micro
    return Money(max(terms.cap_month_micro - others, 0), credited.currency)
