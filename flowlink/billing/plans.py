"""From one paid plan to another: a greater one at once for the difference, a smaller one later.

The difference is for the rest of the period, by the second, so that what was paid for the plan
before counts in full; the period's end stays. What was chosen for later is kept with its price.
"""

from dataclasses import dataclass
from datetime import datetime

from sqlalchemy.orm import Session

from flowlink.billing import (
    changes,
    grants,
    ids,
    pricing,
    providers,
    purchases,
    quantities,
    settlement,
)
from flowlink.billing.models import PLAN, Paid, Payment, Purpose, Resource, Status
from flowlink.billing.pricing import Plan
from flowlink.kernel import audit, db, events
from flowlink.kernel.errors import Refused
from flowlink.kernel.money import Money
from flowlink.teams import ids as team_ids
from flowlink.teams.models import Team


class PlanUnsettled(Refused):
    message = "The present plan is being charged, or waits for its payment. Change it after that."


@dataclass(frozen=True, slots=True)
class Change:
    """What another plan means for a team whose plan runs. `price_now` is zero for a later one."""

    wanted: Plan
    running: Resource
    at_once: bool
    price_now: Money


def order(
    session: Session, *, team: Team, plan: str, actor: str, now: datetime
) -> purchases.Bought | None:
    """Another plan, or the first one; None when nothing is to be paid.

    A smaller one counts from the next period on. The one that runs takes such a choice back.

    :raises purchases.UnknownPlan: :raises purchases.AlreadyOnPlan: :raises purchases.GivenPlan:
    :raises PlanUnsettled: :raises purchases.TeamEnds: :raises providers.PaymentsNotSetUp:
    :raises providers.TooLittleToCharge:
    """
    locked = purchases.open_team(session, team)
    running = purchases.running_plan(session, team.id, now=now)
    if running is None:
        return purchases.buy_plan(session, team=team, plan=plan, actor=actor, now=now)
    [running] = db.lock(session, Resource, Resource.id == running.id)
    if running.plan == plan and running.next_terms is not None:
        running.next_terms = None
        audit.record(session, actor, "kept plan", ids.resource(running.id), now, plan=plan)
        return None
    change = look(running, plan, now=now)
    if not change.at_once:
        _later(session, change, plan, actor=actor, now=now)
        return None
    return _at_once(session, locked, change, plan, actor=actor, now=now)


def look(running: Resource, plan: str, *, now: datetime) -> Change:
    """What changing from a running plan to this one comes to.

    :raises purchases.UnknownPlan: :raises purchases.AlreadyOnPlan: :raises purchases.GivenPlan:
    :raises PlanUnsettled: :raises providers.TooLittleToCharge:
    """
    specs = pricing.current()
    wanted = specs.plans.get(plan)
    if wanted is None or not wanted.price_minor:
        raise purchases.UnknownPlan
    if plan in {running.plan, running.next_plan}:
        raise purchases.AlreadyOnPlan
    if running.expires_at is None:
        raise purchases.GivenPlan
    if running.status != Status.ACTIVE or running.expires_at <= now:
        raise PlanUnsettled
    more = wanted.price_minor - running.unit_price_minor
    if more <= 0:
        return Change(wanted, running, at_once=False, price_now=specs.money(0))
    cents = quantities.prorated_minor(more, 1, running.expires_at - now)
    providers.check(specs.money(cents))
    return Change(wanted, running, at_once=True, price_now=specs.money(cents))


def _later(session: Session, change: Change, plan: str, *, actor: str, now: datetime) -> None:
    """Choosing a smaller plan says that the team stays: it renews, whatever was said before."""
    running = change.running
    running.next_terms = {
        "plan": plan,
        "unit_price_minor": change.wanted.price_minor,
        "pricing": purchases.keep_specs(session, pricing.current(), now=now),
        "gives": change.wanted.limits.model_dump(),
    }
    running.auto_renew, running.cancelled_at = True, None
    audit.record(session, actor, "chose a smaller plan", ids.resource(running.id), now, plan=plan)


def _at_once(
    session: Session, team: Team, change: Change, plan: str, *, actor: str, now: datetime
) -> purchases.Bought | None:
    """An order of the difference; one that waits gives way, since time has passed since then."""
    _give_up_waiting(session, team)
    terms = purchases.Terms(PLAN, plan, change.wanted.price_minor, change.wanted.limits)
    made = purchases.new_resource(session, team, pricing.current(), terms, 1, now)
    made.replaces_id = change.running.id
    audit.record(session, actor, "changed plan", ids.resource(made.id), now, plan=plan)
    if not change.price_now:
        _give_the_rest(session, made, change.running, now=now)
        return None
    payment = Payment(
        team_id=team.id,
        resource_id=made.id,
        purpose=Purpose.PURCHASE,
        quantity=1,
        amount_minor=change.price_now.cents,
        currency=made.currency,
        provider=providers.current().name,
        status=Paid.PENDING,
        payer=team_ids.public(team.id),
        fingerprint=purchases.fingerprint_of(PLAN, plan, str(change.running.id)),
        created_at=now,
        ends_at=change.running.expires_at,
    )
    session.add(payment)
    session.flush()
    session.refresh(payment)
    return purchases.Bought(made, payment)


def _give_up_waiting(session: Session, team: Team) -> None:
    mine = Resource.team_id == team.id, Resource.kind == PLAN, Resource.status == Status.PENDING
    for before in db.lock(session, Resource, *mine, Resource.replaces_id.is_not(None)):
        before.status = Status.CANCELLED
        settlement.give_up(session, before, purpose=Purpose.PURCHASE)


def _give_the_rest(session: Session, made: Resource, running: Resource, *, now: datetime) -> None:
    """The last moments of a period, whose difference is less than a cent."""
    changes.replace(session, made, now=now)
    made.status, made.activated_at, made.expires_at = Status.ACTIVE, now, running.expires_at
    session.flush()
    ends_at = running.expires_at
    session.add(grants.of(made, quantity=1, reason="rest", starts_at=now, ends_at=ends_at, now=now))
    session.flush()
    events.emit(session, "limits.changed", {"team_id": str(made.team_id)})
