"""A partner's endpoints: pages, and the same for programs."""

from datetime import datetime
from typing import Annotated

from fastapi import APIRouter, Form, Request, Response
from pydantic import BaseModel, ConfigDict, Field
from sqlalchemy.orm import Session

from flowlink.insights import outgoing
from flowlink.kernel import clock, ids
from flowlink.notify import webhooks
from flowlink.notify.ids import DELIVERY, ENDPOINT, DeliveryId, EndpointId
from flowlink.notify.models import Delivery, Endpoint
from flowlink.partners.deps import CurrentPartner
from flowlink.partners.ids import PartnerId
from flowlink.web import csv, lists
from flowlink.web.lists import CSV_SIZE, SIZE, Cursor
from flowlink.web.render import page, see_other
from flowlink.web.sessions import Db

router = APIRouter()
PAGE = "/partner/webhooks"

Event = Annotated[str, Field(max_length=40)]


class EndpointForm(BaseModel):
    """An endpoint as a partner fills it in."""

    url: Annotated[str, Form(max_length=1000)]
    method: Annotated[str, Form(max_length=4)] = "POST"
    events: list[str] = Field(default_factory=list, max_length=20)


class EndpointIn(BaseModel):
    model_config = ConfigDict(extra="forbid")

    url: str = Field(max_length=1000, examples=["https://example.org/hook"])
    events: list[Event] = Field(max_length=20, examples=[["conversion.changed"]])
    method: str = Field(default="POST", max_length=4)


class EndpointPatch(BaseModel):
    """What to change; what is left out stays. Switched on again it starts with a clean slate."""

    model_config = ConfigDict(extra="forbid")

    url: str | None = Field(default=None, max_length=1000)
    events: list[Event] | None = Field(default=None, max_length=20)
    active: bool | None = None


class EndpointOut(BaseModel):
    id: str
    url: str
    method: str
    events: list[str]
    state: str
    failing_since: datetime | None
    created_at: datetime


class NewEndpointOut(EndpointOut):
    secret: str


class EndpointList(BaseModel):
    endpoints: list[EndpointOut]
    events: list[str]


class DeliveryOut(BaseModel):
    id: str
    event: str
    state: str
    attempts: int
    answer_status: int | None
    error: str
    created_at: datetime
    tried_at: datetime | None


class DeliveryPage(BaseModel):
    deliveries: list[DeliveryOut]
    next: str | None


class Queued(BaseModel):
    id: str


@router.get(PAGE, include_in_schema=False)
def show_endpoints(request: Request, session: Db, partner_id: CurrentPartner) -> Response:
    """Where I am told of my events."""
    found = outgoing.endpoints(session, partner_id)
    return page(request, "insights/webhooks.html", endpoints=found, events=outgoing.EVENTS)


@router.get(f"{PAGE}.csv", include_in_schema=False)
def endpoints_csv(session: Db, partner_id: CurrentPartner) -> Response:
    header = ["endpoint", "method", "url", "events", "state", "failing_since"]
    rows = (
        (
            ids.public(ENDPOINT, one.id),
            one.method,
            one.url,
            " ".join(one.events),
            str(one.state),
            one.failing_since,
        )
        for one in outgoing.endpoints(session, partner_id)
    )
    return csv.response("webhooks.csv", header, rows)


@router.post(PAGE, include_in_schema=False)
def add_endpoint(
    session: Db, partner_id: CurrentPartner, form: Annotated[EndpointForm, Form()]
) -> Response:
    made = _add(session, partner_id, form.url, form.events, form.method)
    return see_other(_path(made))


@router.get(f"{PAGE}/deliveries/{{delivery_id}}", include_in_schema=False)
def show_delivery(
    request: Request, session: Db, partner_id: CurrentPartner, delivery_id: str
) -> Response:
    """What was sent and answered."""
    shown = outgoing.delivery(session, partner_id, ids.parse(DELIVERY, delivery_id))
    return page(request, "insights/webhook_delivery.html", shown=shown)


@router.post(f"{PAGE}/deliveries/{{delivery_id}}/replay", include_in_schema=False)
def replay_by_hand(session: Db, partner_id: CurrentPartner, delivery_id: str) -> Response:
    _replay(session, partner_id, delivery_id)
    return see_other(f"{PAGE}/deliveries/{delivery_id}")


@router.get(f"{PAGE}/{{endpoint_id}}", include_in_schema=False)
def show_endpoint(
    request: Request,
    session: Db,
    partner_id: CurrentPartner,
    endpoint_id: str,
    cursor: Cursor = None,
) -> Response:
    """One endpoint: its secret, its events, and the log."""
    endpoint = outgoing.endpoint(session, partner_id, _key(endpoint_id))
    found = outgoing.deliveries(session, endpoint.id, before=lists.before(cursor), limit=SIZE + 1)
    return page(
        request,
        "insights/webhook.html",
        endpoint=endpoint,
        secret=webhooks.secret_of(endpoint),
        events=outgoing.EVENTS,
        deliveries=lists.cut(found, key=lambda one: one.id),
    )


@router.get(f"{PAGE}/{{endpoint_id}}/deliveries.csv", include_in_schema=False)
def deliveries_csv(session: Db, partner_id: CurrentPartner, endpoint_id: str) -> Response:
    """The log as a file."""
    endpoint = outgoing.endpoint(session, partner_id, _key(endpoint_id))
    found = outgoing.deliveries(session, endpoint.id, limit=CSV_SIZE)
    header = ["delivery", "event", "state", "attempts", "answer", "error", "created_at", "tried_at"]
    rows = (
        (
            ids.public(DELIVERY, one.id),
            one.event,
            one.state,
            one.attempts,
            one.answer_status,
            one.error,
            one.created_at,
            one.tried_at,
        )
        for one in found
    )
    return csv.response("deliveries.csv", header, rows)


@router.post(f"{PAGE}/{{endpoint_id}}", include_in_schema=False)
def change_endpoint(
    session: Db,
    partner_id: CurrentPartner,
    endpoint_id: str,
    form: Annotated[EndpointForm, Form()],
) -> Response:
    webhooks.change(
        session,
        owner_id=partner_id,
        endpoint_id=_key(endpoint_id),
        url=form.url,
        chosen=form.events,
        offered=outgoing.EVENTS,
    )
    return see_other(f"{PAGE}/{endpoint_id}")


@router.post(f"{PAGE}/{{endpoint_id}}/test", include_in_schema=False)
def test_by_hand(session: Db, partner_id: CurrentPartner, endpoint_id: str) -> Response:
    _test(session, partner_id, endpoint_id)
    return see_other(f"{PAGE}/{endpoint_id}")


@router.post(f"{PAGE}/{{endpoint_id}}/secret", include_in_schema=False)
def renew_secret(session: Db, partner_id: CurrentPartner, endpoint_id: str) -> Response:
    webhooks.new_secret(session, owner_id=partner_id, endpoint_id=_key(endpoint_id))
    return see_other(f"{PAGE}/{endpoint_id}")


@router.post(f"{PAGE}/{{endpoint_id}}/on", include_in_schema=False)
def switch_on(session: Db, partner_id: CurrentPartner, endpoint_id: str) -> Response:
    webhooks.set_active(session, owner_id=partner_id, endpoint_id=_key(endpoint_id), active=True)
    return see_other(f"{PAGE}/{endpoint_id}")


@router.post(f"{PAGE}/{{endpoint_id}}/off", include_in_schema=False)
def switch_off(session: Db, partner_id: CurrentPartner, endpoint_id: str) -> Response:
    webhooks.set_active(session, owner_id=partner_id, endpoint_id=_key(endpoint_id), active=False)
    return see_other(f"{PAGE}/{endpoint_id}")


@router.post(f"{PAGE}/{{endpoint_id}}/remove", include_in_schema=False)
def remove_by_hand(session: Db, partner_id: CurrentPartner, endpoint_id: str) -> Response:
    webhooks.remove(session, owner_id=partner_id, endpoint_id=_key(endpoint_id))
    return see_other(PAGE)


@router.get("/api/partner/webhooks")
def list_endpoints(session: Db, partner_id: CurrentPartner) -> EndpointList:
    """Your endpoints, and the events that there are."""
    found = outgoing.endpoints(session, partner_id)
    return EndpointList(endpoints=[_out(one) for one in found], events=list(outgoing.EVENTS))


@router.post("/api/partner/webhooks", status_code=201)
def create_endpoint(session: Db, partner_id: CurrentPartner, body: EndpointIn) -> NewEndpointOut:
    """Add an endpoint. POST takes JSON; GET fills `{event}`, `{status}`, … into its address."""
    made = _add(session, partner_id, body.url, body.events, body.method)
    return NewEndpointOut(**_out(made).model_dump(), secret=webhooks.secret_of(made))


@router.patch("/api/partner/webhooks/{endpoint_id}")
def patch_endpoint(
    session: Db, partner_id: CurrentPartner, endpoint_id: str, body: EndpointPatch
) -> EndpointOut:
    """Change an endpoint, or switch it on or off. What is queued goes to the new address."""
    key = _key(endpoint_id)
    endpoint = outgoing.endpoint(session, partner_id, key)
    webhooks.change(
        session,
        owner_id=partner_id,
        endpoint_id=key,
        url=endpoint.url if body.url is None else body.url,
        chosen=endpoint.events if body.events is None else body.events,
        offered=outgoing.EVENTS,
    )
    if body.active is not None:
        webhooks.set_active(session, owner_id=partner_id, endpoint_id=key, active=body.active)
    return _out(endpoint)


@router.post("/api/partner/webhooks/{endpoint_id}/secret")
def change_secret(session: Db, partner_id: CurrentPartner, endpoint_id: str) -> NewEndpointOut:
    """Sign with a new secret from now on, repeats of earlier events too."""
    made = webhooks.new_secret(session, owner_id=partner_id, endpoint_id=_key(endpoint_id))
    return NewEndpointOut(**_out(made).model_dump(), secret=webhooks.secret_of(made))


@router.delete("/api/partner/webhooks/{endpoint_id}", status_code=204)
def delete_endpoint(session: Db, partner_id: CurrentPartner, endpoint_id: str) -> None:
    """Remove an endpoint and its log."""
    webhooks.remove(session, owner_id=partner_id, endpoint_id=_key(endpoint_id))


@router.post("/api/partner/webhooks/{endpoint_id}/test", status_code=202)
def test_endpoint(session: Db, partner_id: CurrentPartner, endpoint_id: str) -> Queued:
    """Send a test event."""
    return Queued(id=ids.public(DELIVERY, _test(session, partner_id, endpoint_id)))


@router.get("/api/partner/webhooks/{endpoint_id}/deliveries")
def list_deliveries(
    session: Db, partner_id: CurrentPartner, endpoint_id: str, cursor: Cursor = None
) -> DeliveryPage:
    """What was sent to an endpoint, newest first."""
    endpoint = outgoing.endpoint(session, partner_id, _key(endpoint_id))
    found = outgoing.deliveries(session, endpoint.id, before=lists.before(cursor), limit=SIZE + 1)
    cut = lists.cut(found, key=lambda one: one.id)
    return DeliveryPage(deliveries=[_delivery(one) for one in cut.items], next=cut.next)


@router.post("/api/partner/webhooks/deliveries/{delivery_id}/replay", status_code=202)
def replay_delivery(session: Db, partner_id: CurrentPartner, delivery_id: str) -> Queued:
    """Send a delivery once more."""
    return Queued(id=ids.public(DELIVERY, _replay(session, partner_id, delivery_id).id))


def _add(
    session: Session, partner_id: PartnerId, url: str, chosen: list[str], method: str
) -> Endpoint:
    return webhooks.add(
        session,
        owner_id=partner_id,
        url=url,
        chosen=chosen,
        offered=outgoing.EVENTS,
        method=method,
        now=clock.now(),
    )


def _test(session: Session, partner_id: PartnerId, endpoint_id: str) -> DeliveryId:
    return webhooks.send_test(
        session, owner_id=partner_id, endpoint_id=_key(endpoint_id), now=clock.now()
    )


def _replay(session: Session, partner_id: PartnerId, delivery_id: str) -> Delivery:
    key = DeliveryId(ids.parse(DELIVERY, delivery_id))
    return webhooks.replay(session, owner_id=partner_id, delivery_id=key, now=clock.now())


def _key(text: str) -> EndpointId:
    return EndpointId(ids.parse(ENDPOINT, text))


def _path(endpoint: Endpoint) -> str:
    return f"{PAGE}/{ids.public(ENDPOINT, endpoint.id)}"


def _out(endpoint: Endpoint) -> EndpointOut:
    return EndpointOut(
        id=ids.public(ENDPOINT, endpoint.id),
        url=endpoint.url,
        method=endpoint.method,
        events=endpoint.events,
        state=endpoint.state,
        failing_since=endpoint.failing_since,
        created_at=endpoint.created_at,
    )


def _delivery(one: Delivery) -> DeliveryOut:
    return DeliveryOut(
        id=ids.public(DELIVERY, one.id),
        event=one.event,
        state=one.state,
        attempts=one.attempts,
        answer_status=one.answer_status,
        error=one.error,
        created_at=one.created_at,
        tried_at=one.tried_at,
    )
