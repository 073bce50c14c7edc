"""Health: whether this process lives and can serve, and its figures for a monitoring system."""

from fastapi import APIRouter, Response
from fastapi.responses import JSONResponse, PlainTextResponse
from prometheus_client import CONTENT_TYPE_LATEST, REGISTRY, Gauge, generate_latest
from sqlalchemy import text
from sqlalchemy.exc import SQLAlchemyError

from flowlink.app import nats_way
from flowlink.kernel import clock, db, migrate, settings
from flowlink.tracking import journal_health, link_snapshot, wiring

router = APIRouter(include_in_schema=False)

_EVENTS = Gauge("flowlink_outbox_waiting", "Events that no worker has taken yet")
_TASKS = Gauge("flowlink_tasks", "Queued tasks by state", ["state"])
_BACKLOG = Gauge("flowlink_journal_records", "Clicks that wait in a journal", ["edge", "host"])
_BACKLOG_BYTES = Gauge("flowlink_journal_bytes", "What they take", ["edge", "host"])
_BACKLOG_AGE = Gauge("flowlink_journal_age_seconds", "Age of the oldest", ["edge", "host"])
_HALTED = Gauge("flowlink_journal_halted", "1 if a person has to look at it", ["edge", "host"])
_HEARD = Gauge("flowlink_journal_heard_seconds", "When it was last heard of", ["edge", "host"])
_UNRECORDED = Gauge("flowlink_clicks_unrecorded", "Sent on and kept nowhere, in seven days")
_LOST = Gauge("flowlink_clicks_lost", "Known to be lost in damaged journals, in seven days")
_LINKS_AGE = Gauge(
    "flowlink_links_snapshot_age_seconds", "Since the links on this disk were true; -1: none here"
)
_NATS_UP = Gauge("flowlink_nats_up", "1 if NATS answers; -1 where it is not used")
_NATS_WAITING = Gauge("flowlink_nats_parcels", "Parcels of clicks that wait in NATS")
_NATS_LINKS = Gauge("flowlink_nats_links_seconds", "When NATS had the whole link table")
_REFUSED = Gauge("flowlink_clicks_refused", "Records set aside in seven days")


@router.get("/healthz")
def alive() -> PlainTextResponse:
    """The process answers; it says nothing of the database."""
    return PlainTextResponse("ok")


@router.get("/readyz")
def ready() -> JSONResponse:
    """503 with the reason until the database is there and has this code's schema."""
    problems = _problems()
    answer = {"ready": not problems, "problems": problems}
    return JSONResponse(answer, status_code=503 if problems else 200)


@router.get("/metrics")
def metrics() -> Response:
    """Figures in Prometheus' text format; while the database is away, the process's own alone."""
    _count_links()
    try:
        _count_queue()
        _count_clicks()
    except SQLAlchemyError:
        _EVENTS.set(-1)
    _look_at_nats()
    return Response(generate_latest(REGISTRY), media_type=CONTENT_TYPE_LATEST)


def _problems() -> list[str]:
    try:
        with db.read() as session:
            at = session.scalar(text("SELECT version_num FROM alembic_version"))
    except SQLAlchemyError:
        return ["The database does not answer."]
    head = migrate.head()
    return [] if at == head else [f"The database is at revision {at}, this code at {head}."]


def _count_queue() -> None:
    waiting = text("SELECT count(*) FROM kernel_event WHERE delivered_at IS NULL")
    states = text("SELECT status::text, count(*) FROM procrastinate_jobs GROUP BY 1")
    with db.read() as session:
        _EVENTS.set(session.scalar(waiting) or 0)
        for state, count in session.execute(states):
            _TASKS.labels(state=state).set(count)


def _count_links() -> None:
    found = link_snapshot.standing(wiring.journals())
    _LINKS_AGE.set(-1 if found is None else (clock.now() - found.true_at).total_seconds())


def _count_clicks() -> None:
    now = clock.now()
    with db.read() as session:
        found = journal_health.health(session, now=now)
        states = journal_health.states(session)
    _UNRECORDED.set(found.unrecorded)
    _LOST.set(found.lost)
    _REFUSED.set(found.refused)
    for gauge in (_BACKLOG, _BACKLOG_BYTES, _BACKLOG_AGE, _HALTED, _HEARD):
        gauge.clear()
    for one in states:
        oldest = one.oldest_at
        _BACKLOG.labels(one.edge, one.host).set(one.backlog_records)
        _BACKLOG_BYTES.labels(one.edge, one.host).set(one.backlog_bytes)
        _BACKLOG_AGE.labels(one.edge, one.host).set((now - oldest).total_seconds() if oldest else 0)
        _HALTED.labels(one.edge, one.host).set(bool(one.error))
        _HEARD.labels(one.edge, one.host).set(one.seen_at.timestamp())


def _look_at_nats() -> None:
    _NATS_UP.set(-1)
    if not settings.current().nats_url:
        return
    from flowlink.tracking import nats_wiring

    figures = nats_way.figures(nats_wiring.hub())
    _NATS_UP.set(figures is not None)
    if figures is not None:
        _NATS_WAITING.set(figures.parcels)
        _NATS_LINKS.set(figures.links_at.timestamp() if figures.links_at else 0)
