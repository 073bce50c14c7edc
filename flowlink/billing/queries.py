"""Reads of what teams have bought and paid."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from sqlalchemy import select
from sqlalchemy.orm import Session

from flowlink.billing import limits, pricing
from flowlink.billing.grants import GRACE
from flowlink.billing.models import (
    LIVE,
    PLAN,
    Details,
    Grant,
    Paid,
    Payment,
    Purpose,
    Resource,
    Status,
)
from flowlink.kernel.errors import NotFound
from flowlink.kernel.inbound import ProviderEvent
from flowlink.kernel.money import Money
from flowlink.papers.parties import Party
from flowlink.teams.models import Team


class UnknownResource(NotFound):
    message = "There is no such plan or add-on in this team."


class UnknownPayment(NotFound):
    message = "There is no such payment."


@dataclass(frozen=True, slots=True)
class PaymentLine:
    """A payment with what it is for."""

    payment: Payment
    resource: Resource
    team: Team
    granted: str | None

    @property
    def plan(self) -> str:
        """The plan that it is for: a resource may have become another one since."""
        renews = self.payment.purpose == Purpose.RENEWAL
        return self.granted or (self.resource.next_plan if renews else self.resource.plan)


def shown_status(resource: Resource, now: datetime) -> Status:
    """Where a resource is at `now`: a period that is over shows so before any job has run."""
    status = Status(resource.status)
    if status == Status.PAST_DUE:
        over = resource.grace_until is not None and resource.grace_until <= now
        return Status.EXPIRED if over else status
    if status not in LIVE or resource.expires_at is None or resource.expires_at > now:
        return status
    if resource.cancelled_at is not None:
        return Status.CANCELLED
    waits = resource.auto_renew and resource.expires_at + GRACE > now
    return status if waits else Status.EXPIRED


def addons(
    session: Session, team_id: UUID, *, before: UUID | None = None, limit: int | None = None
) -> Sequence[Resource]:
    """All add-ons a team ever bought, or a page of them; the newest first."""
    mine = select(Resource).where(Resource.team_id == team_id, Resource.kind != PLAN)
    if before is not None:
        mine = mine.where(Resource.id < before)
    return session.scalars(mine.order_by(Resource.id.desc()).limit(limit)).all()


def plan_of(session: Session, team_id: UUID) -> Resource | None:
    """The plan that runs now, paid or given; None for the free one."""
    mine = select(Resource).where(
        Resource.team_id == team_id, Resource.kind == PLAN, Resource.status.in_(LIVE)
    )
    return session.scalars(mine).one_or_none()


def resource(session: Session, *, team_id: UUID, resource_id: UUID) -> Resource:
    """:raises UnknownResource: none of this team."""
    found = session.get(Resource, resource_id)
    if found is None or found.team_id != team_id:
        raise UnknownResource
    return found


def payment(session: Session, *, payment_id: UUID, team_id: UUID | None = None) -> Payment:
    """:raises UnknownPayment: none at all, or none of this team."""
    found = session.get(Payment, payment_id)
    if found is None or (team_id is not None and found.team_id != team_id):
        raise UnknownPayment
    return found


def owned_quantity(session: Session, *, team_id: UUID, kind: str, now: datetime) -> int:
    """How many pieces of an add-on run at `now`, whether a job has ended the others or not."""
    wanted = select(Resource).where(
        Resource.team_id == team_id, Resource.kind == kind, Resource.status.in_(LIVE)
    )
    found = session.scalars(wanted)
    return sum(each.quantity for each in found if shown_status(each, now) in LIVE)


def payments(
    session: Session, *, team_id: UUID | None = None, before: UUID | None = None, limit: int = 50
) -> Sequence[PaymentLine]:
    """Payments of a team, or of all, the newest first."""
    wanted = (
        select(Payment, Resource, Team, Grant.plan)
        .join(Resource, Resource.id == Payment.resource_id)
        .join(Team, Team.id == Payment.team_id)
        .outerjoin(Grant, Grant.payment_id == Payment.id)
        .order_by(Payment.id.desc())
        .limit(limit)
    )
    if team_id is not None:
        wanted = wanted.where(Payment.team_id == team_id)
    if before is not None:
        wanted = wanted.where(Payment.id < before)
    return [PaymentLine(*row) for row in session.execute(wanted)]


def open_payment(session: Session, resource_id: UUID) -> Payment | None:
    """The payment that this resource waits for: pending or failed, the newest."""
    wanted = select(Payment).where(
        Payment.resource_id == resource_id,
        Payment.status.in_((Paid.PENDING, Paid.FAILED)),
        Payment.purpose != Purpose.MORE,
    )
    return session.scalars(wanted.order_by(Payment.id.desc()).limit(1)).first()


def open_payments(session: Session, team_id: UUID) -> dict[UUID, Payment]:
    """Every payment that a team can still make, by its resource."""
    wanted = (
        select(Payment)
        .join(Resource, Resource.id == Payment.resource_id)
        .where(Payment.team_id == team_id, Payment.status.in_((Paid.PENDING, Paid.FAILED)))
        .where(Resource.status.in_((Status.PENDING, *LIVE)))
        .order_by(Payment.id)
    )
    return {payment.resource_id: payment for payment in session.scalars(wanted)}


def details(session: Session, team_id: UUID) -> Party | None:
    """Who a team is on its invoices now; None until it has said so."""
    mine = select(Details).where(Details.team_id == team_id)
    row = session.scalars(mine.order_by(Details.id.desc()).limit(1)).first()
    return None if row is None else Party.of(row.party)


def will_have_plan(session: Session, resource: Resource) -> bool:
    """Add-ons go on only where the plan does: one given, or one that renews itself."""
    if resource.kind == PLAN:
        return True
    assert resource.expires_at is not None
    if limits.at(session, resource.team_id, resource.expires_at).may_buy_addons:
        return True
    plan = plan_of(session, resource.team_id)
    if plan is None or not plan.auto_renew:
        return False
    to_come = pricing.current().plans.get(plan.next_plan)
    return to_come is None or to_come.addons


def next_charges(
    session: Session, team_id: UUID, now: datetime
) -> Sequence[tuple[Resource, Money]]:
    """What will be charged when, the next first."""
    wanted = (
        select(Resource)
        .join(Team, Team.id == Resource.team_id)
        .where(Resource.team_id == team_id, Team.closes_at.is_(None))
        .where(Resource.status.in_(LIVE), Resource.auto_renew, Resource.expires_at > now)
    )
    # A payment may be booked while a page is read: no row as it was before that.
    fresh = wanted.order_by(Resource.expires_at, Resource.id)
    found = session.scalars(fresh.execution_options(populate_existing=True))
    return [(each, each.next_price) for each in found.all() if will_have_plan(session, each)]


def events(
    session: Session,
    provider: str,
    *,
    before: UUID | None = None,
    limit: int = 50,
) -> Sequence[ProviderEvent]:
    """What a provider told us, the newest first."""
    wanted = select(ProviderEvent).where(ProviderEvent.provider == provider)
    if before is not None:
        wanted = wanted.where(ProviderEvent.id < before)
    return session.scalars(wanted.order_by(ProviderEvent.id.desc()).limit(limit)).all()


def plans_of(session: Session, team_ids: Sequence[UUID]) -> dict[UUID, Resource]:
    """The plans that run, by team."""
    wanted = select(Resource).where(
        Resource.team_id.in_(team_ids), Resource.kind == PLAN, Resource.status.in_(LIVE)
    )
    return {each.team_id: each for each in session.scalars(wanted)}
