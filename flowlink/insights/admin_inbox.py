"""Console pages about networks: what they send, and who they are."""

from datetime import timedelta
from typing import Annotated

from fastapi import APIRouter, Form, Query, Request, Response
from pydantic import BaseModel

from flowlink.identity.deps import Operator, SecretReader
from flowlink.insights import inbox, quarantine
from flowlink.kernel import clock, ids
from flowlink.tracking import networks
from flowlink.tracking.ids import POSTBACK
from flowlink.tracking.models import AmountUnit, Result
from flowlink.tracking.networks import NetworkIn
from flowlink.web import csv, lists
from flowlink.web.forms import Line
from flowlink.web.lists import CSV_SIZE, SIZE, Cursor, Search
from flowlink.web.render import page, see_other
from flowlink.web.sessions import Db

router = APIRouter()

DAY = timedelta(days=1)
RESULTS = tuple(result.value for result in Result)
ResultFilter = Annotated[str, Query(pattern=f"^(|{'|'.join(RESULTS)})$")]


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


@router.get("/admin/networks.csv")
def networks_csv(session: Db) -> Response:
    header = ["network", "active", "offers", "postbacks_24h", "not_understood_24h", "last_at"]
    rows = (
        (
            line.network.name,
            line.network.active,
            line.offers,
            line.postbacks_24h,
            line.waiting_24h,
            line.last_at,
        )
        for line in inbox.networks(session, since=clock.now() - DAY)
    )
    return csv.response("networks.csv", header, rows)


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
def network(request: Request, session: Db, _: SecretReader, name: str) -> Response:
    """One network: how it speaks, and the address that it has to call."""
    found = networks.named(session, name)
    url = networks.url_of(found)
    latest = inbox.postbacks(session, network=found.name, limit=10)
    return page(request, "insights/network.html", network=found, url=url, latest=latest)
