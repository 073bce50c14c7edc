"""The end of a period: reminders, renewal, tries again, expiry. Each step is safe to repeat."""

from collections.abc import Sequence
from datetime import datetime, timedelta
from uuid import UUID

from sqlalchemy import ColumnElement, Select, or_, select
from sqlalchemy.orm import Session

from flowlink.billing import charges, grants, notices, providers, queries, settlement
from flowlink.billing.models import LEAD, PLAN, Paid, Payment, Purpose, Resource, Status
from flowlink.kernel import db
from flowlink.teams import service as teams
from flowlink.teams.models import Team

RETRIES = tuple(timedelta(days=days) for days in (2, 5, 7))
REMINDERS = (1, 7)
BATCH = 500


def renew_due(*, now: datetime) -> tuple[int, int]:
    """Charge every period that ends soon, and failed ones whose day has come: charged, tried."""
    with db.read() as session:
        due = _ending(session, now)
        failed = _to_retry(session, now)
    charged = 0
    for resource_id in due:
        with db.write() as session:
            payment_id = begin(session, resource_id=resource_id, now=now)
        if payment_id is not None:
            charges.charge(payment_id, now=now)
            charged += 1
    tried = sum(_try_again(payment_id, now=now) for payment_id in failed)
    return charged, tried


def begin(session: Session, *, resource_id: UUID, now: datetime) -> UUID | None:
    """Order the next period of a resource, once; None when it is not to be renewed.

    Its price is the one it was bought for, or of the smaller plan that the team chose.
    """
    # The team first, as everywhere: what is written below holds on to it.
    team = teams.lock_or_gone(session, session.get_one(Resource, resource_id).team_id)
    found = db.lock(session, Resource, Resource.id == resource_id, *_renewable(now))
    if not found or team.closes_at is not None or not queries.will_have_plan(session, found[0]):
        return None
    resource = found[0]
    before = _ordered_before(session, resource)
    if before is not None:
        return before.id if _again(session, before, resource, now=now) else None
    payment = Payment(
        team_id=resource.team_id,
        resource_id=resource.id,
        purpose=Purpose.RENEWAL,
        quantity=resource.next_quantity,
        amount_minor=resource.next_price.cents,
        currency=resource.currency,
        provider=providers.current().name,
        status=Paid.PENDING,
        payer=_payer(session, resource),
        fingerprint="",
        created_at=now,
        starts_at=resource.expires_at,
    )
    session.add(payment)
    _renewing(session, resource, now=now)
    return payment.id


def _ordered_before(session: Session, resource: Resource) -> Payment | None:
    """The charge of this very period, where one was closed before it was paid."""
    mine = Payment.resource_id == resource.id, Payment.purpose == Purpose.RENEWAL
    found = db.lock(session, Payment, *mine, Payment.starts_at == resource.expires_at)
    return found[0] if found else None


def _renewing(session: Session, resource: Resource, *, now: datetime) -> None:
    """Nothing becomes smaller while nobody knows yet whether the charge was paid."""
    resource.status = Status.RENEWING
    session.flush()
    grants.bridge(session, resource, now=now)


def _again(session: Session, payment: Payment, resource: Resource, *, now: datetime) -> bool:
    """Another attempt, at what the period costs now; False for one that went back."""
    if payment.status != Paid.FAILED:
        return False
    payment.attempt, payment.status = payment.attempt + 1, Paid.PENDING
    payment.quantity = resource.next_quantity
    payment.amount_minor = resource.next_price.cents
    _renewing(session, resource, now=now)
    return True


def expire(*, now: datetime) -> int:
    """End everything whose time is over; how many ended.

    A charge that is still open is closed at the provider first: what is paid is not ended.
    """
    with db.read() as session:
        waiting = session.scalars(
            select(Payment.id)
            .join(Resource, Resource.id == Payment.resource_id)
            .where(Payment.status == Paid.PENDING, _over(now))
        ).all()
    for payment_id in waiting:
        charges.close(payment_id, now=now)
    ended = 0
    while True:
        with db.write() as session:
            count = _end_some(session, now=now)
        ended += count
        if not count:
            return ended


def remind(*, now: datetime) -> int:
    """Tell owners 7 and 1 days ahead what will be charged, or will end; each once."""
    sent = 0
    with db.write() as session:
        for resource in session.scalars(_soon(now)):
            assert resource.expires_at is not None
            left = resource.expires_at - now
            days = next(days for days in REMINDERS if left <= timedelta(days=days))
            renews = resource.auto_renew and queries.will_have_plan(session, resource)
            sent += notices.reminder(session, resource, days=days, renews=renews, now=now)
    return sent


def _soon(now: datetime) -> Select[Resource]:
    return (
        select(Resource)
        .join(Team, Team.id == Resource.team_id)
        .where(Resource.status == Status.ACTIVE, Team.closes_at.is_(None))
        .where(Resource.expires_at > now)
        .where(Resource.expires_at <= now + timedelta(days=max(REMINDERS)))
        .order_by(Resource.id)
    )


def _renewable(now: datetime) -> tuple[ColumnElement[bool], ...]:
    return (
        Resource.status == Status.ACTIVE,
        Resource.auto_renew.is_(True),
        Resource.expires_at <= now + LEAD,
        Resource.expires_at > now - grants.GRACE,
    )


def _ending(session: Session, now: datetime) -> Sequence[UUID]:
    """Plans first: an add-on is renewed for a team that has one."""
    wanted = (
        select(Resource.id)
        .join(Team, Team.id == Resource.team_id)
        .where(*_renewable(now), Team.closes_at.is_(None))
    )
    return session.scalars(wanted.order_by(Resource.kind != PLAN, Resource.id)).all()


def _payer(session: Session, resource: Resource) -> str:
    """Who paid for this before: the provider knows how to charge them."""
    paid = select(Payment.payer).where(
        Payment.resource_id == resource.id, Payment.status == Paid.PAID
    )
    return session.scalars(paid.order_by(Payment.id.desc()).limit(1)).first() or ""


def _to_retry(session: Session, now: datetime) -> Sequence[UUID]:
    wanted = (
        select(Payment.id, Payment.tried_at, Resource.failed_at)
        .join(Resource, Resource.id == Payment.resource_id)
        .join(Team, Team.id == Payment.team_id)
        .where(Resource.status == Status.PAST_DUE, Resource.grace_until > now)
        .where(Resource.auto_renew, Team.closes_at.is_(None))
        .where(Payment.purpose == Purpose.RENEWAL)
        .where(Payment.starts_at == Resource.expires_at)
        .where(Payment.status.in_((Paid.FAILED, Paid.PENDING)))
    )
    return [
        key
        for key, tried, failed in session.execute(wanted)
        if failed and any((tried or failed) < failed + pause <= now for pause in RETRIES)
    ]


def _try_again(payment_id: UUID, *, now: datetime) -> bool:
    """Another attempt at a renewal that surely failed."""
    charges.close(payment_id, now=now)
    with db.write() as session:
        found = db.lock(session, Payment, Payment.id == payment_id, Payment.status == Paid.FAILED)
        if not found:
            return False
        found[0].attempt, found[0].status = found[0].attempt + 1, Paid.PENDING
    charges.charge(payment_id, now=now)
    return True


def _over(now: datetime) -> ColumnElement[bool]:
    ended = Resource.expires_at <= now
    long_ended = Resource.expires_at <= now - grants.GRACE
    return or_(
        Resource.status.in_((Status.ACTIVE, Status.RENEWING)) & ended & ~Resource.auto_renew,
        Resource.status.in_((Status.ACTIVE, Status.RENEWING)) & long_ended,
        (Resource.status == Status.PAST_DUE) & (Resource.grace_until <= now),
        (Resource.status == Status.PENDING) & (Resource.created_at <= now - charges.UNPAID_FOR),
    )


def _end_some(session: Session, *, now: datetime) -> int:
    """The ones that nobody can pay any more; the others wait for their provider."""
    open_ = select(Payment.id).where(
        Payment.resource_id == Resource.id, Payment.status == Paid.PENDING
    )
    found = session.scalars(
        select(Resource.id).where(_over(now), ~open_.exists()).order_by(Resource.id).limit(BATCH)
    ).all()
    ended = db.lock(session, Resource, Resource.id.in_(found), _over(now))
    for resource in ended:
        settlement.end(session, resource, now=now)
    return len(ended)
