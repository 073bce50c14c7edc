"""Health: whether this process lives and can serve, and its figures for a monitoring system."""

from fastapi import APIRouter, Response
from fastapi.responses import JSONResponse, PlainTextResponse
from prometheus_client import CONTENT_TYPE_LATEST, REGISTRY, Gauge, generate_latest
from sqlalchemy import text
from sqlalchemy.exc import SQLAlchemyError

from flowlink.kernel import db, migrate

router = APIRouter(include_in_schema=False)

_EVENTS = Gauge("flowlink_outbox_waiting", "Events that no worker has taken yet")
_TASKS = Gauge("flowlink_tasks", "Queued tasks by state", ["state"])


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
    try:
        _count_queue()
    except SQLAlchemyError:
        _EVENTS.set(-1)
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
