"""Console pages of what waits for a person, and of clicks that a journal could not give back."""

from fastapi import APIRouter, Request, Response
from fastapi.responses import JSONResponse

from flowlink.insights import desk, losses
from flowlink.insights.desk import Wait
from flowlink.kernel import clock
from flowlink.partners.deps import wants_json
from flowlink.web import csv, lists
from flowlink.web.lists import CSV_SIZE, SIZE, Cursor
from flowlink.web.paging import Page, cursor_encode
from flowlink.web.render import page
from flowlink.web.sessions import Db

router = APIRouter()

_HEADER = ["queue", "count", "oldest_at", "age_hours", "late", "url"]
_LOST = ["at", "edge", "journal", "from_byte", "to_byte", "clicks", "damage"]


@router.get("/admin/inbox")
def show_inbox(request: Request, session: Db) -> Response:
    """What waits for a person: how much, since when, and the way there."""
    now = clock.now()
    found = desk.waits(session, now=now)
    if wants_json(request):
        return JSONResponse({"waiting": [_json(wait) for wait in found]})
    free = [kind for kind in desk.KINDS if kind.name not in {wait.name for wait in found}]
    return page(request, "insights/desk.html", waits=found, free=free, now=now)


@router.get("/admin/inbox.csv")
def inbox_csv(session: Db) -> Response:
    now = clock.now()
    rows = (
        (w.name, w.count, w.oldest_at, int(w.age(now) / desk.HOUR), w.late, w.href)
        for w in desk.waits(session, now=now)
    )
    return csv.response("inbox.csv", _HEADER, rows)


@router.get("/admin/losses")
def show_losses(request: Request, session: Db, cursor: Cursor = None) -> Response:
    """Clicks that a journal could not give back, and records that the tables cannot hold."""
    found = losses.losses(session, before=lists.position(cursor), limit=SIZE + 1)
    more = cursor_encode(found[SIZE - 1].id) if len(found) > SIZE else None
    return page(
        request,
        "insights/losses.html",
        losses=Page(found[:SIZE], more),
        refusals=losses.refusals(session),
    )


@router.get("/admin/losses.csv")
def losses_csv(session: Db) -> Response:
    rows = (
        (row.at, row.edge, row.number, row.start_offset, row.end_offset, row.records, row.damage)
        for row in losses.losses(session, limit=CSV_SIZE)
    )
    return csv.response("click-losses.csv", _LOST, rows)


def _json(wait: Wait) -> dict[str, object]:
    return {
        "queue": wait.name,
        "count": wait.count,
        "oldest_at": wait.oldest_at.isoformat(),
        "late": wait.late,
        "url": wait.href,
    }
