"""Console pages about money: monitoring, ledger, checks."""

from typing import Annotated

from fastapi import APIRouter, Query, Request, Response

from flowlink.billing import figures as billing
from flowlink.insights import desk, figures, journal, trends
from flowlink.kernel import clock, ids
from flowlink.kernel.money import Money
from flowlink.ledger import check as ledger_check
from flowlink.payouts import check as payouts_check
from flowlink.tracking import journal_health
from flowlink.web import csv, lists
from flowlink.web.lists import CSV_SIZE, SIZE, Cursor, Search
from flowlink.web.render import page
from flowlink.web.sessions import Db

router = APIRouter()

KindFilter = Annotated[str, Query(pattern=f"^(|{'|'.join(journal.KINDS)})$")]


@router.get("/admin/monitoring")
def monitoring(request: Request, session: Db) -> Response:
    """Every figure of the business, each with the way to the thing itself."""
    now = clock.now()
    shown = trends.monitoring(session, now=now)
    return page(
        request,
        "insights/monitoring.html",
        summary=figures.summary(session, now=now),
        trends=shown,
        paid_by_teams=Money(shown.teams.total("paid")),
        waits=desk.waits(session, now=now),
        recurring=billing.recurring(session, now=now),
        now=now,
        journals=journal_health.health(session, now=now),
    )


@router.get("/admin/monitoring.csv")
def monitoring_csv(session: Db) -> Response:
    """The charts' figures day by day."""
    shown = trends.monitoring(session, now=clock.now())
    return csv.response("monitoring.csv", trends.HEADER, trends.rows(shown, figures.assignments()))


@router.get("/admin/ledger")
def ledger(
    request: Request, session: Db, kind: KindFilter = "", q: Search = "", cursor: Cursor = None
) -> Response:
    """The journal: every entry, newest first."""
    found = journal.entries(
        session, kind=kind, query=q, before=lists.before(cursor), limit=SIZE + 1
    )
    return page(
        request,
        "insights/ledger.html",
        entries=lists.cut(found, key=lambda line: line.entry.id),
        totals=journal.totals(session),
        kinds=journal.KINDS,
        kind=kind,
        q=q,
    )


@router.get("/admin/ledger.csv")
def ledger_csv(session: Db, kind: KindFilter = "", q: Search = "") -> Response:
    found = journal.entries(session, kind=kind, query=q, limit=CSV_SIZE)
    header = ["entry", "at", "effective_at", "kind", "source", "transfers", "moved", "currency"]
    rows = (
        (
            ids.public(journal.ENTRY, line.entry.id),
            line.entry.at,
            line.entry.effective_at,
            line.entry.kind,
            line.entry.source,
            line.transfers,
            line.moved,
            line.moved.currency,
        )
        for line in found
    )
    return csv.response("ledger.csv", header, rows)


@router.get("/admin/ledger/{entry_id}")
def entry(request: Request, session: Db, entry_id: str) -> Response:
    """One entry with all its transfers, and its money's way in both directions."""
    shown = journal.entry(session, ids.parse(journal.ENTRY, entry_id))
    return page(request, "insights/ledger_entry.html", entry=shown.entry, origin=shown.origin)


@router.get("/admin/checks")
def checks(request: Request, session: Db) -> Response:
    """The proof of the books, made now."""
    problems = [*ledger_check.problems(session), *payouts_check.problems(session)]
    return page(
        request,
        "insights/checks.html",
        problems=problems,
        made_at=clock.now(),
        totals=journal.totals(session),
    )
