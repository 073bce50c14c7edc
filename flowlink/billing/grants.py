"""Grants: room for a time. Given once, never changed, taken back by a row of its own."""

from datetime import datetime, timedelta
from uuid import UUID

from sqlalchemy import select
from sqlalchemy.orm import Session

from flowlink.billing.models import Grant, GrantVoid, Resource

PERIOD = timedelta(days=30)


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


def void(
    session: Session,
    resource: Resource,
    *,
    reason: str,
    now: datetime,
    payment_id: UUID | None = None,
    grace_only: bool = False,
) -> None:
    """Take back what a resource was granted from now on: all, one payment's, or the grace."""
    gone = select(GrantVoid.grant_id).where(GrantVoid.grant_id == Grant.id).exists()
    wanted = select(Grant).where(Grant.resource_id == resource.id, ~gone)
    wanted = wanted.where(Grant.ends_at.is_(None) | (Grant.ends_at > now))
    if payment_id is not None:
        wanted = wanted.where(Grant.payment_id == payment_id)
    if grace_only:
        wanted = wanted.where(Grant.reason == "grace")
    for grant in session.scalars(wanted):
        at = grant.starts_at if grace_only else max(now, grant.starts_at)
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
