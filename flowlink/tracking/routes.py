"""Links and conversions for partners and their programs; and the page that shows what arrived."""

from datetime import datetime
from typing import Annotated

from fastapi import APIRouter, Form, Request, Response
from pydantic import BaseModel, ConfigDict, Field
from sqlalchemy.orm import Session

from flowlink.kernel import clock, ids, settings
from flowlink.partners.deps import CurrentPartner
from flowlink.partners.ids import PartnerId
from flowlink.tracking import clickid, offers, queries, service
from flowlink.tracking.ids import LINK, OfferId
from flowlink.tracking.models import Link
from flowlink.tracking.queries import LinkLine
from flowlink.web import lists
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


class LinkForm(BaseModel):
    """The same, as a form sends it: what is left empty is not said."""

    offer: str = ""
    destination: str = ""
    slug: str = ""


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
    return LinkOut(**_public(_create(session, partner_id, body)))


@router.post("/partner/links", include_in_schema=False)
def create_link_by_hand(
    session: Db, partner_id: CurrentPartner, form: Annotated[LinkForm, Form()]
) -> Response:
    given = LinkIn.model_construct(
        offer=form.offer.strip() or None,
        destination=form.destination.strip() or None,
        slug=form.slug.strip() or None,
    )
    _create(session, partner_id, given)
    return see_other("/partner/portal")


@router.get("/api/partner/links")
def list_links(session: Db, partner_id: CurrentPartner, cursor: Cursor = None) -> LinkPage:
    """Your links, newest first, with their clicks and conversions so far."""
    found = queries.links_of(
        session, partner_id=partner_id, before=lists.before(cursor), limit=SIZE + 1
    )
    page = lists.cut(found, key=lambda line: line.link.id)
    return LinkPage(links=[_link_row(line) for line in page.items], next=page.next)


def _create(session: Session, partner_id: PartnerId, given: LinkIn) -> Link:
    offer_id = None
    if given.offer is not None:
        offer_id = OfferId(offers.named(session, given.offer).id)
    return service.create_link(
        session,
        partner_id=partner_id,
        offer_id=offer_id,
        destination=given.destination,
        slug=given.slug,
        now=clock.now(),
    )


def _public(link: Link) -> dict[str, str]:
    address = service.url(link, base_url=settings.current().url)
    return {"id": ids.public(LINK, link.id), "code": link.code, "url": address}


def _link_row(line: LinkLine) -> LinkRow:
    return LinkRow(
        **_public(line.link),
        offer=line.offer,
        destination=line.link.destination,
        clicks=line.valid,
        flagged=line.flagged,
        conversions=line.conversions,
        disabled_at=line.link.disabled_at,
        created_at=line.link.created_at,
    )
