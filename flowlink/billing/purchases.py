"""Buying, changing and ending: what a team asks for. What it pays for is in `settlement`."""

import hashlib
import json
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from sqlalchemy import select
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.orm import Session

from flowlink.billing import grants, ids, limits, pricing, providers, queries, settlement
from flowlink.billing.models import (
    LIVE,
    PLAN,
    Details,
    Paid,
    Payment,
    Pricing,
    Purpose,
    Resource,
    Status,
)
from flowlink.billing.pricing import Addon, Limits, Specs
from flowlink.kernel import audit, db
from flowlink.kernel.errors import Forbidden, Invalid, Refused
from flowlink.papers import parties
from flowlink.papers.parties import Party
from flowlink.teams import ids as team_ids, service as teams
from flowlink.teams.models import Team

KEY_MAX = 200


class NotPro(Forbidden):
    message = "Add-ons need the plan Pro. Please change the plan first."


class UnknownAddon(Invalid):
    message = "There is no such add-on."
    field = "resource_type"


class UnknownPlan(Invalid):
    message = "There is no such plan."
    field = "plan"


class QuantityOutOfRange(Invalid):
    message = "Choose a quantity from 1 to %(maximum)s."
    field = "quantity"


class NotByTheStep(Invalid):
    message = "This is sold %(step)s at a time: choose a multiple of %(step)s."
    field = "quantity"


class MaximumReached(Invalid):
    message = "A team can have %(maximum)s of these, and yours has %(owned)s."
    field = "quantity"


class KeyReused(Refused):
    message = "This Idempotency-Key was used for another request."


class BadIdempotencyKey(Invalid):
    message = "An Idempotency-Key has 1 to 200 plain characters."
    field = "Idempotency-Key"


class AlreadyOnPlan(Refused):
    message = "The team has this plan already."


class NotRunning(Refused):
    message = "This has ended, or was never paid."


class GivenPlan(Refused):
    message = "This plan was given by the operator and has no end."


class TeamEnds(Refused):
    message = "This team was deleted. Bring it back before you buy."


@dataclass(frozen=True, slots=True)
class Terms:
    """What one piece of a thing is at the moment it is bought."""

    kind: str
    plan: str
    unit_price_minor: int
    gives: Limits


@dataclass(frozen=True, slots=True)
class Bought:
    """What was asked for, now or, with the same key, before."""

    resource: Resource
    payment: Payment


def buy_addon(
    session: Session,
    *,
    team: Team,
    kind: str,
    quantity: int,
    actor: str,
    now: datetime,
    idempotency_key: str | None = None,
) -> Bought:
    """An add-on, to be paid. With the same key again it is the one before.

    :raises NotPro: :raises UnknownAddon: :raises QuantityOutOfRange: :raises NotByTheStep:
    :raises MaximumReached: :raises KeyReused: :raises TeamEnds: :raises providers.PaymentsNotSetUp:
    :raises providers.TooLittleToCharge:
    """
    specs = pricing.current()
    _on_sale(specs, kind, quantity)
    locked = open_team(session, team)
    fingerprint = fingerprint_of(kind, quantity)
    before = _repeated(session, team.id, idempotency_key, fingerprint)
    if before is not None:
        return before
    addon = check_addon(session, team.id, kind=kind, quantity=quantity, now=now)
    terms = Terms(kind, "", addon.price_minor, addon.gives)
    return _order(session, locked, specs, terms, quantity, actor, now, idempotency_key, fingerprint)


def check_addon(
    session: Session, team_id: UUID, *, kind: str, quantity: int, now: datetime
) -> Addon:
    """The add-on, if a team may buy so many of it now.

    :raises UnknownAddon: :raises QuantityOutOfRange: :raises NotByTheStep: :raises NotPro:
    :raises MaximumReached:
    """
    addon = _on_sale(pricing.current(), kind, quantity)
    if not limits.at(session, team_id, now).may_buy_addons:
        raise NotPro
    owned = queries.owned_quantity(session, team_id=team_id, kind=kind, now=now)
    if owned + quantity > addon.maximum:
        raise MaximumReached(maximum=addon.maximum, owned=owned)
    return addon


def _on_sale(specs: Specs, kind: str, quantity: int) -> Addon:
    addon: Addon | None = specs.addons.get(kind)  # type: ignore[call-overload]
    if addon is None:
        raise UnknownAddon
    if not 1 <= quantity <= addon.maximum:
        raise QuantityOutOfRange(maximum=addon.maximum)
    if quantity % addon.step:
        raise NotByTheStep(step=addon.step)
    return addon


def buy_plan(session: Session, *, team: Team, plan: str, actor: str, now: datetime) -> Bought:
    """A paid plan, to be paid. An order of it that still waits is the same one.

    :raises UnknownPlan: :raises AlreadyOnPlan: :raises TeamEnds:
    :raises providers.PaymentsNotSetUp:
    """
    specs = pricing.current()
    wanted = specs.plans.get(plan)
    if wanted is None or not wanted.price_minor:
        raise UnknownPlan
    locked = open_team(session, team)
    if running_plan(session, team.id, now=now) is not None:
        raise AlreadyOnPlan
    fingerprint = fingerprint_of(PLAN, plan)
    waiting = session.scalars(
        select(Payment)
        .join(Resource, Resource.id == Payment.resource_id)
        .where(Payment.team_id == team.id, Payment.fingerprint == fingerprint)
        .where(Payment.status == Paid.PENDING, Resource.status == Status.PENDING)
    ).first()
    if waiting is not None:
        return Bought(session.get_one(Resource, waiting.resource_id), waiting)
    terms = Terms(PLAN, plan, wanted.price_minor, wanted.limits)
    return _order(session, locked, specs, terms, 1, actor, now, None, fingerprint)


def give_plan(
    session: Session, *, team: Team, plan: str, actor: str, now: datetime, ip: str = ""
) -> None:
    """The operator's word: this plan from now on, without payment and without end.

    :raises UnknownPlan:
    """
    specs = pricing.current()
    wanted = specs.plans.get(plan)
    if wanted is None:
        raise UnknownPlan
    teams.lock(session, team.id)
    running = running_plan(session, team.id, now=now)
    if running is not None and running.plan == plan:
        return
    if running is not None:
        grants.void(session, running, reason="plan changed", now=now)
        running.status, running.auto_renew = Status.CANCELLED, False
        session.flush()
    if plan != pricing.FREE:
        terms = Terms(PLAN, plan, 0, wanted.limits)
        given = new_resource(session, team, specs, terms, 1, now)
        given.status, given.activated_at, given.auto_renew = Status.ACTIVE, now, False
        session.flush()
        session.add(
            grants.of(given, quantity=1, reason="given", starts_at=now, ends_at=None, now=now)
        )
    audit.record(session, actor, "gave plan", team_ids.public(team.id), now, ip, plan=plan)


def cancel(
    session: Session, *, team: Team, resource_id: UUID, actor: str, now: datetime
) -> Resource:
    """End at the period's end; what is not paid yet ends at once. Again changes nothing.

    :raises queries.UnknownResource: :raises GivenPlan:
    """
    found = db.lock(session, Resource, Resource.id == resource_id, Resource.team_id == team.id)
    if not found:
        raise queries.UnknownResource
    resource = found[0]
    if resource.expires_at is None and resource.status in LIVE:
        raise GivenPlan
    is_open = queries.shown_status(resource, now) in (Status.PENDING, *LIVE)
    if resource.cancelled_at is not None or not is_open:
        return resource
    resource.auto_renew, resource.cancelled_at, resource.next_terms = False, now, None
    if resource.status == Status.RENEWING:
        grants.unbridge(session, resource, reason="cancelled", now=now)
    if resource.status == Status.PENDING:
        resource.status = Status.CANCELLED
        settlement.give_up(session, resource, purpose=Purpose.PURCHASE)
    audit.record(session, actor, "cancelled", ids.resource(resource.id), now, kind=resource.kind)
    return resource


def set_renewal(
    session: Session, *, team: Team, resource_id: UUID, on: bool, actor: str, now: datetime
) -> Resource:
    """Renew by itself, or not. Switching it on takes a cancellation back.

    :raises queries.UnknownResource: :raises NotRunning: :raises GivenPlan:
    """
    found = db.lock(session, Resource, Resource.id == resource_id, Resource.team_id == team.id)
    if not found:
        raise queries.UnknownResource
    resource = found[0]
    if resource.status not in LIVE or queries.shown_status(resource, now) not in LIVE:
        raise NotRunning
    if resource.expires_at is None:
        raise GivenPlan
    if resource.auto_renew != on:
        resource.auto_renew = on
        resource.cancelled_at = None if on else resource.cancelled_at
        _bridge(session, resource, on=on, now=now)
        word = "switched renewal on" if on else "switched renewal off"
        audit.record(session, actor, word, ids.resource(resource.id), now)
    return resource


def _bridge(session: Session, resource: Resource, *, on: bool, now: datetime) -> None:
    """A charge that is under way keeps everything as it is, if it is still wanted."""
    if resource.status != Status.RENEWING:
        return
    if on:
        grants.bridge(session, resource, now=now)
    else:
        grants.unbridge(session, resource, reason="not renewed", now=now)


def keep_details(
    session: Session, *, team_id: UUID, party: Party, actor: str, now: datetime
) -> None:
    """Who the team is on its invoices from now on. It decides about VAT.

    :raises parties.MissingDetail: :raises parties.UnknownCountry: :raises parties.BadVatNumber:
    """
    session.add(Details(team_id=team_id, party=parties.checked(party).kept(), created_at=now))
    audit.record(session, actor, "changed billing details", team_ids.public(team_id), now)


def open_team(session: Session, team: Team) -> Team:
    """The team, locked: purchases of one team come one after the other."""
    locked = teams.lock(session, team.id)
    if locked.closes_at is not None:
        raise TeamEnds
    return locked


def running_plan(session: Session, team_id: UUID, *, now: datetime) -> Resource | None:
    """The plan that runs; one that is over ends here, where no job has ended it yet."""
    running = queries.plan_of(session, team_id)
    if running is None or queries.shown_status(running, now) in LIVE:
        return running
    [over] = db.lock(session, Resource, Resource.id == running.id)
    if over.status in LIVE and queries.shown_status(over, now) not in LIVE:
        settlement.end(session, over, now=now)
    return queries.plan_of(session, team_id)


def fingerprint_of(*wanted: object) -> str:
    return hashlib.sha256(json.dumps(wanted).encode()).hexdigest()


def _repeated(session: Session, team_id: UUID, key: str | None, fingerprint: str) -> Bought | None:
    if key is None:
        return None
    if not 1 <= len(key) <= KEY_MAX or not key.isprintable():
        raise BadIdempotencyKey
    mine = select(Payment).where(Payment.team_id == team_id, Payment.idempotency_key == key)
    payment = session.scalars(mine).one_or_none()
    if payment is None:
        return None
    if payment.fingerprint != fingerprint:
        raise KeyReused
    return Bought(session.get_one(Resource, payment.resource_id), payment)


def _order(
    session: Session,
    team: Team,
    specs: Specs,
    terms: Terms,
    quantity: int,
    actor: str,
    now: datetime,
    key: str | None,
    fingerprint: str,
) -> Bought:
    providers.check(specs.money(terms.unit_price_minor) * quantity)
    resource = new_resource(session, team, specs, terms, quantity, now)
    payment = Payment(
        team_id=team.id,
        resource_id=resource.id,
        purpose=Purpose.PURCHASE,
        quantity=quantity,
        amount_minor=terms.unit_price_minor * quantity,
        currency=specs.currency,
        provider=providers.current().name,
        status=Paid.PENDING,
        payer=team_ids.public(team.id),
        idempotency_key=key,
        fingerprint=fingerprint,
        created_at=now,
    )
    session.add(payment)
    session.flush()
    session.refresh(payment)
    audit.record(
        session,
        actor,
        "ordered",
        ids.resource(resource.id),
        now,
        kind=terms.kind,
        quantity=quantity,
        payment=ids.payment(payment.id),
    )
    return Bought(resource, payment)


def keep_specs(session: Session, specs: Specs, *, now: datetime) -> str:
    """Keep the price list that something is bought from; its name."""
    seen = insert(Pricing).values(digest=specs.digest, specs=specs.model_dump(), seen_at=now)
    session.execute(seen.on_conflict_do_nothing())
    return specs.digest


def new_resource(
    session: Session, team: Team, specs: Specs, terms: Terms, quantity: int, now: datetime
) -> Resource:
    """One that waits: what it is worth is what the price list says now."""
    made = Resource(
        team_id=team.id,
        kind=terms.kind,
        plan=terms.plan,
        quantity=quantity,
        next_quantity=quantity,
        unit_price_minor=terms.unit_price_minor,
        currency=specs.currency,
        pricing=keep_specs(session, specs, now=now),
        status=Status.PENDING,
        auto_renew=True,
        created_at=now,
        **terms.gives.model_dump(),
    )
    session.add(made)
    session.flush()
    return made
