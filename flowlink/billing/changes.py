"""What happens to a plan when another one takes its place, or its money goes back."""

from collections.abc import Iterator
from datetime import datetime

from sqlalchemy import select
from sqlalchemy.orm import Session

from flowlink.billing import grants
from flowlink.billing.models import LIVE, Dispute, Grant, Payment, Resource, Status
from flowlink.kernel import db


def replace(session: Session, resource: Resource, *, now: datetime) -> None:
    """The plan whose place this one takes ends now; what was paid for it carries this one."""
    before = _locked(session, resource)
    grants.void(session, before, reason="plan changed", now=now)
    before.status, before.auto_renew, before.next_terms = Status.CANCELLED, False, None
    before.cancelled_at = before.cancelled_at or now
    session.flush()  # one plan at most runs, at every moment


def turn(resource: Resource) -> None:
    """With its next period, a plan becomes the smaller one that its team chose."""
    terms = resource.next_terms
    if terms is None:
        return
    resource.plan, resource.unit_price_minor = terms["plan"], terms["unit_price_minor"]
    resource.pricing, resource.next_terms = terms["pricing"], None
    for name, size in terms["gives"].items():
        setattr(resource, name, size)


def fall_back(session: Session, resource: Resource, *, renews: bool, now: datetime) -> None:
    """The difference went back, so the plan before runs again, as far as it is paid."""
    session.flush()
    for before in _before(session, resource):
        over = before.expires_at is None or before.expires_at <= now
        if over or before.expires_at != resource.expires_at:
            return
        if all(_is_paid(session, one) for one in (before, *_before(session, before))):
            before.status, before.auto_renew, before.cancelled_at = Status.ACTIVE, renews, None
            ends_at = before.expires_at
            session.add(
                grants.of(
                    before, quantity=1, reason="rest", starts_at=now, ends_at=ends_at, now=now
                )
            )
            return


def end_what_stands_on(
    session: Session, payment: Payment, resource: Resource, *, reason: str, now: datetime
) -> None:
    """What a plan was paid for went back after another took its place: that one ends too."""
    after = select(Resource).where(Resource.replaces_id == resource.id)
    for found in session.scalars(after):
        [one] = db.lock(session, Resource, Resource.id == found.id)
        if one.status in LIVE and one.expires_at == payment.ends_at:
            grants.void(session, one, reason=reason, now=now)
            one.status, one.auto_renew = Status.VOIDED, False
        else:
            end_what_stands_on(session, payment, one, reason=reason, now=now)


def _before(session: Session, resource: Resource) -> Iterator[Resource]:
    """The plans whose place a plan took, the latest first."""
    while resource.replaces_id is not None:
        resource = _locked(session, resource)
        yield resource


def _locked(session: Session, resource: Resource) -> Resource:
    [before] = db.lock(session, Resource, Resource.id == resource.replaces_id)
    return before


def _is_paid(session: Session, resource: Resource) -> bool:
    """Whether the period that ends with the resource was paid for it, and not given back."""
    wanted = (
        select(Payment)
        .join(Grant, Grant.payment_id == Payment.id)
        .where(Payment.resource_id == resource.id, Payment.ends_at == resource.expires_at)
    )
    return any(
        one.refunded_minor < one.amount_minor and one.dispute != Dispute.LOST
        for one in session.scalars(wanted)
    )
