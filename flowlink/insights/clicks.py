"""Clicks one by one as pages: a partner's own, and any click or trail for the operator."""

from typing import Annotated

from fastapi import APIRouter, Query, Request, Response
from sqlalchemy.orm import Session

from flowlink.insights import trail
from flowlink.insights.partner import TEMPLATES
from flowlink.kernel import clock, ids
from flowlink.partners import queries as partners
from flowlink.partners.deps import CurrentPartner
from flowlink.partners.ids import PartnerId
from flowlink.payouts.deps import CurrentPolicy
from flowlink.tracking import click_lists, link_lists
from flowlink.tracking.click_lists import Kind, Line
from flowlink.tracking.ids import LINK, LinkId
from flowlink.tracking.models import Link
from flowlink.web import csv, lists
from flowlink.web.lists import CSV_SIZE, SIZE, Cursor, Search
from flowlink.web.paging import Page, cursor_encode
from flowlink.web.render import page, see_other
from flowlink.web.sessions import Db

router = APIRouter(include_in_schema=False)
console = APIRouter()  # hangs in insights.admin, behind its guard

TRAILS = "/admin/trail"
OfLink = Annotated[str, Query(alias="link", max_length=60)]


@router.get("/partner/clicks")
def show_clicks(
    request: Request,
    session: Db,
    partner_id: CurrentPartner,
    link: OfLink = "",
    kind: Kind = Kind.ALL,
    cursor: Cursor = None,
) -> Response:
    """My clicks, newest first, each with its trail."""
    partner, of_link = partners.get(session, partner_id), _link(session, partner_id, link)
    found = click_lists.lines(
        session,
        partner=partner.number,
        link=of_link.number if of_link else None,
        kind=kind,
        before=lists.position(cursor),
        limit=SIZE + 1,
    )
    following = cursor_encode(found[SIZE - 1].number) if len(found) > SIZE else None
    return page(
        request,
        "insights/clicks.html",
        clicks=Page(found[:SIZE], following),
        link=of_link,
        kind=kind.value,
    )


@router.get("/partner/clicks.csv")
def clicks_csv(
    session: Db, partner_id: CurrentPartner, link: OfLink = "", kind: Kind = Kind.ALL
) -> Response:
    partner, of_link = partners.get(session, partner_id), _link(session, partner_id, link)
    found = click_lists.lines(
        session,
        partner=partner.number,
        link=of_link.number if of_link else None,
        kind=kind,
        limit=CSV_SIZE,
    )
    header = ["click_id", "at", "link", "valid", "reason", "country", "device", "referrer"]
    return csv.response("clicks.csv", header, map(_cells, found))


@console.get(TRAILS)
def look_up(request: Request, session: Db, q: Search = "") -> Response:
    """Where an operator types a click id, or the id of anything that has a trail."""
    name = q.strip().lower()
    if name and (found := trail.canonical(session, name=name)) is not None:
        return see_other(f"{TRAILS}/{found}")
    return page(request, "insights/look_up.html", q=q.strip())


@console.get(TRAILS + "/{name}")
def show_any_trail(request: Request, session: Db, policy: CurrentPolicy, name: str) -> Response:
    """The trail that a partner sees, with what only operators may."""
    partner = trail.partner_of(session, name=name)
    found = trail.find(session, partner=partner, name=name)
    return page(
        request,
        f"insights/trail_{TEMPLATES[type(found)]}.html",
        trail=found,
        partner=partner,
        policy=policy,
        trails=TRAILS + "/",
    )


def _link(session: Session, partner_id: PartnerId, name: str) -> Link | None:
    if not name:
        return None
    key = LinkId(ids.parse(LINK, name))
    return link_lists.line(session, link_id=key, partner_id=partner_id, now=clock.now()).link


def _cells(line: Line) -> list[object]:
    return [
        line.token,
        line.at,
        line.code,
        line.reason == 0,
        line.reason.name.lower() if line.reason else "",
        line.country,
        line.device,
        line.referrer,
    ]
