"""Another quantity of a running add-on: more now and prorated, less from the next period on."""

from datetime import datetime, timedelta
from uuid import UUID

from sqlalchemy.orm import Session

from flowlink.billing import grants, ids, pricing, providers, purchases, queries, settlement
from flowlink.billing.models import PLAN, Paid, Payment, Purpose, Resource, Status
from flowlink.kernel import audit, db
from flowlink.kernel.money import Money
from flowlink.teams import ids as team_ids
from flowlink.teams.models import Team


def change(
    session: Session, *, team: Team, resource_id: UUID, quantity: int, actor: str, now: datetime
) -> purchases.Bought | None:
    """Another quantity of a running add-on; None when nothing is to be paid.

    More counts when its share of the period is paid: by the second, rounded down to whole cents.
    Less counts from the next period on.

    :raises queries.UnknownResource: :raises purchases.NotRunning:
    :raises purchases.QuantityOutOfRange: :raises purchases.NotByTheStep:
    :raises purchases.MaximumReached: :raises providers.TooLittleToCharge:
    """
    locked = purchases.open_team(session, team)
    [resource] = db.lock(
        session, Resource, Resource.id == resource_id, Resource.team_id == team.id
    ) or [queries.resource(session, team_id=team.id, resource_id=resource_id)]
    if resource.kind == PLAN or resource.status != Status.ACTIVE or not _runs(resource, now):
        raise purchases.NotRunning
    maximum = check_quantity(resource, quantity)
    audit.record(
        session, actor, "changed quantity", ids.resource(resource.id), now, quantity=quantity
    )
    if quantity <= resource.quantity:
        resource.next_quantity = quantity
        return None
    owned = queries.owned_quantity(session, team_id=team.id, kind=resource.kind, now=now)
    if owned - resource.quantity + quantity > maximum:
        raise purchases.MaximumReached(maximum=maximum, owned=owned)
    return _add(session, locked, resource, quantity - resource.quantity, now=now)


def check_quantity(resource: Resource, quantity: int) -> int:
    """How many a team may have, if it may have so many. Fewer than it has are always right, also
    where so many, or any at all, are not sold any more.

    :raises purchases.QuantityOutOfRange: :raises purchases.NotByTheStep:
    """
    addon = pricing.current().addons.get(resource.kind)  # type: ignore[call-overload]
    maximum: int = addon.maximum if addon else resource.quantity
    if not 1 <= quantity <= max(maximum, resource.quantity):
        raise purchases.QuantityOutOfRange(maximum=maximum)
    if addon and quantity != resource.quantity and quantity % addon.step:
        raise purchases.NotByTheStep(step=addon.step)
    return maximum


def prorated_minor(unit_price_minor: int, pieces: int, left: timedelta) -> int:
    """What the rest of a period costs in cents; the part of a cent is the customer's."""
    second = timedelta(seconds=1)
    return unit_price_minor * pieces * (left // second) // (grants.PERIOD // second)


def _runs(resource: Resource, now: datetime) -> bool:
    return resource.expires_at is not None and resource.expires_at > now


def _add(
    session: Session, team: Team, resource: Resource, pieces: int, *, now: datetime
) -> purchases.Bought | None:
    """More pieces until the period's end; what costs less than a cent is given at once."""
    assert resource.expires_at is not None
    amount = prorated_minor(resource.unit_price_minor, pieces, resource.expires_at - now)
    if not amount:
        ends_at = resource.expires_at
        session.add(
            grants.of(
                resource, quantity=pieces, reason="rest", starts_at=now, ends_at=ends_at, now=now
            )
        )
        resource.quantity += pieces
        resource.next_quantity = resource.quantity
        return None
    providers.check(Money.from_cents(amount, resource.currency))
    settlement.give_up(session, resource, purpose=Purpose.MORE)  # only one order can be paid
    payment = Payment(
        team_id=team.id,
        resource_id=resource.id,
        purpose=Purpose.MORE,
        quantity=pieces,
        amount_minor=amount,
        currency=resource.currency,
        provider=providers.current().name,
        status=Paid.PENDING,
        payer=team_ids.public(team.id),
        fingerprint=purchases.fingerprint_of(str(resource.id), pieces),
        created_at=now,
        ends_at=resource.expires_at,
    )
    session.add(payment)
    session.flush()
    session.refresh(payment)
    return purchases.Bought(resource, payment)
