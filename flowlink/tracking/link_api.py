"""Links for partners' programs: changes, many at once, statistics."""

from collections.abc import Sequence
from datetime import datetime
from typing import Annotated, Literal

from fastapi import APIRouter, Query
from pydantic import BaseModel, ConfigDict, Field

from flowlink.kernel import clock, ids
from flowlink.partners import queries as partners
from flowlink.partners.deps import CurrentPartner
from flowlink.tracking import (
    bulk,
    domains,
    link_edits,
    link_lists,
    routing,
    service,
    statistics,
)
from flowlink.tracking.devices import Device
from flowlink.tracking.ids import LINK, LinkId
from flowlink.tracking.link_lists import Line
from flowlink.tracking.link_wishes import TargetBody, Text, WeightedBody, routing_of
from flowlink.tracking.wishes import Wishes
from flowlink.web.forms import MomentField
from flowlink.web.sessions import Db

router = APIRouter(prefix="/api/partner")


class LinkDetail(BaseModel):
    """A link with all that can be said of it."""

    id: str
    code: str
    domain: str
    url: str
    offer: str
    destination: str | None
    state: str
    note: str
    tags: list[str]
    targets: list[TargetBody]
    weighted: list[WeightedBody]
    clicks: int
    flagged: int
    expires_at: datetime | None
    disabled_at: datetime | None
    created_at: datetime


class LinkPatch(BaseModel):
    """What to change; what is left out stays. `null` takes a destination or an end away."""

    model_config = ConfigDict(extra="forbid")

    destination: Text | None = None
    expires_at: MomentField | None = None
    note: str = Field(default="", max_length=500)
    tags: list[Annotated[str, Field(max_length=60)]] = Field(default_factory=list, max_length=10)
    targets: list[TargetBody] = Field(default_factory=list, max_length=30)
    weighted: list[WeightedBody] = Field(default_factory=list, max_length=10)
    disabled: bool = False


class BulkRow(BaseModel):
    """A link to make, as in the columns of the CSV."""

    model_config = ConfigDict(extra="forbid")

    slug: str = Field(default="", max_length=64)
    destination: str = Field(default="", max_length=2000)
    offer: str = Field(default="", max_length=60)
    domain: str = Field(default="", max_length=260)
    tags: list[Annotated[str, Field(max_length=60)]] = Field(default_factory=list, max_length=10)
    note: str = Field(default="", max_length=500)
    expires_at: str = Field(default="", max_length=40, examples=["2027-12-31"])


class BulkIn(BaseModel):
    """Up to 1000 links. With `preview` nothing is made."""

    model_config = ConfigDict(extra="forbid")

    links: list[BulkRow] = Field(min_length=1, max_length=bulk.ROWS_MAX)
    preview: bool = False


class BulkOutcome(BaseModel):
    """What became of the row at this place, counted from 0."""

    row: int
    result: Literal["created", "would_create", "refused"]
    id: str | None = None
    url: str | None = None
    error: str | None = None
    field: str | None = None


class BulkOut(BaseModel):
    links: list[BulkOutcome]


class SliceOut(BaseModel):
    name: str
    valid: int
    bots: int
    others: int


class HourOut(BaseModel):
    at: datetime
    valid: int
    flagged: int


class StatisticsOut(BaseModel):
    """Days in UTC. `name` is a day, two letters of a country, a device, a host, or a reason."""

    total: SliceOut
    hours: list[HourOut]
    days: list[SliceOut]
    countries: list[SliceOut]
    devices: list[SliceOut]
    referrers: list[SliceOut]
    reasons: list[SliceOut]


Days = Annotated[int, Query(ge=1, le=90)]


@router.get("/links/{name}")
def show_link(session: Db, partner_id: CurrentPartner, name: str) -> LinkDetail:
    """One of your links."""
    key = LinkId(ids.parse(LINK, name))
    return _detail(link_lists.line(session, link_id=key, partner_id=partner_id, now=clock.now()))


@router.patch("/links/{name}")
def change_link(session: Db, partner_id: CurrentPartner, name: str, body: LinkPatch) -> LinkDetail:
    """Change a link. Every edge knows within a second."""
    now = clock.now()
    key = LinkId(ids.parse(LINK, name))
    line = link_lists.line(session, link_id=key, partner_id=partner_id, now=now)
    given = body.model_fields_set
    link_edits.edit(
        session, link_id=key, partner_id=partner_id, wished=_wished(line, body), now=now
    )
    if "disabled" in given and body.disabled:
        service.disable_link(session, link_id=key, partner_id=partner_id, now=now)
    elif "disabled" in given:
        link_edits.enable(session, link_id=key, partner_id=partner_id)
    session.flush()
    return _detail(link_lists.line(session, link_id=key, partner_id=partner_id, now=now))


@router.post("/links/bulk")
def make_links(session: Db, partner_id: CurrentPartner, body: BulkIn) -> BulkOut:
    """Make many links. Rows that cannot be made say why; the others are made."""
    rows = [bulk.Row(line=place, **row.model_dump()) for place, row in enumerate(body.links)]
    handle = bulk.preview if body.preview else bulk.create
    outcomes = handle(session, partner_id=partner_id, rows=rows, now=clock.now())
    return BulkOut(links=[_outcome(one, preview=body.preview) for one in outcomes])


@router.get("/links/{name}/statistics")
def link_statistics(
    session: Db, partner_id: CurrentPartner, name: str, days: Days = 30
) -> StatisticsOut:
    """The clicks of one link over the last days, today included."""
    now = clock.now()
    key = LinkId(ids.parse(LINK, name))
    line = link_lists.line(session, link_id=key, partner_id=partner_id, now=now)
    partner, link = line.partner.number, line.link.number
    return _statistics(statistics.of_link(session, partner=partner, link=link, days=days, now=now))


@router.get("/statistics")
def all_statistics(session: Db, partner_id: CurrentPartner, days: Days = 30) -> StatisticsOut:
    """The clicks of all your links over the last days, today included."""
    number = partners.get(session, partner_id).number
    return _statistics(statistics.of_partner(session, partner=number, days=days, now=clock.now()))


def _wished(line: Line, body: LinkPatch) -> Wishes:
    """What the link is, with what the body says in its place."""
    given, link = body.model_fields_set, line.link
    kept = routing.read(link.routing)
    asked = routing_of(body.targets, body.weighted)
    return Wishes(
        destination=body.destination if "destination" in given else link.destination,
        expires_at=body.expires_at if "expires_at" in given else link.expires_at,
        note=body.note if "note" in given else link.note,
        tags=body.tags if "tags" in given else link.tags,
        routing=routing.Routing(
            targets=asked.targets if "targets" in given else kept.targets,
            weighted=asked.weighted if "weighted" in given else kept.weighted,
        ),
    )


def _detail(line: Line) -> LinkDetail:
    link, kept = line.link, routing.read(line.link.routing)
    return LinkDetail(
        id=ids.public(LINK, link.id),
        code=link.code,
        domain=line.host or domains.own_host(),
        url=line.address,
        offer=line.offer.name,
        destination=link.destination,
        state=line.state,
        note=link.note,
        tags=link.tags,
        targets=[
            TargetBody(
                destination=one.destination,
                device=_device(one.device),
                country=one.country or None,
            )
            for one in kept.targets
        ],
        weighted=[
            WeightedBody(destination=one.destination, weight=one.weight) for one in kept.weighted
        ],
        clicks=line.valid,
        flagged=line.flagged,
        expires_at=link.expires_at,
        disabled_at=link.disabled_at,
        created_at=link.created_at,
    )


def _device(device: Device | None) -> str | None:
    return None if device is None else device.name.lower()


def _outcome(one: bulk.Outcome, *, preview: bool) -> BulkOutcome:
    if one.error is not None:
        error = one.error
        return BulkOutcome(row=one.row.line, result="refused", error=str(error), field=error.field)
    if one.link is None or preview:
        return BulkOutcome(row=one.row.line, result="would_create")
    return BulkOutcome(
        row=one.row.line, result="created", id=ids.public(LINK, one.link.id), url=one.address
    )


def _statistics(found: statistics.Statistics) -> StatisticsOut:
    def slices(of: Sequence[statistics.Slice]) -> list[SliceOut]:
        return [_slice(one) for one in of]

    return StatisticsOut(
        total=_slice(found.total),
        hours=[HourOut(at=one.at, valid=one.valid, flagged=one.flagged) for one in found.hours],
        days=slices(found.days),
        countries=slices(found.countries),
        devices=slices(found.devices),
        referrers=slices(found.referrers),
        reasons=slices(found.reasons),
    )


def _slice(one: statistics.Slice) -> SliceOut:
    return SliceOut(name=one.name, valid=one.valid, bots=one.bots, others=one.others)
