"""What a charge's state at the provider does here: paid, failed, given back, disputed.

`apply` books the difference between what we knew and what was seen, in steps that only go forward.
So it may be told the same twice, and in any order.
"""

from datetime import datetime
from uuid import UUID

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from flowlink.billing import books, changes, grants, ids, notices, pricing, queries, tax
from flowlink.billing.models import (
    LIVE,
    PLAN,
    Dispute,
    Grant,
    GrantVoid,
    Paid,
    Payment,
    Purpose,
    Resource,
    Status,
)
from flowlink.billing.providers import Charge, Seen
from flowlink.kernel import db, events
from flowlink.kernel.money import Money
from flowlink.papers import service as papers, vat
from flowlink.teams import service as teams

_ORDER = {Dispute.NONE: 0, Dispute.OPEN: 1, Dispute.WON: 2, Dispute.LOST: 2}


def apply(session: Session, *, payment_id: UUID, seen: Seen, now: datetime) -> str:
    """Bring a payment to what its provider says of it; in a few words what that did."""
    known = queries.payment(session, payment_id=payment_id)
    # What a team has in all decides what else it can be given: one payment after the other.
    teams.lock_or_gone(session, known.team_id)
    [resource] = db.lock(session, Resource, Resource.id == known.resource_id)
    [payment] = db.lock(session, Payment, Payment.id == payment_id)
    if (seen.amount_minor, seen.currency) != (payment.amount_minor, payment.currency):
        payment.trouble = "the provider names another amount"
        return payment.trouble
    done = [_by_status(session, payment, resource, seen, now=now)]
    if payment.status == Paid.PAID:
        done += [
            _refunded(session, payment, resource, seen.refunded_minor, now=now),
            _disputed(session, payment, resource, Dispute(seen.dispute), now=now),
        ]
    return ", ".join(word for word in done if word) or "known"


def end(session: Session, resource: Resource, *, now: datetime) -> None:
    """What a locked resource gave is over, or was never paid; its owner is told."""
    was = Status(resource.status)
    ends = resource.cancelled_at is not None or was == Status.PENDING
    resource.status = Status.CANCELLED if ends else Status.EXPIRED
    resource.auto_renew = False
    grants.unbridge(session, resource, reason="ended", now=now)
    session.flush()
    events.emit(session, "limits.changed", {"team_id": str(resource.team_id)})
    if was != Status.PENDING:
        notices.ended(session, resource, now=now)


def give_up(session: Session, resource: Resource, *, purpose: Purpose) -> None:
    """Orders of a locked resource that wait are not to be paid any more; their pages close."""
    mine = Payment.resource_id == resource.id, Payment.purpose == purpose
    for order in db.lock(session, Payment, *mine, Payment.status == Paid.PENDING):
        order.status = Paid.CANCELLED
        events.emit(session, "payment.superseded", {"payment_id": str(order.id)})


def ask_refund(session: Session, payment: Payment, *, total_minor: int, reason: str) -> None:
    """Let the provider give back `total_minor` in all; a job asks it to."""
    payment.refund_asked_minor = max(payment.refund_asked_minor, total_minor)
    payment.refund_reason = reason
    events.emit(session, "refund.asked", {"payment_id": str(payment.id)})


def _by_status(
    session: Session, payment: Payment, resource: Resource, seen: Seen, *, now: datetime
) -> str:
    if payment.status == Paid.PAID:
        return ""
    if seen.status == Charge.PAID:
        return _paid(session, payment, resource, now=now)
    if seen.ref != ids.ref(payment.id, payment.attempt) or payment.status != Paid.PENDING:
        return ""
    if seen.status == Charge.FAILED:
        payment.status, payment.trouble = Paid.FAILED, seen.failure[:200]
        if payment.purpose == Purpose.RENEWAL:
            _past_due(session, payment, resource, now=now)
        return "failed"
    if seen.status == Charge.CLOSED:
        again = payment.purpose == Purpose.RENEWAL
        payment.status = Paid.FAILED if again else Paid.CANCELLED
        if again and resource.status == Status.RENEWING:
            resource.status = Status.ACTIVE  # as before: it ends, or is charged anew
            grants.unbridge(session, resource, reason="not renewed", now=now)
        return "closed"
    return ""


def _paid(session: Session, payment: Payment, resource: Resource, *, now: datetime) -> str:
    """Book the money, then give what it is for; what cannot be given any more goes back."""
    term = what_it_gives(session, payment, resource, now=now)
    payment.status, payment.paid_at, payment.trouble = Paid.PAID, now, ""
    _tax(session, payment, now=now)
    payment.starts_at, payment.ends_at = term or (now, now + grants.PERIOD)
    payment.recognised_until = payment.starts_at
    session.flush()
    books.sell(session, payment, now=now)
    events.emit(session, "payment.completed", {"payment_id": str(payment.id)})
    if term is None:
        ask_refund(
            session, payment, total_minor=payment.amount_minor, reason="nothing to give for it"
        )
        if payment.purpose == Purpose.PURCHASE and resource.status == Status.PENDING:
            resource.status = Status.CANCELLED
        return "paid for nothing, goes back"
    _grant(session, payment, resource, now=now)
    events.emit(session, "limits.changed", {"team_id": str(payment.team_id)})
    notices.receipt(session, payment, resource, now=now)
    return "paid"


def _tax(session: Session, payment: Payment, *, now: datetime) -> None:
    """What the sale bears on the day it is paid, which stays so."""
    customer = queries.details(session, payment.team_id)
    found = tax.treatment(customer, papers.company(session), on=now.date())
    payment.vat_case, payment.vat_country = found.case.value, found.country
    payment.vat_rate_bps = found.rate_bps
    payment.net_minor = vat.split(payment.amount, found.rate_bps).net.cents


def what_it_gives(
    session: Session, payment: Payment, resource: Resource, *, now: datetime
) -> tuple[datetime, datetime] | None:
    """From when to when a payment counts that is made now; None if it can give nothing any more.

    More than a team can have is not given, however many orders wait.
    """
    if payment.purpose == Purpose.MORE:
        return _rest(session, payment, resource, now=now)
    if payment.purpose == Purpose.RENEWAL:
        if resource.status not in LIVE or payment.starts_at != resource.expires_at:
            return None
        start = _next_start(session, payment, resource, now=now)
        return start, start + grants.PERIOD
    if resource.status != Status.PENDING:
        return None
    if resource.kind == PLAN:
        return _plan_term(session, payment, resource, now=now)
    if not _fits(session, payment, resource, now=now):
        return None
    return now, now + grants.PERIOD


def _plan_term(
    session: Session, payment: Payment, resource: Resource, *, now: datetime
) -> tuple[datetime, datetime] | None:
    """A month of a first plan, or the rest of the period of the one whose place it takes."""
    running = queries.plan_of(session, resource.team_id)
    if resource.replaces_id is None:
        return (now, now + grants.PERIOD) if running is None else None
    if running is None or running.id != resource.replaces_id or running.status != Status.ACTIVE:
        return None
    ends_at = payment.ends_at
    is_same = ends_at is not None and now < ends_at == running.expires_at
    return (now, ends_at) if ends_at is not None and is_same else None


def _next_start(
    session: Session, payment: Payment, resource: Resource, *, now: datetime
) -> datetime:
    """Where the next period begins: with the end of the last one, or of the room without pay."""
    assert payment.starts_at is not None
    if payment.starts_at >= now:
        return payment.starts_at
    return grants.bridged_since(session, resource, now=now) or now


def _rest(
    session: Session, payment: Payment, resource: Resource, *, now: datetime
) -> tuple[datetime, datetime] | None:
    """The rest of a running period, for more pieces; one order of them takes another's place."""
    alive = queries.shown_status(resource, now) in LIVE and payment.status != Paid.CANCELLED
    if not alive or payment.ends_at is None or payment.ends_at <= now:
        return None
    return (now, payment.ends_at) if _fits(session, payment, resource, now=now) else None


def _fits(session: Session, payment: Payment, resource: Resource, *, now: datetime) -> bool:
    addon = pricing.current().addons.get(resource.kind)  # type: ignore[call-overload]
    owned = queries.owned_quantity(session, team_id=payment.team_id, kind=resource.kind, now=now)
    return addon is None or owned + payment.quantity <= addon.maximum


def _grant(session: Session, payment: Payment, resource: Resource, *, now: datetime) -> None:
    assert payment.starts_at is not None
    if resource.replaces_id is not None and payment.purpose == Purpose.PURCHASE:
        changes.replace(session, resource, now=now)
    if payment.purpose == Purpose.RENEWAL:
        changes.turn(resource)
    if payment.purpose == Purpose.RENEWAL:
        told = "paid after all"
        grants.void(session, resource, reason=told, now=now, grace_only=True, as_if_never=True)
    session.add(
        grants.of(
            resource,
            quantity=payment.quantity,
            reason="paid",
            starts_at=payment.starts_at,
            ends_at=payment.ends_at,
            payment_id=payment.id,
            now=now,
        )
    )
    if payment.purpose == Purpose.MORE:
        _grow(payment, resource)
    else:
        resource.quantity = payment.quantity
        resource.status, resource.expires_at = Status.ACTIVE, payment.ends_at
        resource.activated_at = resource.activated_at or now
        resource.failed_at = resource.grace_until = None
    session.flush()


def _grow(payment: Payment, resource: Resource) -> None:
    """More pieces: in this period, or where it was renewed meanwhile, from the next one on."""
    resource.next_quantity = resource.quantity + payment.quantity
    if resource.expires_at == payment.ends_at:
        resource.quantity += payment.quantity


def _past_due(session: Session, payment: Payment, resource: Resource, *, now: datetime) -> None:
    """A renewal failed: limits stay for a while beyond the period, and we try again."""
    if resource.status not in {Status.RENEWING, Status.ACTIVE} or resource.expires_at is None:
        return
    resource.status, resource.failed_at = Status.PAST_DUE, now
    resource.grace_until = resource.expires_at + grants.GRACE
    grants.bridge(session, resource, now=now)
    notices.past_due(session, payment, resource, now=now)


def _refunded(
    session: Session, payment: Payment, resource: Resource, total_minor: int, *, now: datetime
) -> str:
    if total_minor <= payment.refunded_minor or payment.dispute == Dispute.LOST:
        return ""
    part = Money.from_cents(total_minor - payment.refunded_minor, payment.currency)
    books.give_back(session, payment, total_minor=total_minor, now=now)
    payment.refund_asked_minor = max(payment.refund_asked_minor, total_minor)
    if total_minor == payment.amount_minor:
        _take_away(session, payment, resource, reason="given back", now=now)
    events.emit(
        session, "payment.refunded", {"payment_id": str(payment.id), "total_minor": total_minor}
    )
    notices.refunded(session, payment, resource, part=part, now=now)
    return "given back"


def _disputed(
    session: Session, payment: Payment, resource: Resource, to: Dispute, *, now: datetime
) -> str:
    """An end of a dispute whose beginning we missed is booked with its beginning."""
    known = Dispute(payment.dispute)
    if _ORDER[to] <= _ORDER[known]:
        return ""
    if payment.refunded_minor == payment.amount_minor:
        payment.dispute = to if known == Dispute.OPEN else known  # nothing is left to move
        return ""
    if known == Dispute.NONE:
        books.dispute(session, payment, to=Dispute.OPEN, now=now)
        resource.auto_renew = False
    if to != Dispute.OPEN:
        books.dispute(session, payment, to=to, now=now)
    if to == Dispute.LOST:
        _take_away(session, payment, resource, reason="dispute lost", now=now)
        events.emit(
            session,
            "payment.refunded",
            {"payment_id": str(payment.id), "total_minor": payment.amount_minor},
        )
    else:
        events.emit(session, "payment.disputed", {"payment_id": str(payment.id)})
    return f"dispute {to}"


def _take_away(
    session: Session, payment: Payment, resource: Resource, *, reason: str, now: datetime
) -> None:
    """What the money gave ends; the resource too, unless another payment carries it."""
    grants.void(session, resource, reason=reason, now=now, payment_id=payment.id)
    gone = select(GrantVoid.grant_id).where(GrantVoid.grant_id == Grant.id).exists()
    left = select(func.max(Grant.ends_at)).where(
        Grant.resource_id == resource.id, Grant.reason == "paid", Grant.ends_at > now, ~gone
    )
    until = session.scalar(left) if resource.status in LIVE else None
    if resource.status in LIVE and until is None:
        grants.void(session, resource, reason=reason, now=now)
        renews = resource.auto_renew
        resource.status, resource.auto_renew = Status.VOIDED, False
        changes.fall_back(session, resource, renews=renews, now=now)
    elif resource.status in LIVE and until != resource.expires_at:
        # The period to come was given back: it ends with the one that runs.
        resource.status, resource.expires_at, resource.auto_renew = Status.ACTIVE, until, False
    elif resource.status in LIVE and payment.ends_at == until:
        resource.quantity = max(1, resource.quantity - payment.quantity)
        resource.next_quantity = min(resource.next_quantity, resource.quantity)
    elif resource.status not in LIVE:
        changes.end_what_stands_on(session, payment, resource, reason=reason, now=now)
    session.flush()
    events.emit(session, "limits.changed", {"team_id": str(payment.team_id)})
