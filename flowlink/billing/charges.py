"""Talking to the provider: checkout, charging again, refunds, asking what became of a charge.

The same shape everywhere: commit what is meant, ask outside of any transaction, commit what was
seen. Whoever dies in between leaves a pending payment, which `reconcile` asks about by its name.
"""

from collections.abc import Callable, Sequence
from datetime import datetime, timedelta
from uuid import UUID

from sqlalchemy import select
from sqlalchemy.orm import Session

from flowlink.billing import ids, limits, providers, purchases, queries, settlement
from flowlink.billing.models import LIVE, PLAN, Dispute, Paid, Payment, Purpose, Resource, Status
from flowlink.billing.providers import Away, Charge, Order, ProviderAway, Seen
from flowlink.kernel import db, logs, settings
from flowlink.kernel.errors import Refused
from flowlink.teams.models import Team

UNPAID_FOR = timedelta(days=3)
SETTLED_BY = timedelta(minutes=10)
BATCH = 200
NEVER_SEEN = "never seen"
_BANK_DECIDES = (Dispute.OPEN, Dispute.LOST)

log = logs.get("flowlink.billing")


class AlreadyPaid(Refused):
    message = "This was paid already."


class NotPayable(Refused):
    message = "This cannot be paid any more."


def checkout(*, team_id: UUID, payment_id: UUID, now: datetime) -> str:
    """The address where a payment is made. One that surely failed becomes a new attempt.

    :raises queries.UnknownPayment: :raises AlreadyPaid: :raises NotPayable:
    :raises purchases.TeamEnds: :raises purchases.NotPro:
    :raises ProviderAway: the payment stays, and can be paid later.
    """
    _close_failed(team_id, payment_id, now=now)
    with db.write() as session:
        payment = _lock(session, payment_id, team_id)
        if payment.status == Paid.PAID:
            raise AlreadyPaid
        resource = session.get_one(Resource, payment.resource_id)
        _check_payable(session, payment, resource, now=now)
        if payment.status == Paid.FAILED:
            payment.attempt, payment.status = payment.attempt + 1, Paid.PENDING
        order = _order(session, payment, resource)
        provider = providers.named(payment.provider)
    try:
        return provider.checkout(order, now=now)
    except Away:
        raise ProviderAway from None


def _close_failed(team_id: UUID, payment_id: UUID, *, now: datetime) -> None:
    """An attempt that failed must not be paid beside the next one."""
    with db.read() as session:
        payment = queries.payment(session, payment_id=payment_id, team_id=team_id)
        failed = payment.status == Paid.FAILED
    if failed and close(payment_id, now=now) == "unknown":
        raise ProviderAway


def _check_payable(
    session: Session, payment: Payment, resource: Resource, *, now: datetime
) -> None:
    """Better not paid than given back."""
    if session.get_one(Team, payment.team_id).closes_at is not None:
        raise purchases.TeamEnds
    if payment.status == Paid.CANCELLED or resource.status not in (Status.PENDING, *LIVE):
        raise NotPayable
    first = payment.purpose == Purpose.PURCHASE and resource.kind != PLAN
    if first and not limits.at(session, payment.team_id, now).may_buy_addons:
        raise purchases.NotPro
    if settlement.what_it_gives(session, payment, resource, now=now) is None:
        raise NotPayable


def paid_url(session: Session, payment: Payment) -> str | None:
    """Where a payment that needs no checkout any more can be seen; None for one that does."""
    resource = session.get_one(Resource, payment.resource_id)
    open_ = payment.status in {Paid.PENDING, Paid.FAILED} and resource.status == Status.PENDING
    return None if open_ else _back_url(session.get_one(Team, payment.team_id))


def charge(payment_id: UUID, *, now: datetime) -> str:
    """Charge a renewal to what the team paid with before; in a few words what came of it."""
    with db.write() as session:
        payment = _lock(session, payment_id, None)
        if payment.status != Paid.PENDING or payment.purpose != Purpose.RENEWAL:
            return "not open"
        resource = session.get_one(Resource, payment.resource_id)
        wanted = _is_wanted(session, resource, now=now)
        payment.tried_at = now
        order = _order(session, payment, resource)
        provider = providers.named(payment.provider)
    if not wanted:
        return close(payment_id, now=now)
    return _seen(payment_id, lambda: provider.charge(order, now=now), now=now)


def _is_wanted(session: Session, resource: Resource, *, now: datetime) -> bool:
    """Whether the team still lets this renew: since the charge was begun it may have cancelled,
    or the time in which everything stays may be over.
    """
    team = session.get_one(Team, resource.team_id)
    goes_on = queries.shown_status(resource, now) in LIVE
    return resource.auto_renew and goes_on and team.closes_at is None


def look(payment_id: UUID, *, now: datetime) -> str:
    """Ask the provider for a payment's state, and book it."""
    with db.read() as session:
        payment = queries.payment(session, payment_id=payment_id)
        provider, ref = providers.named(payment.provider), _ref(payment)
        again = payment.purpose == Purpose.RENEWAL and payment.status == Paid.PENDING
    told = _seen(payment_id, lambda: provider.state(ref), now=now)
    if told == NEVER_SEEN and again:
        return charge(payment_id, now=now)  # the same name: it is made once
    return told


def close(payment_id: UUID, *, now: datetime) -> str:
    """Let a payment that waits never be paid, unless it was by now."""
    with db.read() as session:
        payment = queries.payment(session, payment_id=payment_id)
        provider, ref = providers.named(payment.provider), _ref(payment)
        unseen = Seen(ref, Charge.CLOSED, payment.amount_minor, payment.currency)
    return _seen(payment_id, lambda: provider.close(ref, now=now) or unseen, now=now)


def refund(payment_id: UUID, *, now: datetime) -> str:
    """Have given back what was asked for, once."""
    with db.read() as session:
        payment = queries.payment(session, payment_id=payment_id)
        total, ref = payment.refund_asked_minor, _ref(payment)
        provider = providers.named(payment.provider)
        if total <= payment.refunded_minor or payment.dispute in _BANK_DECIDES:
            return "known"
    return _seen(payment_id, lambda: provider.refund(ref, total, now=now), now=now)


def reconcile(*, now: datetime) -> tuple[int, int]:
    """Ask about every payment that has waited; close those nobody will pay.

    How many were asked about, and how many turned out to be paid or over.
    """
    with db.read() as session:
        waiting = _waiting(session, now)
    changed = 0
    for payment_id, is_old in waiting:
        told = (close if is_old else look)(payment_id, now=now)
        changed += told not in {"known", "unknown", NEVER_SEEN}
    with db.read() as session:
        asked = Payment.refund_asked_minor > Payment.refunded_minor
        wanted = select(Payment.id).where(asked, Payment.dispute.not_in(_BANK_DECIDES))
        wanted = wanted.limit(BATCH)
        due = session.scalars(wanted).all()
    for payment_id in due:
        changed += refund(payment_id, now=now) != "unknown"
    return len(waiting) + len(due), changed


def _waiting(session: Session, now: datetime) -> Sequence[tuple[UUID, bool]]:
    wanted = (
        select(Payment.id, Payment.created_at, Payment.purpose)
        .where(Payment.status == Paid.PENDING, Payment.created_at <= now - SETTLED_BY)
        .order_by(Payment.created_at)
        .limit(BATCH)
    )
    return [
        (key, made <= now - UNPAID_FOR and purpose != Purpose.RENEWAL)
        for key, made, purpose in session.execute(wanted)
    ]


def _seen(payment_id: UUID, ask: Callable[[], Seen | None], *, now: datetime) -> str:
    try:
        seen = ask()
    except Away as trouble:
        log.warning("the payment provider is away", payment=ids.payment(payment_id))
        _note(payment_id, str(trouble) or "the provider does not answer")
        return "unknown"
    if seen is None:
        return NEVER_SEEN
    with db.write() as session:
        return settlement.apply(session, payment_id=payment_id, seen=seen, now=now)


def _note(payment_id: UUID, trouble: str) -> None:
    with db.write() as session:
        payment = _lock(session, payment_id, None)
        if payment.status == Paid.PENDING:
            payment.trouble = trouble[:200]


def _lock(session: Session, payment_id: UUID, team_id: UUID | None) -> Payment:
    found = db.lock(session, Payment, Payment.id == payment_id)
    if not found or (team_id is not None and found[0].team_id != team_id):
        raise queries.UnknownPayment
    return found[0]


def _order(session: Session, payment: Payment, resource: Resource) -> Order:
    team = session.get_one(Team, payment.team_id)
    what = resource.plan if resource.kind == PLAN else resource.kind
    return Order(
        ref=_ref(payment),
        payer=payment.payer,
        amount_minor=payment.amount_minor,
        currency=payment.currency,
        title=f"{team.name}: {payment.quantity} x {what}",
        back_url=_back_url(team),
    )


def _back_url(team: Team) -> str:
    return f"{settings.current().url}/teams/{team.slug}/billing"


def _ref(payment: Payment) -> str:
    return ids.ref(payment.id, payment.attempt)
