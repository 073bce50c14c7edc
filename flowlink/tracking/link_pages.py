"""A partner's links as pages: the list, one link with its statistics, changes, QR codes."""

from datetime import UTC, date, datetime, time
from typing import Annotated

from fastapi import APIRouter, Form, Query, Request, Response
from pydantic import BaseModel, BeforeValidator
from sqlalchemy.orm import Session

from flowlink.kernel import clock, ids
from flowlink.partners.deps import CurrentPartner
from flowlink.partners.ids import PartnerId
from flowlink.tracking import (
    countries,
    domains,
    link_edits,
    link_lists,
    offers,
    qr,
    queries,
    routing,
    routing_words,
    service,
    statistics,
    wishes,
)
from flowlink.tracking.ids import LINK, LinkId
from flowlink.tracking.link_lists import Filter, Line as LinkLine, State
from flowlink.tracking.wishes import Wishes
from flowlink.web import csv, lists
from flowlink.web.forms import Line, Paragraph
from flowlink.web.lists import CSV_SIZE, SIZE, Cursor, Search
from flowlink.web.render import fragment, page, see_other
from flowlink.web.sessions import Db

router = APIRouter(include_in_schema=False)

CSV_HEADER = [
    "id",
    "address",
    "offer",
    "destination",
    "state",
    "tags",
    "note",
    "valid_clicks",
    "other_clicks",
    "expires_at",
    "created_at",
]
OptionalDay = Annotated[date | None, BeforeValidator(lambda typed: typed or None)]
StateFilter = Annotated[str, Query(pattern="^(|active|disabled|expired)$")]
Days = Annotated[int, Query(ge=1, le=90)]


class EditForm(BaseModel):
    """What a form says of a link; empty takes away."""

    destination: Annotated[str, Form(max_length=2000)] = ""
    expires_on: OptionalDay = None
    note: Paragraph = ""
    tags: Line = ""
    targets: Annotated[str, Form(max_length=70_000)] = ""
    weighted: Annotated[str, Form(max_length=25_000)] = ""


@router.get("/partner/links")
def show_links(
    request: Request,
    session: Db,
    partner_id: CurrentPartner,
    q: Search = "",
    tag: Search = "",
    state: StateFilter = "",
    cursor: Cursor = None,
) -> Response:
    """All my links, to search, with the way to make more."""
    now = clock.now()
    found = link_lists.lines(
        session,
        partner_id=partner_id,
        wanted=_filter(q, tag, state),
        before=lists.before(cursor),
        limit=SIZE + 1,
        now=now,
    )
    return page(
        request,
        "tracking/links.html",
        links=lists.cut(found, key=lambda line: line.link.id),
        q=q,
        tag=tag,
        state=state,
        tags=link_lists.tags_of(session, partner_id=partner_id),
        domains=domains.active(session),
        offers=[offer for offer, _ in queries.all_offers(session) if offer.active],
        current=offers.current(session, now=now),
    )


@router.get("/partner/links.csv")
def links_csv(
    session: Db,
    partner_id: CurrentPartner,
    q: Search = "",
    tag: Search = "",
    state: StateFilter = "",
) -> Response:
    wanted = _filter(q, tag, state)
    found = link_lists.lines(
        session, partner_id=partner_id, wanted=wanted, limit=CSV_SIZE, now=clock.now()
    )
    return csv.response("links.csv", CSV_HEADER, map(cells, found))


@router.get("/partner/links/{name}")
def show_link(
    request: Request, session: Db, partner_id: CurrentPartner, name: str, days: Days = 30
) -> Response:
    """One link: its address and QR code, its statistics, and what can be changed."""
    now = clock.now()
    line = _line(session, partner_id, name)
    kept = routing.read(line.link.routing)
    partner, link = line.partner.number, line.link.number
    return page(
        request,
        "tracking/link.html",
        line=line,
        days=days,
        statistics=statistics.of_link(session, partner=partner, link=link, days=days, now=now),
        live=statistics.live_of_link(session, link=link, now=now),
        live_href=f"/partner/links/{name}/live",
        routing=kept,
        targets=routing_words.targets(kept),
        weights=routing_words.weights(kept),
        knows_countries=countries.available(),
    )


@router.get("/partner/links/{name}/live")
def show_live(request: Request, session: Db, partner_id: CurrentPartner, name: str) -> Response:
    """The counter that the page asks for again and again."""
    line = _line(session, partner_id, name)
    live = statistics.live_of_link(session, link=line.link.number, now=clock.now())
    href = f"/partner/links/{name}/live"
    return fragment(request, "tracking/_live.html", live=live, live_href=href, of_link=True)


@router.get("/partner/links/{name}/qr.svg")
def qr_svg(session: Db, partner_id: CurrentPartner, name: str) -> Response:
    line = _line(session, partner_id, name)
    return _download(qr.svg(line.address), "image/svg+xml", f"{line.link.code}.svg")


@router.get("/partner/links/{name}/qr.png")
def qr_png(
    session: Db,
    partner_id: CurrentPartner,
    name: str,
    scale: Annotated[int, Query(ge=1, le=40)] = 10,
) -> Response:
    line = _line(session, partner_id, name)
    return _download(qr.png(line.address, scale=scale), "image/png", f"{line.link.code}.png")


@router.post("/partner/links/{name}")
def edit_link(
    session: Db, partner_id: CurrentPartner, name: str, form: Annotated[EditForm, Form()]
) -> Response:
    kept = _line(session, partner_id, name).link
    wished = Wishes(
        destination=form.destination.strip() or None,
        expires_at=_until(form.expires_on, kept.expires_at),
        note=form.note,
        tags=wishes.split_tags(form.tags),
        routing=routing_words.read(form.targets, form.weighted),
    )
    link_edits.edit(
        session, link_id=LinkId(kept.id), partner_id=partner_id, wished=wished, now=clock.now()
    )
    return see_other(f"/partner/links/{name}")


@router.post("/partner/links/{name}/disable")
def disable(session: Db, partner_id: CurrentPartner, name: str) -> Response:
    service.disable_link(session, link_id=_id(name), partner_id=partner_id, now=clock.now())
    return see_other(f"/partner/links/{name}")


@router.post("/partner/links/{name}/enable")
def enable(session: Db, partner_id: CurrentPartner, name: str) -> Response:
    link_edits.enable(session, link_id=_id(name), partner_id=partner_id)
    return see_other(f"/partner/links/{name}")


def cells(line: LinkLine) -> list[object]:
    """A link as a row of the CSV."""
    return [
        ids.public(LINK, line.link.id),
        line.address,
        line.offer.name,
        line.leads_to,
        str(line.state),
        ", ".join(line.link.tags),
        line.link.note,
        line.valid,
        line.flagged,
        line.link.expires_at,
        line.link.created_at,
    ]


def _filter(q: str, tag: str, state: str) -> Filter:
    return Filter(q=q, tag=tag, state=State(state) if state else None)


def _line(session: Session, partner_id: PartnerId, name: str) -> LinkLine:
    return link_lists.line(session, link_id=_id(name), partner_id=partner_id, now=clock.now())


def _id(name: str) -> LinkId:
    return LinkId(ids.parse(LINK, name))


def _until(day: date | None, kept: datetime | None) -> datetime | None:
    """The end of that day in UTC; a moment of the same day, as programs can set it, stays."""
    if day is None or (kept is not None and kept.astimezone(UTC).date() == day):
        return None if day is None else kept
    return datetime.combine(day, time(23, 59, 59), UTC)


def _download(body: bytes, kind: str, filename: str) -> Response:
    disposition = {"content-disposition": f'inline; filename="{filename}"'}
    return Response(body, media_type=kind, headers=disposition)
