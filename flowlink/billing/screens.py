"""What the team's pages about money show, and what they say before a click that costs money."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from uuid import UUID

from sqlalchemy import select
from sqlalchemy.orm import Session

from flowlink.billing import (
    grants,
    ids,
    invoices,
    limits,
    plans,
    pricing,
    providers,
    purchases,
    quantities,
    queries,
)
from flowlink.billing.limits import TeamLimits
from flowlink.billing.models import LIVE, PLAN, Payment, Resource, Status
from flowlink.billing.pricing import Addon, Plan, Specs
from flowlink.kernel.money import Money
from flowlink.papers.models import Paper

HEADER = (
    "payment",
    "at",
    "for",
    "plan",
    "quantity",
    "amount",
    "refunded",
    "currency",
    "status",
    "from",
    "to",
    "vat_country",
    "vat_bps",
)

ADDONS_HEADER = (
    "add_on",
    "type",
    "quantity",
    "price",
    "currency",
    "status",
    "renews",
    "bought_at",
    "until",
)


@dataclass(frozen=True, slots=True)
class Held:
    """An add-on or a plan of a team, as its page shows it."""

    resource: Resource
    status: Status
    payable: Payment | None
    renews: bool = False

    @property
    def price(self) -> Money:
        """For the next period."""
        return self.resource.next_price

    @property
    def is_live(self) -> bool:
        return self.status in LIVE

    @property
    def can_cancel(self) -> bool:
        return self.status in (Status.PENDING, *LIVE) and self.resource.cancelled_at is None


@dataclass(frozen=True, slots=True)
class AddonsScreen:
    """What runs, what can be bought, and what both come to."""

    specs: Specs
    limits: TeamLimits
    held: Sequence[Held]
    past: Sequence[Held]
    left: dict[str, int]


@dataclass(frozen=True, slots=True)
class Quote:
    """What a purchase costs, now and later, and what it changes."""

    name: str
    addon: Addon | None
    plan: Plan | None
    quantity: int
    price_now: Money
    price_later: Money
    until: datetime
    now: TeamLimits
    starts_later: bool
    instead_of: str = ""
    """The plan that runs, where this is another one."""
    ends: Sequence[Resource] = ()
    """Add-ons that are not renewed with it."""


@dataclass(frozen=True, slots=True)
class Downgrade:
    """What a team has when its plan ends."""

    at: datetime
    after: pricing.Limits
    now: pricing.Limits
    addons: Sequence[Resource]

    def losses(self) -> Sequence[tuple[str, int, int]]:
        """Each limit that becomes smaller: its name, now and then."""
        now, after = self.now.model_dump(), self.after.model_dump()
        return [(name, now[name], after[name]) for name in now if after[name] < now[name]]


def addons(session: Session, team_id: UUID, *, now: datetime) -> AddonsScreen:
    """The page of add-ons."""
    specs = pricing.current()
    payable = queries.open_payments(session, team_id)
    charged = {one.id for one, _ in queries.next_charges(session, team_id, now)}
    every = [
        Held(
            resource=each,
            status=queries.shown_status(each, now),
            payable=payable.get(each.id),
            renews=each.id in charged or (each.auto_renew and _awaits(each, now)),
        )
        for each in queries.addons(session, team_id)
    ]
    left: dict[str, int] = {
        kind: addon.maximum - queries.owned_quantity(session, team_id=team_id, kind=kind, now=now)
        for kind, addon in specs.addons.items()
    }
    return AddonsScreen(
        specs=specs,
        limits=limits.at(session, team_id, now),
        held=[one for one in every if one.is_live or one.status == Status.PENDING],
        past=[one for one in every if not (one.is_live or one.status == Status.PENDING)],
        left=left,
    )


def _awaits(resource: Resource, now: datetime) -> bool:
    """Whether its period is over, and the charge of the next one still to come."""
    return resource.expires_at is not None and resource.expires_at <= now


def plan(session: Session, team_id: UUID, *, now: datetime) -> Held | None:
    """The plan that runs; None for the free one."""
    running = queries.plan_of(session, team_id)
    if running is None or queries.shown_status(running, now) not in LIVE:
        return None
    payable = queries.open_payments(session, team_id)
    return Held(running, queries.shown_status(running, now), payable.get(running.id))


def ordered_plan(session: Session, team_id: UUID, *, now: datetime) -> Held | None:
    """The plan that waits for its payment, beside the one that runs if there is one."""
    mine = Resource.team_id == team_id, Resource.kind == PLAN, Resource.status == Status.PENDING
    newest = select(Resource).where(*mine).order_by(Resource.id.desc()).limit(1)
    found = session.scalars(newest).first()
    if found is None:
        return None
    payable = queries.open_payments(session, team_id)
    return Held(found, queries.shown_status(found, now), payable.get(found.id))


def quote_addon(
    session: Session, team_id: UUID, *, kind: str, quantity: int, lang: str, now: datetime
) -> Quote:
    """What may not be bought has no price shown.

    :raises purchases.UnknownAddon: :raises purchases.QuantityOutOfRange:
    :raises purchases.NotPro: :raises purchases.MaximumReached:
    """
    specs = pricing.current()
    addon = purchases.check_addon(session, team_id, kind=kind, quantity=quantity, now=now)
    price = specs.money(addon.price_minor) * quantity
    return Quote(
        name=addon.name.in_(lang),
        addon=addon,
        plan=None,
        quantity=quantity,
        price_now=price,
        price_later=price,
        until=now + grants.PERIOD,
        now=limits.at(session, team_id, now),
        starts_later=False,
    )


def quote_plan(session: Session, team_id: UUID, *, name: str, lang: str, now: datetime) -> Quote:
    """:raises purchases.UnknownPlan: :raises purchases.AlreadyOnPlan:
    :raises purchases.GivenPlan: :raises plans.PlanUnsettled:
    :raises providers.TooLittleToCharge:
    """
    specs = pricing.current()
    wanted = specs.plans.get(name)
    if wanted is None or not wanted.price_minor:
        raise purchases.UnknownPlan
    price = specs.money(wanted.price_minor)
    first = Quote(
        name=wanted.name.in_(lang),
        addon=None,
        plan=wanted,
        quantity=1,
        price_now=price,
        price_later=price,
        until=now + grants.PERIOD,
        now=limits.at(session, team_id, now),
        starts_later=False,
    )
    running = queries.plan_of(session, team_id)
    if running is None or queries.shown_status(running, now) not in LIVE:
        return first
    change = plans.look(running, name, now=now)
    assert running.expires_at is not None
    return replace(
        first,
        price_now=change.price_now,
        until=running.expires_at,
        starts_later=not change.at_once,
        instead_of=running.plan,
        ends=() if wanted.addons else _live_addons(session, team_id),
    )


def quote_quantity(
    session: Session, team_id: UUID, *, resource_id: UUID, quantity: int, lang: str, now: datetime
) -> Quote:
    """:raises queries.UnknownResource: :raises purchases.NotRunning:
    :raises purchases.QuantityOutOfRange: :raises purchases.NotByTheStep:
    :raises providers.TooLittleToCharge:
    """
    specs = pricing.current()
    resource = queries.resource(session, team_id=team_id, resource_id=resource_id)
    addon = specs.addons.get(resource.kind)  # type: ignore[call-overload]
    runs = resource.expires_at is not None and resource.expires_at > now
    if addon is None or not runs or resource.expires_at is None:
        raise purchases.NotRunning
    quantities.check_quantity(resource, quantity)
    pieces = max(0, quantity - resource.quantity)
    cents = quantities.prorated_minor(resource.unit_price_minor, pieces, resource.expires_at - now)
    providers.check(specs.money(cents))
    return Quote(
        name=addon.name.in_(lang),
        addon=addon,
        plan=None,
        quantity=quantity,
        price_now=specs.money(cents),
        price_later=resource.unit_price * quantity,
        until=resource.expires_at,
        now=limits.at(session, team_id, now),
        starts_later=quantity <= resource.quantity,
    )


def downgrade(session: Session, team_id: UUID, *, now: datetime) -> Downgrade | None:
    """What will not fit when the paid plan ends; None without one that can end."""
    running = queries.plan_of(session, team_id)
    if running is None or running.expires_at is None:
        return None
    return Downgrade(
        at=running.expires_at,
        after=pricing.current().plans[pricing.FREE].limits,
        now=limits.at(session, team_id, now).total,
        addons=_live_addons(session, team_id),
    )


def _live_addons(session: Session, team_id: UUID) -> list[Resource]:
    return [each for each in queries.addons(session, team_id) if each.status in LIVE]


def papers_of(session: Session, payments: Sequence[UUID]) -> dict[UUID, list[Paper]]:
    """Invoices and credit notes of payments, in their order."""
    by_subject = {invoices.subject(key): key for key in payments}
    found: dict[UUID, list[Paper]] = {}
    wanted = select(Paper).where(Paper.subject.in_(by_subject)).order_by(Paper.id)
    for paper in session.scalars(wanted):
        found.setdefault(by_subject[paper.subject], []).append(paper)
    return found


def addon_cells(one: Held) -> tuple[object, ...]:
    """An add-on as a row of the CSV; the price is of one piece for 30 days."""
    held = one.resource
    return (
        ids.resource(held.id),
        held.kind,
        held.quantity,
        held.unit_price,
        held.currency,
        str(one.status),
        held.auto_renew,
        held.created_at,
        held.expires_at,
    )


def cells(line: queries.PaymentLine) -> tuple[object, ...]:
    """A payment as a row of the CSV."""
    payment = line.payment
    return (
        ids.payment(payment.id),
        payment.paid_at or payment.created_at,
        line.resource.kind,
        line.plan,
        payment.quantity,
        payment.amount,
        payment.refunded,
        payment.currency,
        str(payment.status),
        payment.starts_at,
        payment.ends_at,
        payment.vat_country,
        payment.vat_rate_bps,
    )
