"""Console pages about what waits: quarantine and orphans, teaching, replays, and the dry run."""

from typing import Annotated

from fastapi import APIRouter, Form, Query, Request, Response
from pydantic import BaseModel

from flowlink.identity.deps import Operator
from flowlink.insights import inbox, quarantine
from flowlink.kernel import clock, ids
from flowlink.tracking import claims, network_changes, networks, postbacks, replays
from flowlink.tracking.ids import POSTBACK, NetworkId, PostbackId
from flowlink.tracking.models import Status
from flowlink.tracking.postbacks import PostbackIn
from flowlink.tracking.replays import Chosen
from flowlink.web import csv
from flowlink.web.forms import Line
from flowlink.web.render import page, see_other
from flowlink.web.sessions import Db

router = APIRouter()

QUARANTINE = "/admin/postbacks/quarantine"
STATUSES = tuple(status.value for status in Status)
Asked = Annotated[str, Query(max_length=8192)]


class TeachForm(BaseModel):
    """This word of this network means that."""

    network: Line
    word: Line
    meaning: Status


class ReplayForm(BaseModel):
    """Which of the waiting postbacks are read again; what is empty matches all."""

    network: Line = ""
    result: Line = ""
    reason: Line = ""
    word: Line = ""


@router.get(QUARANTINE)
def show_waiting(request: Request, session: Db) -> Response:
    """What waits, by what it waits for."""
    found = quarantine.waiting(session)
    return page(request, "insights/quarantine.html", waiting=found, statuses=STATUSES)


@router.get("/admin/postbacks/quarantine.csv")
def waiting_csv(session: Db) -> Response:
    """The same as a file."""
    header = ["network", "result", "reason", "word", "count", "since"]
    rows = (
        (one.network, one.result, one.reason, one.word, one.count, one.since)
        for one in quarantine.waiting(session, limit=10_000)
    )
    return csv.response("quarantine.csv", header, rows)


@router.post("/admin/postbacks/teach")
def teach(session: Db, actor: Operator, form: Annotated[TeachForm, Form()]) -> Response:
    """One click: this word means that, and all that waited for it is read again."""
    network_changes.teach(
        session,
        network_id=NetworkId(networks.named(session, form.network).id),
        word=form.word,
        meaning=form.meaning,
        actor=actor.label,
        now=clock.now(),
        ip=actor.ip,
    )
    return see_other(QUARANTINE)


@router.post("/admin/postbacks/replay")
def replay_matching(session: Db, actor: Operator, form: Annotated[ReplayForm, Form()]) -> Response:
    """Read all that match again, in the background."""
    network_id = networks.named(session, form.network).id if form.network else None
    chosen = Chosen(network_id, form.result, form.reason, form.word)
    replays.ask(session, chosen=chosen, actor=actor.label, now=clock.now(), ip=actor.ip)
    return see_other(QUARANTINE)


@router.get("/admin/postbacks/try")
def try_postback(
    request: Request, session: Db, network: Line = "", query: Asked = "", address: Line = ""
) -> Response:
    """The dry run: what would this postback do? Nothing is stored."""
    shown = None
    if network and query:
        found = networks.named(session, network)
        tried = PostbackIn(
            method="GET",
            query=networks.signed_query(found, claims.query_in(query)),
            address=address or networks.some_address(found),
        )
        shown = postbacks.preview(session, request=tried, now=clock.now())
    return page(
        request,
        "insights/postback_try.html",
        shown=shown,
        networks=inbox.network_names(session),
        chosen={"network": network, "query": query, "address": address},
    )


@router.post("/admin/postbacks/{postback_id}/replay")
def replay(session: Db, actor: Operator, postback_id: str) -> Response:
    """Read one postback again."""
    replays.one(
        session,
        postback_id=PostbackId(ids.parse(POSTBACK, postback_id)),
        actor=actor.label,
        now=clock.now(),
        ip=actor.ip,
    )
    return see_other(f"/admin/postbacks/{postback_id}")
