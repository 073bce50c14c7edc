"""Resources of a team for programs (spec 4.2). Amounts are euros as plain numbers."""

from datetime import datetime
from typing import Annotated, Any, Literal, get_args

from fastapi import APIRouter, Request
from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    SerializerFunctionWrapHandler,
    model_serializer,
)
from sqlalchemy.orm import Session

from flowlink.billing import charges, ids, limits, pricing, purchases, queries
from flowlink.billing.deps import TOO_MANY, Counted, IdempotencyKey
from flowlink.billing.models import Resource
from flowlink.billing.pricing import Limits
from flowlink.kernel import clock, db
from flowlink.teams.deps import AdminOf, MemberOf
from flowlink.web import lists
from flowlink.web.amounts import Euros
from flowlink.web.lists import Cursor
from flowlink.web.sessions import Db

router = APIRouter(
    prefix="/api/resources/{team_slug}",
    tags=["resources"],
    dependencies=[Counted],
    responses=TOO_MANY,
)

Type = Literal["ram", "cpu", "traffic", "storage"]
_TYPES: list[Any] = list(get_args(Type))
PAGE = 500
State = Literal["pending", "active", "renewing", "past_due", "expired", "cancelled", "voided"]


class AvailableOut(BaseModel):
    """An add-on on sale: price of one piece for 30 days, VAT included."""

    type: Type
    name: str
    unit: str
    price: Euros
    currency: str
    description: str
    icon: str
    maximum: int


class AvailableList(BaseModel):
    resources: list[AvailableOut]


class PurchaseIn(BaseModel):
    model_config = ConfigDict(extra="forbid")

    # What is on sale, and how many of it, the price list says: one refusal for each, by its name.
    resource_type: Annotated[str, Field(max_length=40, json_schema_extra={"enum": _TYPES})]
    quantity: Annotated[int, Field(strict=True, json_schema_extra={"minimum": 1})]


class PurchaseOut(BaseModel):
    """Pending until `payment_url` was paid. `amount` is unit price times quantity."""

    payment_id: str
    resource_id: str
    amount: Euros
    currency: str
    payment_url: str


class ResourceOut(BaseModel):
    """An add-on. `expires_at`: the end of what is paid, null while nothing is."""

    id: str
    resource_type: Type
    quantity: int
    unit_price: Euros
    status: State
    expires_at: datetime | None
    auto_renew: bool


class AddonsOut(BaseModel):
    ram_mb: int
    cpu_cores: int
    traffic_gb: int
    storage_gb: int


class ResourceList(BaseModel):
    """Every add-on, whatever became of it; totals of those that count now.

    `next`: the cursor of those that are left, only where there are any.
    """

    resources: list[ResourceOut]
    totals: AddonsOut
    next: str | None = None

    @model_serializer(mode="wrap")
    def _without_an_end(self, told: SerializerFunctionWrapHandler) -> dict[str, Any]:
        found: dict[str, Any] = told(self)
        return found if self.next else {"resources": found["resources"], "totals": found["totals"]}


class LimitsOut(BaseModel):
    cpu_cores: int
    memory_mb: int
    traffic_gb: int
    storage_mb: int


class TeamLimitsOut(LimitsOut):
    """What the team may use now, and what it is made of."""

    plan_limits: LimitsOut
    additional_resources: AddonsOut


@router.get("/available")
def available(request: Request, access: MemberOf) -> AvailableList:
    """What a team on the plan Pro can buy."""
    specs, lang = pricing.current(), request.state.lang
    return AvailableList(
        resources=[
            AvailableOut(
                type=kind,
                name=addon.name.in_(lang),
                unit=addon.unit,
                price=specs.money(addon.price_minor),
                currency=specs.currency,
                description=addon.description.in_(lang),
                icon=addon.icon,
                maximum=addon.maximum,
            )
            for kind, addon in specs.addons.items()
        ]
    )


@router.post("/purchase", status_code=201)
def purchase(access: AdminOf, body: PurchaseIn, key: IdempotencyKey = None) -> PurchaseOut:
    """Buy an add-on for 30 days. It counts once it is paid, and renews itself until cancelled."""
    now = clock.now()
    with db.write() as session:
        bought = purchases.buy_addon(
            session,
            team=access.team,
            kind=body.resource_type,
            quantity=body.quantity,
            actor=access.actor,
            now=now,
            idempotency_key=key,
        )
        payment = bought.payment
        url = charges.paid_url(session, payment)
    if url is None:
        url = charges.checkout(team_id=access.team_id, payment_id=payment.id, now=now)
    return PurchaseOut(
        payment_id=ids.payment(payment.id),
        resource_id=ids.resource(bought.resource.id),
        amount=payment.amount,
        currency=payment.currency,
        payment_url=url,
    )


@router.get("/list")
def list_resources(session: Db, access: MemberOf, cursor: Cursor = None) -> ResourceList:
    """All add-ons of the team, the newest first; 500 at a time."""
    now = clock.now()
    before = lists.before(cursor)
    found = queries.addons(session, access.team_id, before=before, limit=PAGE + 1)
    shown = lists.cut(found, key=lambda one: one.id, size=PAGE)
    return ResourceList(
        resources=[_resource(each, now) for each in shown.items],
        totals=_addons(limits.at(session, access.team_id, now).of_addons),
        next=shown.next,
    )


@router.delete("/cancel/{resource_id}")
def cancel(session: Db, access: AdminOf, resource_id: str) -> ResourceOut:
    """End an add-on: at the end of what is paid, or at once when nothing is."""
    now = clock.now()
    found = purchases.cancel(
        session,
        team=access.team,
        resource_id=_addon(session, access, resource_id).id,
        actor=access.actor,
        now=now,
    )
    return _resource(found, now)


@router.get("/limits")
def show_limits(session: Db, access: MemberOf) -> TeamLimitsOut:
    """What the team may use now."""
    found = limits.at(session, access.team_id, clock.now())
    return TeamLimitsOut(
        **found.total.model_dump(),
        plan_limits=LimitsOut(**found.of_plan.model_dump()),
        additional_resources=_addons(found.of_addons),
    )


def _addon(session: Session, access: MemberOf, text: str) -> Resource:
    found = queries.resource(session, team_id=access.team_id, resource_id=ids.parse_resource(text))
    if found.kind == "plan":
        raise queries.UnknownResource
    return found


def _resource(found: Resource, now: datetime) -> ResourceOut:
    return ResourceOut(
        id=ids.resource(found.id),
        resource_type=found.kind,  # type: ignore[arg-type]
        quantity=found.quantity,
        unit_price=found.unit_price,
        status=queries.shown_status(found, now).value,
        expires_at=found.expires_at,
        auto_renew=found.auto_renew,
    )


def _addons(more: Limits) -> AddonsOut:
    return AddonsOut(
        ram_mb=more.memory_mb,
        cpu_cores=more.cpu_cores,
        traffic_gb=more.traffic_gb,
        storage_gb=more.storage_mb // pricing.MB_PER_GB,
    )
