"""The operator's console: everybody's links, and the domains that links can be made on."""

from typing import Annotated

from fastapi import APIRouter, Depends, Form, Request, Response
from pydantic import BaseModel

from flowlink.identity.deps import Operator, require_operator
from flowlink.kernel import clock, ids
from flowlink.partners import ids as partner_ids
from flowlink.partners.ids import PartnerId
from flowlink.tracking import domains, link_edits, link_lists
from flowlink.tracking.domains import DOMAIN, DomainId
from flowlink.tracking.ids import LINK, LinkId
from flowlink.tracking.link_lists import Filter, Line as LinkLine, State
from flowlink.tracking.link_pages import CSV_HEADER, StateFilter, cells
from flowlink.web import csv, lists
from flowlink.web.forms import CheckboxField, Line
from flowlink.web.lists import CSV_SIZE, SIZE, Cursor, Search
from flowlink.web.render import page, see_other
from flowlink.web.sessions import Db


class DomainForm(BaseModel):
    """Whether a domain serves its links."""

    active: CheckboxField = False


router = APIRouter(include_in_schema=False, dependencies=[Depends(require_operator)])


@router.get("/admin/links")
def show_links(
    request: Request,
    session: Db,
    q: Search = "",
    tag: Search = "",
    state: StateFilter = "",
    cursor: Cursor = None,
) -> Response:
    """All links of all partners."""
    found = link_lists.lines(
        session,
        wanted=_filter(q, tag, state),
        before=lists.before(cursor),
        limit=SIZE + 1,
        now=clock.now(),
    )
    links = lists.cut(found, key=lambda line: line.link.id)
    return page(request, "tracking/all_links.html", links=links, q=q, tag=tag, state=state)


@router.get("/admin/links.csv")
def links_csv(session: Db, q: Search = "", tag: Search = "", state: StateFilter = "") -> Response:
    wanted = _filter(q, tag, state)
    found = link_lists.lines(session, wanted=wanted, limit=CSV_SIZE, now=clock.now())
    return csv.response("all-links.csv", ["partner", *CSV_HEADER], map(_cells, found))


@router.post("/admin/links/{name}/disable")
def disable(session: Db, actor: Operator, name: str) -> Response:
    link_edits.switch_off(
        session,
        link_id=LinkId(ids.parse(LINK, name)),
        actor=actor.label,
        ip=actor.ip,
        now=clock.now(),
    )
    return see_other("/admin/links")


@router.get("/admin/domains")
def show_domains(request: Request, session: Db) -> Response:
    """The domains for short links, and how many each has."""
    counted = domains.counted(session)
    return page(request, "tracking/domains.html", domains=counted, own=domains.own_host())


@router.get("/admin/domains.csv")
def domains_csv(session: Db) -> Response:
    rows = (
        (domain.host, domain.active, count, domain.created_at)
        for domain, count in domains.counted(session)
    )
    return csv.response("domains.csv", ["host", "active", "links", "created_at"], rows)


@router.post("/admin/domains")
def add_domain(session: Db, actor: Operator, host: Annotated[Line, Form()]) -> Response:
    domains.add(session, host=host, actor=actor.label, ip=actor.ip, now=clock.now())
    return see_other("/admin/domains")


@router.post("/admin/domains/{name}")
def switch_domain(
    session: Db, actor: Operator, name: str, form: Annotated[DomainForm, Form()]
) -> Response:
    domains.switch(
        session,
        domain_id=DomainId(ids.parse(DOMAIN, name)),
        active=form.active,
        actor=actor.label,
        ip=actor.ip,
        now=clock.now(),
    )
    return see_other("/admin/domains")


def _filter(q: str, tag: str, state: str) -> Filter:
    return Filter(q=q, tag=tag, state=State(state) if state else None)


def _cells(line: LinkLine) -> list[object]:
    return [partner_ids.public(PartnerId(line.partner.id)), *cells(line)]
