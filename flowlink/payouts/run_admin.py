"""Payout runs, as the operator proposes, reads, releases and follows them."""

from typing import Annotated

from fastapi import APIRouter, Depends, Form, Query, Request, Response
from fastapi.responses import JSONResponse
from pydantic import BaseModel

from flowlink.identity.deps import (
    FreshOperator,
    MaybeViewer,
    Operator,
    require_operator,
    signed_in_lately,
)
from flowlink.kernel import clock
from flowlink.kernel.money import Money
from flowlink.partners import ids as partner_ids
from flowlink.partners.deps import wants_json
from flowlink.payouts import ids, paypal_runs, run_files, run_queries, runs
from flowlink.payouts.models import Rail
from flowlink.payouts.run_models import Run
from flowlink.payouts.run_queries import ItemLine, RunLine
from flowlink.web import csv, lists
from flowlink.web.amounts import money_json
from flowlink.web.forms import Line
from flowlink.web.lists import CSV_SIZE, SIZE, Cursor, Format
from flowlink.web.render import page, see_other
from flowlink.web.sessions import Db

RUNS = "/ops/payouts/runs"
FILTERS = ("", "unknown", "sent", "settled", "failed", "returned", "trouble")

router = APIRouter(prefix=RUNS, dependencies=[Depends(require_operator)], include_in_schema=False)


class ProposeForm(BaseModel):
    rail: Rail


class ReleaseForm(BaseModel):
    sha256: Line = ""


@router.get("")
def show_runs(
    request: Request, session: Db, cursor: Cursor = None, format_: Format = ""
) -> Response:
    """Every run, the newest first, and what waits for the next one."""
    if format_ == "csv":
        every = run_queries.all_runs(session, limit=CSV_SIZE)
        return csv.response("payout-runs.csv", _RUN_HEADER, (_run_cells(line) for line in every))
    found = run_queries.all_runs(session, before=lists.before(cursor), limit=SIZE + 1)
    shown = lists.cut(found, key=lambda line: line.run.id)
    if wants_json(request):
        return JSONResponse({"runs": [_json(line) for line in shown.items], "next": shown.next})
    return page(
        request,
        "payouts/runs.html",
        runs=shown,
        to_pay=run_queries.to_pay(session),
        missing={rail: runs.missing_settings(rail) for rail in Rail},
        quiet=run_queries.quiet(session, now=clock.now()),
    )


@router.post("")
def propose(session: Db, operator: Operator, form: Annotated[ProposeForm, Form()]) -> Response:
    run = runs.propose(
        session,
        rail=form.rail,
        actor=operator.label,
        person=operator.user_id,
        now=clock.now(),
        ip=operator.ip,
    )
    return see_other(_path(run))


@router.get("/{run_id}")
def show_run(
    request: Request,
    session: Db,
    viewer: MaybeViewer,
    run_id: str,
    state: Annotated[str, Query(max_length=20)] = "",
    cursor: Cursor = None,
    format_: Format = "",
) -> Response:
    """One run: its totals, its fingerprint, and what became of each item."""
    key = runs.parse(run_id)
    line = run_queries.one_run(session, key)
    if format_ == "csv":
        every = run_queries.items(session, key, state=state, limit=CSV_SIZE)
        return csv.response(f"{run_id}.csv", _ITEM_HEADER, (_item_cells(item) for item in every))
    found = run_queries.items(session, key, state=state, after=lists.before(cursor), limit=SIZE + 1)
    shown = lists.cut(found, key=lambda item: item.withdrawal_id)
    if wants_json(request):
        about = _json(line) | {"items": [_item_json(item) for item in shown.items]}
        return JSONResponse(about | {"next": shown.next})
    return page(
        request,
        "payouts/run.html",
        line=line,
        run=line.run,
        items=shown,
        state=state,
        filters=FILTERS,
        unnamed=run_queries.unnamed(session, key) if line.run.rail == Rail.BANK else 0,
        fresh=signed_in_lately(viewer, clock.now()),
    )


@router.get("/{run_id}/file")
def download(session: Db, run_id: str) -> Response:
    """The run's file: for the bank once it is released, to look at before."""
    run = run_queries.one_run(session, runs.parse(run_id)).run
    file = run_files.released(session, run)
    headers = {"content-disposition": f'attachment; filename="{file.name}"'}
    return Response(file.body, media_type=file.media_type, headers=headers)


@router.post("/{run_id}/release")
def release(
    session: Db, operator: FreshOperator, run_id: str, form: Annotated[ReleaseForm, Form()]
) -> Response:
    run = runs.release(
        session,
        run_id=runs.parse(run_id),
        sha256=form.sha256,
        actor=operator.label,
        person=operator.user_id,
        now=clock.now(),
        ip=operator.ip,
    )
    return see_other(_path(run))


@router.post("/{run_id}/cancel")
def cancel(session: Db, operator: Operator, run_id: str) -> Response:
    run = runs.cancel(
        session,
        run_id=runs.parse(run_id),
        actor=operator.label,
        now=clock.now(),
        ip=operator.ip,
    )
    return see_other(_path(run))


@router.post("/{run_id}/ask")
def ask_again(session: Db, operator: Operator, run_id: str) -> Response:
    """Ask PayPal about a run at once. Asking pays nothing twice."""
    key = runs.parse(run_id)
    paypal_runs.try_again(
        session, run_id=key, actor=operator.label, now=clock.now(), ip=operator.ip
    )
    return see_other(f"{RUNS}/{run_id}")


_RUN_HEADER = ["run", "rail", "state", "items", "ended", "settled", "total", "currency", "message",
               "sha256", "made_by", "made_at", "released_by", "released_at", "fees"]  # fmt: skip
_ITEM_HEADER = ["withdrawal", "end_to_end_id", "partner", "email", "amount", "currency", "to",
                "holder", "state", "answer", "answered_at", "reason", "trouble", "fee"]  # fmt: skip


def _path(run: Run) -> str:
    return f"{RUNS}/{runs.public(run.id)}"


def _run_cells(line: RunLine) -> tuple[object, ...]:
    run = line.run
    return (
        runs.public(run.id),
        str(run.rail),
        line.progress,
        run.item_count,
        line.ended,
        line.settled,
        run.total,
        run.currency,
        run.message_id,
        run.sha256,
        run.made_by,
        run.made_at,
        run.released_by,
        run.released_at,
        line.fees,
    )


def _item_cells(item: ItemLine) -> tuple[object, ...]:
    return (
        ids.public(item.withdrawal_id),
        item.end_to_end_id,
        partner_ids.public(item.partner_id),
        item.email,
        item.amount,
        item.amount.currency,
        item.destination,
        item.holder,
        item.shown,
        item.answer,
        item.answered_at,
        item.reason,
        item.contradiction or item.trouble,
        item.fee,
    )


def _json(line: RunLine) -> dict[str, object]:
    run = line.run
    return {
        "id": runs.public(run.id),
        "rail": run.rail,
        "state": line.progress,
        "items_total": run.item_count,
        "items_ended": line.ended,
        "total": money_json(Money.from_cents(run.total_minor, run.currency)),
        "message_id": run.message_id,
        "sha256": run.sha256,
        "execute_on": run.execute_on.isoformat(),
        "made_by": run.made_by,
        "made_at": run.made_at.isoformat(),
        "released_by": run.released_by,
        "trouble": run.trouble,
        "fees": money_json(line.fees),
    }


def _item_json(item: ItemLine) -> dict[str, object]:
    return {
        "withdrawal_id": ids.public(item.withdrawal_id),
        "end_to_end_id": item.end_to_end_id,
        "amount": money_json(item.amount),
        "state": item.shown,
        "answer": item.answer,
        "reason": item.reason,
        "fee": money_json(item.fee),
    }
