"""Console pages of what waits for a person, and of the click journals."""

from typing import Annotated

from fastapi import APIRouter, Query, Request, Response
from fastapi.responses import JSONResponse

from flowlink.insights import desk, losses
from flowlink.insights.desk import HOUR, Wait
from flowlink.insights.desk_queues import KINDS
from flowlink.kernel import clock
from flowlink.partners.deps import wants_json
from flowlink.web import csv, lists
from flowlink.web.lists import CSV_SIZE, SIZE, Cursor
from flowlink.web.paging import Page, cursor_encode
from flowlink.web.render import page
from flowlink.web.sessions import Db

router = APIRouter()

QueueFilter = Annotated[str, Query(pattern=f"^(|{'|'.join(kind.name for kind in KINDS)})$")]
_QUEUES = ["queue", "count", "late", "oldest_at", "age_hours", "due_at", "url"]
_THINGS = ["queue", "what", "count", "since", "age_hours", "due_at", "late", "url"]
_EDGE = ["edge", "host", "directory", "waiting_clicks", "oldest_at", "error", "seen_at"]
_LOST = ["at", "edge", "journal", "from_byte", "to_byte", "clicks", "damage"]


@router.get("/admin/inbox")
def show_inbox(
    request: Request, session: Db, queue: QueueFilter = "", cursor: Cursor = None
) -> Response:
    """What waits for a person: how much, since when, until when, and the way there."""
    now = clock.now()
    found = desk.waits(session, now=now)
    if wants_json(request):
        return JSONResponse({"waiting": [_json(wait) for wait in found]})
    start = lists.position(cursor) or 0
    things = desk.things(session, now=now, queue=queue, start=start, limit=SIZE + 1)
    return page(
        request,
        "insights/desk.html",
        waits=found,
        free=[kind for kind in KINDS if kind.name not in {wait.name for wait in found}],
        things=Page(things[:SIZE], cursor_encode(start + SIZE) if len(things) > SIZE else None),
        queue=queue,
        now=now,
    )


@router.get("/admin/inbox.csv")
def inbox_csv(session: Db) -> Response:
    now = clock.now()
    rows = (
        (w.name, w.count, w.late_count, w.oldest_at, int(w.age(now) / HOUR), w.due_at, w.href)
        for w in desk.waits(session, now=now)
    )
    return csv.response("inbox.csv", _QUEUES, rows)


@router.get("/admin/inbox/things.csv")
def things_csv(session: Db, queue: QueueFilter = "") -> Response:
    now = clock.now()
    rows = (
        (
            one.queue,
            one.label,
            one.count,
            one.at,
            int(one.age(now) / HOUR),
            one.due_at,
            one.is_late(now),
            one.href,
        )
        for one in desk.things(session, now=now, queue=queue, limit=CSV_SIZE)
    )
    return csv.response("inbox-things.csv", _THINGS, rows)


@router.get("/admin/losses")
def show_losses(request: Request, session: Db, cursor: Cursor = None) -> Response:
    """How the click journals stand, and what could not be read, stored or recorded."""
    found = losses.losses(session, before=lists.position(cursor), limit=SIZE + 1)
    more = cursor_encode(found[SIZE - 1].id) if len(found) > SIZE else None
    return page(
        request,
        "insights/losses.html",
        edges=losses.edges(session),
        unrecorded=losses.unrecorded(session),
        losses=Page(found[:SIZE], more),
        now=clock.now(),
        refusals=losses.refusals(session),
    )


@router.get("/admin/losses.csv")
def losses_csv(session: Db) -> Response:
    rows = (
        (row.at, row.edge, row.number, row.start_offset, row.end_offset, row.records, row.damage)
        for row in losses.losses(session, limit=CSV_SIZE)
    )
    return csv.response("click-losses.csv", _LOST, rows)


@router.get("/admin/losses/edges.csv")
def edges_csv(session: Db) -> Response:
    rows = (
        (one.edge, one.host, one.directory, one.waiting, one.oldest_at, one.error, one.seen_at)
        for one in losses.edges(session)
    )
    return csv.response("edges.csv", _EDGE, rows)


@router.get("/admin/losses/unrecorded.csv")
def unrecorded_csv(session: Db) -> Response:
    found = losses.unrecorded(session, limit=CSV_SIZE)
    rows = ((row.day, row.edge, row.count) for row in found)
    return csv.response("clicks-unrecorded.csv", ["day", "edge", "clicks"], rows)


@router.get("/admin/losses/refusals.csv")
def refusals_csv(session: Db) -> Response:
    """The records as hexadecimal digits, so that nothing of them is changed."""
    rows = (
        (row.at, row.edge, row.segment, row.byte_offset, row.reason, row.record.hex())
        for row in losses.refusals(session, limit=CSV_SIZE)
    )
    header = ["at", "edge", "journal", "byte", "reason", "record"]
    return csv.response("clicks-set-aside.csv", header, rows)


def _json(wait: Wait) -> dict[str, object]:
    return {
        "queue": wait.name,
        "count": wait.count,
        "late": wait.late_count,
        "oldest_at": wait.oldest_at.isoformat(),
        "due_at": wait.due_at.isoformat(),
        "url": wait.href,
    }
