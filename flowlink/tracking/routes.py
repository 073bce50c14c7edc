"""Links and conversions for partners and their programs; and the page that shows what arrived."""

from datetime import datetime
from typing import Annotated, Literal

from fastapi import APIRouter, Form, Request, Response
from pydantic import BaseModel, ConfigDict, Field
from sqlalchemy.orm import Session

from flowlink.kernel import clock, ids
from flowlink.partners.deps import CurrentPartner
from flowlink.partners.ids import PartnerId
from flowlink.tracking import clickid, offers, queries, service, wishes
from flowlink.tracking.ids import LINK, OfferId
from flowlink.tracking.link_wishes import TargetBody, WeightedBody, routing_of
from flowlink.tracking.models import Link
from flowlink.tracking.queries import LinkLine
from flowlink.tracking.wishes import Wishes
from flowlink.web import lists
from flowlink.web.forms import MomentField
from flowlink.web.lists import SIZE, Cursor
from flowlink.web.render import page, see_other
from flowlink.web.sessions import Db

router = APIRouter()


class LinkIn(BaseModel):
    """A link to make. Without an offer it is the current one's."""

    model_config = ConfigDict(extra="forbid")

    offer: str | None = Field(default=None, max_length=60, examples=["default"])
    destination: str | None = Field(default=None, max_length=2000)
    slug: str | None = Field(default=None, max_length=60, examples=["my-summer"])
    domain: str = Field(default="", max_length=260, examples=["go.example.org"])
    expires_at: MomentField | None = None
    note: str = Field(default="", max_length=500)
    tags: list[Annotated[str, Field(max_length=60)]] = Field(default_factory=list, max_length=10)
    targets: list[TargetBody] = Field(default_factory=list, max_length=30)
    weighted: list[WeightedBody] = Field(default_factory=list, max_length=10)


class LinkForm(BaseModel):
    """The same, as a form sends it: what is left empty is not said."""

    offer: str = ""
    destination: str = ""
    slug: str = ""
    domain: str = ""
    tags: str = ""
    then: Literal["", "link"] = ""


class LinkOut(BaseModel):
    id: str
    code: str
    url: str


class LinkRow(LinkOut):
    offer: str
    destination: str | None
    clicks: int
    flagged: int
    conversions: int
    disabled_at: datetime | None
    created_at: datetime


class LinkPage(BaseModel):
    links: list[LinkRow]
    next: str | None


@router.get("/go", include_in_schema=False)
def show_arrival(request: Request) -> Response:
    """Where the links of a fresh installation lead: a page that shows what came along (spec 8)."""
    fields = request.query_params.multi_items()[:50]
    ref = clickid.read(request.query_params.get("subid", ""))
    clicked_at = clickid.at(ref.number) if ref else None
    return page(request, "tracking/go.html", fields=fields, clicked_at=clicked_at)


@router.post("/api/partner/links", status_code=201)
def create_link(session: Db, partner_id: CurrentPartner, body: LinkIn) -> LinkOut:
    """Make a short link. It works from the moment of this answer."""
    return LinkOut(**_public(session, _create(session, partner_id, body)))


@router.post("/partner/links", include_in_schema=False)
def create_link_by_hand(
    session: Db, partner_id: CurrentPartner, form: Annotated[LinkForm, Form()]
) -> Response:
    given = LinkIn.model_construct(
        offer=form.offer.strip() or None,
        destination=form.destination.strip() or None,
        slug=form.slug.strip() or None,
        domain=form.domain,
        tags=wishes.split_tags(form.tags),
    )
    link = _create(session, partner_id, given)
    return see_other(_opened(link) if form.then else "/partner/portal")


@router.get("/api/partner/links")
def list_links(session: Db, partner_id: CurrentPartner, cursor: Cursor = None) -> LinkPage:
    """Your links, newest first, with their clicks and conversions so far."""
    found = queries.links_of(
        session, partner_id=partner_id, before=lists.before(cursor), limit=SIZE + 1
    )
    page = lists.cut(found, key=lambda line: line.link.id)
    return LinkPage(links=[_link_row(session, line) for line in page.items], next=page.next)


def _create(session: Session, partner_id: PartnerId, given: LinkIn) -> Link:
    offer_id = None
    if given.offer is not None:
        offer_id = OfferId(offers.named(session, given.offer).id)
    return service.create_link(
        session,
        partner_id=partner_id,
        offer_id=offer_id,
        slug=given.slug,
        host=given.domain,
        wished=Wishes(
            destination=given.destination,
            expires_at=given.expires_at,
            note=given.note,
            tags=given.tags,
            routing=routing_of(given.targets, given.weighted),
        ),
        now=clock.now(),
    )


def _opened(link: Link) -> str:
    return f"/partner/links/{ids.public(LINK, link.id)}"


def _public(session: Session, link: Link) -> dict[str, str]:
    address = service.address(session, link)
    return {"id": ids.public(LINK, link.id), "code": link.code, "url": address}


def _link_row(session: Session, line: LinkLine) -> LinkRow:
    return LinkRow(
        **_public(session, line.link),
        offer=line.offer,
        destination=line.link.destination,
        clicks=line.valid,
        flagged=line.flagged,
        conversions=line.conversions,
        disabled_at=line.link.disabled_at,
        created_at=line.link.created_at,
    )
