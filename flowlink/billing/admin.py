"""Teams and their payments, as the operator sees them."""

from typing import Annotated

from fastapi import APIRouter, Depends, Form, Request, Response
from pydantic import BaseModel

from flowlink.billing import ids, inbox, pricing, purchases, queries, refunds, standing
from flowlink.billing.screens import HEADER, cells
from flowlink.identity.deps import Operator, require_operator
from flowlink.kernel import clock
from flowlink.teams import queries as teams
from flowlink.web import csv, lists
from flowlink.web.forms import Line, MoneyField, Paragraph
from flowlink.web.lists import CSV_SIZE, SIZE, Cursor, Format, Search
from flowlink.web.render import page, see_other
from flowlink.web.sessions import Db

router = APIRouter(dependencies=[Depends(require_operator)], include_in_schema=False)


class PlanForm(BaseModel):
    plan: Line = ""


class RefundForm(BaseModel):
    amount: MoneyField
    reason: Paragraph = ""


@router.get("/admin/teams")
def show_teams(
    request: Request, session: Db, q: Search = "", cursor: Cursor = None, format_: Format = ""
) -> Response:
    """Every team, its owner and its plan; the newest first."""
    is_csv = format_ == "csv"
    found = teams.every(
        session,
        search=q,
        before=None if is_csv else lists.before(cursor),
        limit=CSV_SIZE if is_csv else SIZE + 1,
    )
    plans = queries.plans_of(session, [team.id for team, _ in found])
    if is_csv:
        rows = (
            (
                team.slug,
                team.name,
                email,
                plans[team.id].plan if team.id in plans else "free",
                team.created_at,
                team.closes_at,
            )
            for team, email in found
        )
        header = ("slug", "name", "owner", "plan", "created_at", "closes_at")
        return csv.response("teams.csv", header, rows)
    shown = lists.cut(found, key=lambda row: row[0].id)
    return page(
        request,
        "billing/all_teams.html",
        teams=shown,
        plans=plans,
        search=q,
        choices=[
            (name, plan.name.in_(request.state.lang))
            for name, plan in pricing.current().plans.items()
        ],
    )


@router.post("/admin/teams/{slug}/plan")
def give_plan(
    session: Db, operator: Operator, slug: str, form: Annotated[PlanForm, Form()]
) -> Response:
    """Without charge, from now on and without end."""
    purchases.give_plan(
        session,
        team=teams.by_slug(session, slug),
        plan=form.plan,
        actor=operator.label,
        now=clock.now(),
        ip=operator.ip,
    )
    return see_other("/admin/teams")


@router.get("/admin/payments")
def show_payments(
    request: Request, session: Db, cursor: Cursor = None, format_: Format = ""
) -> Response:
    """Every payment of every team, the newest first, and what providers told last."""
    if format_ == "csv":
        every = queries.payments(session, limit=CSV_SIZE)
        rows = ((line.team.slug, *cells(line)) for line in every)
        return csv.response("payments.csv", ("team", *HEADER), rows)
    found = queries.payments(session, before=lists.before(cursor), limit=SIZE + 1)
    events = [one for name in inbox.PROVIDERS for one in queries.events(session, name, limit=20)]
    return page(
        request,
        "billing/all_payments.html",
        payments=lists.cut(found, key=lambda line: line.payment.id),
        events=events,
        taker=standing.read(session),
    )


@router.get("/admin/payments/events.csv")
def events_csv(session: Db) -> Response:
    """What providers told, and what became of it."""
    rows = (
        (
            one.provider,
            one.event_id,
            one.kind,
            one.received_at,
            one.copies,
            one.handled_at,
            one.outcome,
            one.trouble,
        )
        for name in inbox.PROVIDERS
        for one in queries.events(session, name, limit=CSV_SIZE)
    )
    header = (
        "provider",
        "event",
        "kind",
        "received_at",
        "copies",
        "handled_at",
        "outcome",
        "trouble",
    )
    return csv.response("provider-events.csv", header, rows)


@router.post("/admin/payments/{payment_id}/refund")
def refund(
    session: Db, operator: Operator, payment_id: str, form: Annotated[RefundForm, Form()]
) -> Response:
    """Give back a part or all; the provider is asked within a second."""
    refunds.ask(
        session,
        payment_id=ids.parse_payment(payment_id),
        amount=form.amount,
        reason=form.reason,
        actor=operator.label,
        now=clock.now(),
        ip=operator.ip,
    )
    return see_other("/admin/payments")
