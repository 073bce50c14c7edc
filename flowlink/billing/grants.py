"""Grants: room for a time. Given once, never changed, taken back by a row of its own."""

from datetime import datetime, timedelta
from uuid import UUID

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from flowlink.billing.models import Grant, GrantVoid, Resource

PERIOD = timedelta(days=30)
GRACE = timedelta(days=7)

_GONE = select(GrantVoid.grant_id).where(GrantVoid.grant_id == Grant.id).exists()


def of(
    resource: Resource,
    *,
    quantity: int,
    reason: str,
    starts_at: datetime,
    ends_at: datetime | None,
    now: datetime,
    payment_id: UUID | None = None,
) -> Grant:
    """Room of so many pieces of a resource for a time."""
    return Grant(
        team_id=resource.team_id,
        resource_id=resource.id,
        payment_id=payment_id,
        reason=reason,
        kind=resource.kind,
        plan=resource.plan,
        cpu_cores=resource.cpu_cores * quantity,
        memory_mb=resource.memory_mb * quantity,
        traffic_gb=resource.traffic_gb * quantity,
        storage_mb=resource.storage_mb * quantity,
        starts_at=starts_at,
        ends_at=ends_at,
        created_at=now,
    )


def bridge(session: Session, resource: Resource, *, now: datetime) -> None:
    """Room for a while beyond a paid period whose next one is charged, or could not be. Once."""
    assert resource.expires_at is not None
    start, end = max(resource.expires_at, now), resource.expires_at + GRACE
    if start < end and bridged_since(session, resource, now=now) is None:
        quantity, reason = resource.next_quantity, "grace"
        session.add(
            of(resource, quantity=quantity, reason=reason, starts_at=start, ends_at=end, now=now)
        )
        session.flush()


def bridged_since(session: Session, resource: Resource, *, now: datetime) -> datetime | None:
    """From when on a resource has room that is not paid yet; None if it has none to come."""
    mine = Grant.resource_id == resource.id, Grant.reason == "grace", Grant.ends_at > now
    return session.scalar(select(func.min(Grant.starts_at)).where(*mine, ~_GONE))


def unbridge(session: Session, resource: Resource, *, reason: str, now: datetime) -> None:
    """Take back from now on what `bridge` gave: it is not to be renewed."""
    void(session, resource, reason=reason, now=now, grace_only=True)


def void(
    session: Session,
    resource: Resource,
    *,
    reason: str,
    now: datetime,
    payment_id: UUID | None = None,
    grace_only: bool = False,
    as_if_never: bool = False,
) -> None:
    """Take back what a resource was granted from now on: all, one payment's, or the grace.

    `as_if_never`: from its start on, since something else takes its place.
    """
    wanted = select(Grant).where(Grant.resource_id == resource.id, ~_GONE)
    wanted = wanted.where(Grant.ends_at.is_(None) | (Grant.ends_at > now))
    if payment_id is not None:
        wanted = wanted.where(Grant.payment_id == payment_id)
    if grace_only:
        wanted = wanted.where(Grant.reason == "grace")
    for grant in session.scalars(wanted):
        at = grant.starts_at if as_if_never else max(now, grant.starts_at)
        session.add(
            GrantVoid(
                grant_id=grant.id,
                team_id=resource.team_id,
                voided_at=at,
                reason=reason,
                created_at=now,
            )
        )
    session.flush()
