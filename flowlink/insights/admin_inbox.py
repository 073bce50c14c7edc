"""Console pages about networks: what they send, who they are, and what there is to promote."""

from datetime import timedelta
from typing import Annotated

from fastapi import APIRouter, Form, Query, Request, Response
from pydantic import BaseModel

from flowlink.identity.deps import Operator
from flowlink.insights import inbox, quarantine
from flowlink.kernel import clock, ids
from flowlink.kernel.money import Money
from flowlink.tracking import networks, offers
from flowlink.tracking.ids import POSTBACK
from flowlink.tracking.models import AmountUnit, Mode, Result
from flowlink.tracking.networks import NetworkIn
from flowlink.tracking.offers import OfferIn
from flowlink.web import csv, lists
from flowlink.web.forms import Line
from flowlink.web.lists import CSV_SIZE, SIZE, Cursor, Search
from flowlink.web.render import page, see_other
from flowlink.web.sessions import Db

router = APIRouter()

DAY = timedelta(days=1)
WEEK = timedelta(days=7)
RESULTS = tuple(result.value for result in Result)
ResultFilter = Annotated[str, Query(pattern=f"^(|{'|'.join(RESULTS)})$")]


class OfferForm(BaseModel):
    """An offer as an operator fills it in; empty fields fall back to the policy, or to no limit."""

    name: Line
    network: Line
    mode: Mode
    destination: Annotated[str, Form(max_length=2000)]
    share: Line = ""
    cpc: Line = ""
    budget: Line = ""
    allowed_hosts: Annotated[str, Form(max_length=2000)] = ""


class NetworkForm(BaseModel):
    """A network as an operator starts it; its own words can be mapped through the API."""

    name: Line
    click_param: Line = "subid"
    amount_unit: AmountUnit = AmountUnit.UNITS


@router.get("/admin/postbacks")
def postbacks(
    request: Request,
    session: Db,
    result: ResultFilter = "",
    network: Search = "",
    q: Search = "",
    cursor: Cursor = None,
) -> Response:
    """What networks sent, newest first, with what became of it."""
    found = inbox.postbacks(
        session,
        result=result,
        network=network,
        query=q,
        before=lists.before(cursor),
        limit=SIZE + 1,
    )
    return page(
        request,
        "insights/postbacks.html",
        postbacks=lists.cut(found, key=lambda line: line.postback_id),
        networks=inbox.network_names(session),
        results=RESULTS,
        chosen={"result": result, "network": network, "q": q},
    )


@router.get("/admin/postbacks.csv")
def postbacks_csv(
    session: Db, result: ResultFilter = "", network: Search = "", q: Search = ""
) -> Response:
    found = inbox.postbacks(session, result=result, network=network, query=q, limit=CSV_SIZE)
    header = ["postback", "at", "network", "method", "query", "address", "result", "reason"]
    rows = (
        (
            ids.public(POSTBACK, line.postback_id),
            line.at,
            line.network,
            line.method,
            line.query,
            line.address,
            line.result,
            line.reason,
        )
        for line in found
    )
    return csv.response("postbacks.csv", header, rows)


@router.get("/admin/postbacks/{postback_id}")
def postback(request: Request, session: Db, postback_id: str) -> Response:
    """One postback: the raw request, its result, and the conversion it moved."""
    shown = inbox.postback(session, ids.parse(POSTBACK, postback_id))
    moved = shown.conversion
    return page(
        request,
        "insights/postback.html",
        shown=shown,
        parts=quarantine.parts(session, shown.line.postback_id),
        revisions=quarantine.revisions(session, moved.id) if moved else [],
    )


@router.get("/admin/networks")
def show_networks(request: Request, session: Db) -> Response:
    """Who sends conversions, and how lively they are."""
    found = inbox.networks(session, since=clock.now() - DAY)
    return page(request, "insights/networks.html", networks=found)


@router.post("/admin/networks")
def add_network(session: Db, actor: Operator, form: Annotated[NetworkForm, Form()]) -> Response:
    given = NetworkIn(
        name=form.name,
        click_param=form.click_param,
        amount_unit=form.amount_unit,
    )
    networks.create(session, given=given, actor=actor.label, now=clock.now(), ip=actor.ip)
    return see_other(f"/admin/networks/{form.name}")


@router.get("/admin/networks/{name}")
def network(request: Request, session: Db, name: str) -> Response:
    """One network: how it speaks, and the address that it has to call."""
    found = networks.named(session, name)
    url = networks.url_of(found)
    latest = inbox.postbacks(session, network=found.name, limit=10)
    return page(request, "insights/network.html", network=found, url=url, latest=latest)


@router.get("/admin/offers")
def show_offers(request: Request, session: Db) -> Response:
    """What partners can promote, and the form for another one."""
    now = clock.now()
    found = inbox.offers(session, now=now, since=now - WEEK)
    names = inbox.network_names(session)
    return page(request, "insights/offers.html", offers=found, networks=names)


@router.post("/admin/offers")
def add_offer(session: Db, actor: Operator, form: Annotated[OfferForm, Form()]) -> Response:
    given = OfferIn(
        name=form.name,
        mode=form.mode,
        destination=form.destination,
        share_bps=_bps(form.share) if form.share else None,
        cpc=Money.parse(form.cpc) if form.cpc else None,
        budget=Money.parse(form.budget) if form.budget else None,
        allowed_hosts=form.allowed_hosts.split(),
    )
    found = networks.named(session, form.network)
    offers.create(
        session, given=given, network=found, actor=actor.label, now=clock.now(), ip=actor.ip
    )
    return see_other("/admin/offers")


def _bps(percent: str) -> int:
    """A percentage as typed, such as `60` or `62.5`: it has as many hundredths as basis points."""
    return Money.parse(percent.strip().removesuffix("%")).cents
