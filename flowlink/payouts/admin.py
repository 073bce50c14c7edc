"""Withdrawals, as the operator approves, pays and looks them up."""

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
from flowlink.partners import ids as partner_ids
from flowlink.partners.deps import wants_json
from flowlink.payouts import by_hand, debts, ids, queries, withdrawals
from flowlink.payouts.models import OPEN_STATES, State
from flowlink.payouts.queries import WithdrawalLine
from flowlink.web import csv, lists
from flowlink.web.amounts import money_json
from flowlink.web.forms import Line, Paragraph
from flowlink.web.lists import CSV_SIZE, SIZE, Cursor, Format, One
from flowlink.web.render import page, see_other
from flowlink.web.sessions import Db

PENDING = "/ops/payouts/pending"
JOURNAL = "/admin/payouts"

StateFilter = Annotated[str, Query(max_length=20)]

router = APIRouter(dependencies=[Depends(require_operator)], include_in_schema=False)


class ReasonForm(BaseModel):
    reason: Paragraph = ""


class ReferenceForm(BaseModel):
    reference: Line = ""


@router.get(PENDING)
def show_pending(
    request: Request,
    session: Db,
    viewer: MaybeViewer,
    state: StateFilter = "",
    withdrawal: One = "",
    cursor: Cursor = None,
    format_: Format = "",
) -> Response:
    """What waits for somebody to approve or pay it, the longest wait first; or one of them."""
    if format_ == "csv":
        rows = (_cells(line) for line in queries.pending(session, state=state, limit=CSV_SIZE))
        return csv.response("withdrawals.csv", _HEADER, rows)
    only = ids.parse(withdrawal) if withdrawal else None
    found = queries.pending(
        session, state=state, only=only, after=lists.before(cursor), limit=SIZE + 1
    )
    shown = lists.cut(found, key=lambda line: line.id)
    if wants_json(request):
        lines = [_json(line) for line in shown.items]
        return JSONResponse({"withdrawals": lines, "next": shown.next})
    waiting = queries.waiting(session)
    return page(
        request,
        "payouts/pending.html",
        withdrawals=shown,
        waiting=waiting,
        state=state,
        states=OPEN_STATES,
        only=withdrawal,
        fresh=viewer is None or signed_in_lately(viewer, clock.now()),
    )


@router.get(JOURNAL)
def show_journal(
    request: Request,
    session: Db,
    state: StateFilter = "",
    cursor: Cursor = None,
    format_: Format = "",
) -> Response:
    """Every withdrawal and what became of it, the newest first."""
    if format_ == "csv":
        rows = (_cells(line) for line in queries.journal(session, state=state, limit=CSV_SIZE))
        return csv.response("payouts.csv", _HEADER, rows)
    found = queries.journal(session, state=state, before=lists.before(cursor), limit=SIZE + 1)
    shown = lists.cut(found, key=lambda line: line.id)
    if wants_json(request):
        lines = [_json(line) for line in shown.items]
        return JSONResponse({"payouts": lines, "next": shown.next})
    return page(request, "payouts/journal.html", withdrawals=shown, state=state, states=State)


@router.post("/ops/payouts/{withdrawal_id}/approve")
def approve(session: Db, operator: FreshOperator, withdrawal_id: str) -> Response:
    """What needs a person needs one who signed in lately (step-up)."""
    withdrawals.approve(
        session,
        withdrawal_id=ids.parse(withdrawal_id),
        actor=operator.label,
        person=operator.user_id,
        now=clock.now(),
        ip=operator.ip,
    )
    return see_other(PENDING)


@router.post("/ops/payouts/{withdrawal_id}/allow")
def allow(session: Db, operator: FreshOperator, withdrawal_id: str) -> Response:
    """Let it be paid though its partner owes us."""
    debts.allow(
        session,
        withdrawal_id=ids.parse(withdrawal_id),
        actor=operator.label,
        now=clock.now(),
        ip=operator.ip,
    )
    return see_other(PENDING)


@router.post("/ops/payouts/{withdrawal_id}/reject")
def reject(
    session: Db, operator: Operator, withdrawal_id: str, form: Annotated[ReasonForm, Form()]
) -> Response:
    withdrawals.reject(
        session,
        withdrawal_id=ids.parse(withdrawal_id),
        reason=form.reason,
        actor=operator.label,
        now=clock.now(),
        ip=operator.ip,
    )
    return see_other(PENDING)


@router.post("/ops/payouts/{withdrawal_id}/fail")
def fail(
    session: Db, operator: Operator, withdrawal_id: str, form: Annotated[ReasonForm, Form()]
) -> Response:
    by_hand.fail(
        session,
        withdrawal_id=ids.parse(withdrawal_id),
        reason=form.reason,
        actor=operator.label,
        person=operator.user_id,
        now=clock.now(),
        ip=operator.ip,
    )
    return see_other(PENDING)


@router.post("/ops/payouts/{withdrawal_id}/return")
def give_back(
    session: Db, operator: Operator, withdrawal_id: str, form: Annotated[ReasonForm, Form()]
) -> Response:
    by_hand.give_back(
        session,
        withdrawal_id=ids.parse(withdrawal_id),
        reason=form.reason,
        actor=operator.label,
        person=operator.user_id,
        now=clock.now(),
        ip=operator.ip,
    )
    return see_other(JOURNAL)


@router.post("/admin/pay")
def pay(
    session: Db,
    operator: Operator,
    form: Annotated[ReferenceForm, Form()],
    withdrawal_id: Annotated[str, Query(alias="id", max_length=64)],
) -> Response:
    """Settle by hand what was paid by hand."""
    by_hand.pay(
        session,
        withdrawal_id=ids.parse(withdrawal_id),
        reference=form.reference,
        actor=operator.label,
        person=operator.user_id,
        now=clock.now(),
        ip=operator.ip,
    )
    return see_other(JOURNAL)


@router.post("/ops/payouts/{withdrawal_id}/details")
def reveal(request: Request, session: Db, operator: Operator, withdrawal_id: str) -> Response:
    """Where to send the money, in clear. A POST: that somebody looked is written down."""
    key = ids.parse(withdrawal_id)
    details = withdrawals.reveal(
        session, withdrawal_id=key, actor=operator.label, now=clock.now(), ip=operator.ip
    )
    line = queries.withdrawal(session, key)
    return page(request, "payouts/details.html", withdrawal=line, details=details)


_HEADER = [
    "withdrawal",
    "partner",
    "email",
    "at",
    "amount",
    "currency",
    "method",
    "to",
    "state",
    "approved_by",
    "reference",
    "reason",
    "debt",
]


def _cells(line: WithdrawalLine) -> tuple[object, ...]:
    return (
        ids.public(line.id),
        partner_ids.public(line.partner_id),
        line.email,
        line.created_at,
        line.amount,
        line.amount.currency,
        str(line.rail),
        line.destination,
        str(line.state),
        line.approved_by,
        line.reference,
        line.reason,
        line.debt,
    )


def _json(line: WithdrawalLine) -> dict[str, object]:
    return {
        "id": ids.public(line.id),
        "partner_id": partner_ids.public(line.partner_id),
        "amount": money_json(line.amount),
        "method": line.rail,
        "destination": line.destination,
        "state": line.state,
        "needs_person": line.needs_person,
        "approved_by": line.approved_by,
        "reference": line.reference,
        "reason": line.reason,
        "debt": money_json(line.debt),
        "created_at": line.created_at.isoformat(),
        "updated_at": line.updated_at.isoformat(),
    }
