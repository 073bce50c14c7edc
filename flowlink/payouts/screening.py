"""Which clicks earn: the step between what was clicked and what is paid.

It knows bots and duplicates by what the click says of itself, the offer's terms at that moment,
its caps and its budget. A click that risk watches is neither paid nor refused (see `waiting`).
"""

from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from datetime import datetime
from uuid import UUID

from flowlink.kernel.money import Money
from flowlink.payouts.models import Zero
from flowlink.payouts.terms import Terms as Agreement
from flowlink.tracking import offers
from flowlink.tracking.models import OfferVersion, Reason
from flowlink.tracking.offers import Terms
from flowlink.tracking.payable import ClickFact


@dataclass
class Room:
    """What one offer's clicks of a day have cost so far, and what its budget holds, if it has one.

    Only a simulation goes without a budget.
    """

    budget: Money | None
    total: Money = field(default_factory=Money.zero)
    day: Money = field(default_factory=Money.zero)
    partner_day: dict[UUID, Money] = field(default_factory=dict)

    def limits(self, terms: Terms, partner_id: UUID) -> Iterator[tuple[Zero, Money]]:
        """What may still be spent on a click of this partner, by each limit there is."""
        if terms.cap_partner_daily is not None:
            spent = self.partner_day.get(partner_id, Money.zero())
            yield Zero.CAP_PARTNER_DAILY, terms.cap_partner_daily - spent
        if terms.cap_daily is not None:
            yield Zero.CAP_DAILY, terms.cap_daily - self.day
        if terms.cap_total is not None:
            yield Zero.CAP_TOTAL, terms.cap_total - self.total
        if self.budget is not None:
            yield Zero.BUDGET, self.budget

    def spend(self, amount: Money, partner_id: UUID) -> None:
        if self.budget is not None:
            self.budget -= amount
        self.total += amount
        self.day += amount
        self.partner_day[partner_id] = self.partner_day.get(partner_id, Money.zero()) + amount

    def next_day(self) -> None:
        """A day's caps begin anew."""
        self.day = Money.zero()
        self.partner_day.clear()


def terms_for(version: OfferVersion, agreement: Agreement) -> Terms:
    """A version's terms for one partner: where more was agreed with them, that counts."""
    terms = offers.terms_of(version)
    if agreement.cap_day_micro is None:
        return terms
    return replace(terms, cap_partner_daily=Money(agreement.cap_day_micro))


def counts(click: ClickFact) -> bool:
    """Whether a person clicked, and for the first time that day: the click itself says so."""
    return click.reason is Reason.VALID


def screen(click: ClickFact, *, terms: Terms, price: Money, room: Room) -> Zero | None:
    """Why a click that counts earns nothing under these terms; None when it is to be paid."""
    closed = not_running(terms, click.at)
    if closed is not None:
        return closed
    limits = room.limits(terms, click.partner_id)
    return next((reason for reason, left in limits if left < price), None)


def not_running(terms: Terms, at: datetime) -> Zero | None:
    """Why the offer paid nobody at that moment, if so."""
    if not terms.active:
        return Zero.PAUSED
    if terms.starts_at is not None and at < terms.starts_at:
        return Zero.NOT_STARTED
    if terms.ends_at is not None and at >= terms.ends_at:
        return Zero.ENDED
    return None
