"""Console pages about what is argued: missing conversions, and sales that buyers contest."""

from typing import Annotated

from fastapi import APIRouter, Form, Query, Request, Response
from pydantic import BaseModel

from flowlink.identity.deps import Operator
from flowlink.insights import case_facts
from flowlink.kernel import clock, ids
from flowlink.kernel.money import Money
from flowlink.partners import ids as partner_ids
from flowlink.partners.ids import PartnerId
from flowlink.payouts import cases, dispute_queries, disputes
from flowlink.payouts.case_models import CaseState, DisputeState
from flowlink.payouts.ids import CASE, DISPUTE
from flowlink.tracking.ids import CONVERSION
from flowlink.web import csv, lists
from flowlink.web.forms import Line, Paragraph
from flowlink.web.lists import CSV_SIZE, SIZE, Cursor, One
from flowlink.web.render import page, see_other
from flowlink.web.sessions import Db

router = APIRouter()

CASE_STATES = tuple(str(state) for state in CaseState)
DISPUTE_STATES = tuple(str(state) for state in DisputeState)
CaseFilter = Annotated[str, Query(pattern=f"^(|{'|'.join(CASE_STATES)})$")]
DisputeFilter = Annotated[str, Query(pattern=f"^(|{'|'.join(DISPUTE_STATES)})$")]


class AcceptForm(BaseModel):
    amount: Line
    answer: Paragraph = ""


class DeclineForm(BaseModel):
    answer: Paragraph = ""


class DisputeForm(BaseModel):
    """A sale by its public id, and the dispute's name at the network or bank."""

    conversion: Line
    reference: Line = ""


@router.get("/admin/cases")
def show_cases(
    request: Request, session: Db, state: CaseFilter = "open", cursor: Cursor = None
) -> Response:
    """What partners miss: the open cases with the longest wait first."""
    found = cases.queue(session, state=state, before=lists.before(cursor), limit=SIZE + 1)
    return page(
        request,
        "insights/cases.html",
        cases=lists.cut(found, key=lambda line: line.case.id),
        states=CASE_STATES,
        state=state,
        now=clock.now(),
    )


@router.get("/admin/cases.csv")
def cases_csv(session: Db, state: CaseFilter = "") -> Response:
    header = ["case", "partner", "email", "opened_at", "day", "claimed_eur", "order", "state"]
    header += ["granted_eur", "answer", "decided_by", "decided_at"]
    rows = (
        (
            ids.public(CASE, line.case.id),
            partner_ids.public(PartnerId(line.case.partner_id)),
            line.email,
            line.case.created_at,
            line.case.happened_on.isoformat(),
            line.case.claimed,
            line.case.order_reference,
            str(line.case.state),
            line.case.granted,
            line.case.answer,
            line.case.decided_by,
            line.case.decided_at,
        )
        for line in cases.queue(session, state=state, limit=CSV_SIZE)
    )
    return csv.response("cases.csv", header, rows)


@router.get("/admin/cases/{case_id}")
def show_case(request: Request, session: Db, case_id: str) -> Response:
    """One case with its evidence, and the two answers to it."""
    shown = cases.get(session, ids.parse(CASE, case_id))
    facts = case_facts.shown(shown.case.trail)
    return page(request, "insights/case.html", shown=shown, case=shown.case, facts=facts)


@router.post("/admin/cases/{case_id}/accept")
def accept_case(
    session: Db, actor: Operator, case_id: str, form: Annotated[AcceptForm, Form()]
) -> Response:
    """Post the adjustment and answer, once."""
    cases.accept(
        session,
        case_id=ids.parse(CASE, case_id),
        amount=Money.parse(form.amount),
        answer=form.answer,
        actor=actor.label,
        now=clock.now(),
        ip=actor.ip,
    )
    return see_other(f"/admin/cases/{case_id}")


@router.post("/admin/cases/{case_id}/decline")
def decline_case(
    session: Db, actor: Operator, case_id: str, form: Annotated[DeclineForm, Form()]
) -> Response:
    cases.decline(
        session,
        case_id=ids.parse(CASE, case_id),
        answer=form.answer,
        actor=actor.label,
        now=clock.now(),
        ip=actor.ip,
    )
    return see_other(f"/admin/cases/{case_id}")


@router.get("/admin/disputes")
def show_disputes(
    request: Request,
    session: Db,
    state: DisputeFilter = "",
    dispute: One = "",
    cursor: Cursor = None,
) -> Response:
    """Sales that buyers contest, newest first; or one of them."""
    only = ids.parse(DISPUTE, dispute) if dispute else None
    found = dispute_queries.lines(
        session, state=state, only=only, before=lists.before(cursor), limit=SIZE + 1
    )
    return page(
        request,
        "insights/disputes.html",
        disputes=lists.cut(found, key=lambda line: line.dispute.id),
        states=DISPUTE_STATES,
        state=state,
        only=dispute,
    )


@router.get("/admin/disputes.csv")
def disputes_csv(session: Db, state: DisputeFilter = "") -> Response:
    header = ["dispute", "conversion", "email", "reference", "state", "amount_eur", "held_eur"]
    header += ["opened_at", "opened_by", "decided_at", "decided_by"]
    rows = (
        (
            ids.public(DISPUTE, line.dispute.id),
            ids.public(CONVERSION, line.dispute.conversion_id),
            line.email,
            line.dispute.reference,
            str(line.dispute.state),
            line.dispute.amount,
            line.dispute.held,
            line.dispute.opened_at,
            line.dispute.opened_by,
            line.dispute.decided_at,
            line.dispute.decided_by,
        )
        for line in dispute_queries.lines(session, state=state, limit=CSV_SIZE)
    )
    return csv.response("disputes.csv", header, rows)


@router.post("/admin/disputes")
def open_dispute(session: Db, actor: Operator, form: Annotated[DisputeForm, Form()]) -> Response:
    disputes.open_dispute(
        session,
        conversion_id=ids.parse(CONVERSION, form.conversion),
        reference=form.reference,
        actor=actor.label,
        now=clock.now(),
        ip=actor.ip,
    )
    return see_other("/admin/disputes")


@router.post("/admin/disputes/{dispute_id}/won")
def win_dispute(session: Db, actor: Operator, dispute_id: str) -> Response:
    disputes.win(
        session,
        dispute_id=ids.parse(DISPUTE, dispute_id),
        actor=actor.label,
        now=clock.now(),
        ip=actor.ip,
    )
    return see_other("/admin/disputes")


@router.post("/admin/disputes/{dispute_id}/lost")
def lose_dispute(session: Db, actor: Operator, dispute_id: str) -> Response:
    disputes.lose(
        session,
        dispute_id=ids.parse(DISPUTE, dispute_id),
        actor=actor.label,
        now=clock.now(),
        ip=actor.ip,
    )
    return see_other("/admin/disputes")
