"""What teams bring in, all together: what renews each month, what runs, what was paid."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date, datetime

from sqlalchemy import func, or_, select
from sqlalchemy.orm import Session

from flowlink.billing.models import LIVE, PLAN, Paid, Payment, Resource, Status
from flowlink.kernel.money import Money

ADDONS = ("ram", "cpu", "traffic", "storage")
KINDS = (PLAN, *ADDONS)
_EUROS = "EUR"


@dataclass(frozen=True, slots=True)
class Recurring:
    """What renews by itself, for 30 days, in euros with VAT, by what it is (`KINDS`)."""

    by_kind: Mapping[str, Money]
    plans: int
    """Plans that run and cost something, renewed or not."""
    addons: int
    """Pieces of add-ons that run, renewed or not."""

    @property
    def total(self) -> Money:
        """The monthly recurring revenue (spec 6)."""
        return sum(self.by_kind.values(), Money.zero())


def recurring(session: Session, *, now: datetime) -> Recurring:
    """What comes in again by itself, and what runs at `now`.

    An add-on or plan that was cancelled, or whose last charge failed, runs but does not recur.
    """
    again = Resource.status.in_((Status.ACTIVE, Status.RENEWING)) & Resource.auto_renew
    chosen = Resource.next_terms["unit_price_minor"].as_integer()
    each = func.coalesce(chosen, Resource.unit_price_minor)
    price = func.sum(each * Resource.next_quantity)
    rows = session.execute(
        select(Resource.kind, price.filter(again), func.sum(Resource.quantity))
        .where(Resource.status.in_(LIVE), Resource.currency == _EUROS)
        .where(Resource.unit_price_minor > 0)
        .where(or_(Resource.expires_at > now, Resource.grace_until > now))
        .group_by(Resource.kind)
    ).all()
    prices = {kind: Money.from_cents(int(minor or 0)) for kind, minor, _ in rows}
    pieces = {kind: int(count) for kind, _, count in rows}
    return Recurring(
        by_kind={kind: prices.get(kind, Money.zero()) for kind in KINDS},
        plans=pieces.get(PLAN, 0),
        addons=sum(pieces.get(kind, 0) for kind in ADDONS),
    )


def paid_by_day(session: Session, *, since: datetime) -> Mapping[date, Money]:
    """What teams paid from `since` on, by the UTC day of the payment, in euros with VAT.

    What went back since is taken off the day on which it was paid.
    """
    day = func.date(Payment.paid_at)  # sessions run in UTC
    kept = func.sum(Payment.amount_minor - Payment.refunded_minor)
    rows = (
        select(day, kept)
        .where(Payment.status == Paid.PAID, Payment.currency == _EUROS, Payment.paid_at >= since)
        .group_by(day)
    )
    return {on: Money.from_cents(int(minor)) for on, minor in session.execute(rows)}
