"""What the smaller tables of the console show, as files: a partner's things, jobs, switches."""

from fastapi import APIRouter, Response

from flowlink.insights import (
    earnings,
    journal,
    offers as shown,
    people,
    quarantine,
    queue,
    records,
    statement,
)
from flowlink.kernel import clock, ids, jobs
from flowlink.partners import ids as partner_ids, queries as partners
from flowlink.partners.ids import PartnerId
from flowlink.payouts import queries as payouts
from flowlink.tracking import offers
from flowlink.tracking.ids import LINK, REPORT
from flowlink.web import csv
from flowlink.web.lists import CSV_SIZE
from flowlink.web.sessions import Db

router = APIRouter()

PARTNER = "/admin/partners/{partner_id}"


@router.get(f"{PARTNER}/sales.csv")
def sales_csv(session: Db, partner_id: str) -> Response:
    """All conversions of a partner, of which their page shows the latest."""
    key = _partner(session, partner_id)
    found = earnings.sales(session, partner_id=key, limit=CSV_SIZE)
    rows = (statement.sale_cells(sale) for sale in found)
    return csv.response("sales.csv", statement.SALE_HEADER, rows)


@router.get(f"{PARTNER}/withdrawals.csv")
def withdrawals_csv(session: Db, partner_id: str) -> Response:
    key = _partner(session, partner_id)
    rows = (
        statement.withdrawal_cells(line)
        for line in payouts.withdrawals(session, key, limit=CSV_SIZE)
    )
    return csv.response("withdrawals.csv", statement.WITHDRAWAL_HEADER, rows)


@router.get(f"{PARTNER}/links.csv")
def links_csv(session: Db, partner_id: str) -> Response:
    key = _partner(session, partner_id)
    rows = (
        (ids.public(LINK, link.id), link.code, link.created_at, link.disabled_at, link.own_content)
        for link in people.links(session, key, limit=CSV_SIZE)
    )
    header = ["link", "code", "created_at", "disabled_at", "own_content"]
    return csv.response("links.csv", header, rows)


@router.get(f"{PARTNER}/holds.csv")
def holds_csv(session: Db, partner_id: str) -> Response:
    """Every hold there ever was: why it was placed, and who lifted it with which reason."""
    key = _partner(session, partner_id)
    rows = (
        (
            str(hold.flag),
            hold.reason,
            records.as_text(hold.evidence),
            hold.placed_by,
            hold.created_at,
            hold.deadline,
            hold.lifted_at,
            hold.lifted_by,
            hold.lifted_reason,
        )
        for hold in people.holds(session, key, limit=CSV_SIZE)
    )
    header = ["flag", "reason", "evidence", "placed_by", "created_at", "deadline"]
    return csv.response("holds.csv", [*header, "lifted_at", "lifted_by", "lifted_reason"], rows)


@router.get("/admin/offers/{name}/budget.csv")
def budget_csv(session: Db, name: str) -> Response:
    """Every payment into, and out of, what an offer's clicks are paid from."""
    offer = offers.named(session, name)
    rows = (
        (ids.public(journal.ENTRY, line.entry_id), line.at, str(line.code), line.amount)
        for line in shown.funded(session, offer, limit=CSV_SIZE)
    )
    return csv.response(f"budget-{offer.name}.csv", ["entry", "at", "what", "amount_eur"], rows)


@router.get("/admin/checks.csv")
def totals_csv(session: Db) -> Response:
    """Where all the money is."""
    rows = (
        (each.kind, each.balance.currency, each.accounts, each.balance)
        for each in journal.totals(session)
    )
    return csv.response("totals.csv", ["account", "currency", "accounts", "balance"], rows)


@router.get("/admin/reports.csv")
def reports_csv(session: Db) -> Response:
    header = ["report", "file", "network", "state", "rows", "done", "made_by", "taken_in_at"]
    rows = (
        (
            ids.public(REPORT, line.report.id),
            line.report.filename,
            line.network,
            str(line.report.state),
            line.report.rows,
            line.done,
            line.report.made_by,
            line.report.created_at,
        )
        for line in quarantine.reports(session, limit=CSV_SIZE)
    )
    return csv.response("reports.csv", header, rows)


@router.get("/admin/jobs/failed.csv")
def failed_csv(session: Db) -> Response:
    """Tasks that wait for somebody to retry them."""
    rows = (
        (task.task_id, task.name, task.failed_at, task.attempts, records.as_text(task.args))
        for task in queue.failed(session, limit=CSV_SIZE)
    )
    return csv.response("failed-tasks.csv", ["task", "name", "failed_at", "attempts", "with"], rows)


@router.get("/admin/jobs/events.csv")
def listeners_csv() -> Response:
    """What events start."""
    rows = ((one.event, one.name, one.about) for one in queue.listeners())
    return csv.response("listeners.csv", ["event", "starts", "about"], rows)


@router.get("/admin/jobs/{name}/runs.csv")
def runs_csv(session: Db, name: str) -> Response:
    """:raises jobs.UnknownJob:"""
    if name not in jobs.JOBS:
        raise jobs.UnknownJob(name=name)
    rows = (
        (run.started_at, run.ended_at, run.as_of, run.ok, run.result)
        for run in queue.runs(session, name=name, limit=CSV_SIZE)
    )
    header = ["started_at", "ended_at", "for_the_time", "ok", "result"]
    return csv.response(f"runs-{name}.csv", header, rows)


@router.get("/admin/settings/flags.csv")
def flags_csv(session: Db) -> Response:
    """Every change of a switch, the newest first."""
    rows = (
        (row.subject, row.details.get("on"), row.at, row.details.get("reason"), row.actor, row.ip)
        for row in records.flag_history(session, limit=CSV_SIZE)
    )
    return csv.response("flags.csv", ["flag", "on", "at", "reason", "actor", "from"], rows)


@router.get("/admin/settings/now.csv")
def now_csv(session: Db) -> Response:
    """Switches and business numbers as they stand."""
    switches = [(str(one.flag), one.on, "", None, None) for one in records.flag_states(session)]
    numbers = [
        (
            one.name,
            one.value,
            one.default,
            one.coming.value if one.coming else None,
            one.coming.effective_at if one.coming else None,
        )
        for one in records.policy_states(session, clock.now())
    ]
    header = ["name", "in_force", "default", "next", "next_from"]
    return csv.response("settings-now.csv", header, [*switches, *numbers])


def _partner(session: Db, partner_id: str) -> PartnerId:
    """:raises UnknownPartner:"""
    key = partner_ids.parse(partner_id)
    partners.get(session, key)
    return key
