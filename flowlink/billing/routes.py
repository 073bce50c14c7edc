"""A team's add-ons and bills, as its members see them."""

from typing import Annotated

from fastapi import APIRouter, Form, Query, Request, Response
from pydantic import BaseModel, Field

from flowlink.billing import (
    charges,
    ids,
    invoices,
    plans,
    pricing,
    purchases,
    quantities,
    queries,
    screens,
    standing,
)
from flowlink.kernel import clock, db, ids as public_ids, settings
from flowlink.papers import parties, queries as papers
from flowlink.papers.parties import Party
from flowlink.papers.service import UnknownPaper
from flowlink.teams.deps import AdminOf, MemberOf
from flowlink.web import csv, lists, pdf
from flowlink.web.forms import CheckboxField, Line
from flowlink.web.lists import CSV_SIZE, SIZE, Cursor
from flowlink.web.render import page, see_other
from flowlink.web.sessions import Db

TEAM = "/teams/{team_slug}"

router = APIRouter(include_in_schema=False)

Quantity = Annotated[int, Field(ge=-1_000_000, le=1_000_000)]


class OrderForm(BaseModel):
    kind: Line = ""
    quantity: Quantity = 1


class PlanForm(BaseModel):
    plan: Line = "pro"


class QuantityForm(BaseModel):
    quantity: Quantity = 1


class RenewalForm(BaseModel):
    on: CheckboxField = False


class DetailsForm(BaseModel):
    name: Line = ""
    street: Line = ""
    postcode: Line = ""
    city: Line = ""
    country: Line = ""
    business: CheckboxField = False
    vat_number: Line = ""


@router.get(f"{TEAM}/addons")
def show_addons(request: Request, session: Db, access: MemberOf, cursor: Cursor = None) -> Response:
    """What runs, what can be bought, and the limits that both come to."""
    screen = screens.addons(session, access.team_id, now=clock.now())
    before = lists.before(cursor)
    past = [one for one in screen.past if before is None or one.resource.id < before]
    return page(
        request,
        "billing/addons.html",
        access=access,
        screen=screen,
        past=lists.cut(past[: SIZE + 1], key=lambda one: one.resource.id),
    )


@router.get(f"{TEAM}/addons.csv")
def addons_csv(session: Db, access: MemberOf) -> Response:
    """Every add-on, whatever became of it."""
    screen = screens.addons(session, access.team_id, now=clock.now())
    rows = map(screens.addon_cells, (*screen.held, *screen.past))
    return csv.response(f"addons-{access.team.slug}.csv", screens.ADDONS_HEADER, rows)


@router.get(f"{TEAM}/addons/order")
def show_order(
    request: Request,
    session: Db,
    access: AdminOf,
    kind: Annotated[str, Query(max_length=40)] = "",
    quantity: Annotated[int, Query(ge=-1_000_000, le=1_000_000)] = 1,
) -> Response:
    """What it costs and for how long, before anything is bought."""
    now, lang = clock.now(), request.state.lang
    quote = screens.quote_addon(
        session, access.team_id, kind=kind, quantity=quantity, lang=lang, now=now
    )
    action = f"/teams/{access.team.slug}/addons"
    hidden = [("kind", kind), ("quantity", quantity)]
    return _quote(request, access, quote, action, hidden)


@router.post(f"{TEAM}/addons")
def buy(request: Request, access: AdminOf, form: Annotated[OrderForm, Form()]) -> Response:
    """Order, and go and pay."""
    now = clock.now()
    with db.write() as session:
        bought = purchases.buy_addon(
            session,
            team=access.team,
            kind=form.kind,
            quantity=form.quantity,
            actor=access.actor,
            now=now,
        )
    return _pay(request, access, ids.PaymentId(bought.payment.id))


@router.get(f"{TEAM}/addons/{{resource_id}}/quantity")
def show_quantity(
    request: Request,
    session: Db,
    access: AdminOf,
    resource_id: str,
    quantity: Annotated[int, Query(ge=-1_000_000, le=1_000_000)] = 1,
) -> Response:
    """What another quantity costs now and from the next period on."""
    key = ids.parse_resource(resource_id)
    quote = screens.quote_quantity(
        session,
        access.team_id,
        resource_id=key,
        quantity=quantity,
        lang=request.state.lang,
        now=clock.now(),
    )
    action = f"/teams/{access.team.slug}/addons/{resource_id}/quantity"
    return _quote(request, access, quote, action, [("quantity", quantity)])


@router.post(f"{TEAM}/addons/{{resource_id}}/quantity")
def change_quantity(
    request: Request, access: AdminOf, resource_id: str, form: Annotated[QuantityForm, Form()]
) -> Response:
    with db.write() as session:
        bought = quantities.change(
            session,
            team=access.team,
            resource_id=ids.parse_resource(resource_id),
            quantity=form.quantity,
            actor=access.actor,
            now=clock.now(),
        )
    if bought is None:
        return see_other(f"/teams/{access.team.slug}/addons")
    return _pay(request, access, ids.PaymentId(bought.payment.id))


@router.post(f"{TEAM}/addons/{{resource_id}}/cancel")
def cancel(session: Db, access: AdminOf, resource_id: str) -> Response:
    """Of an add-on or the plan."""
    found = purchases.cancel(
        session,
        team=access.team,
        resource_id=ids.parse_resource(resource_id),
        actor=access.actor,
        now=clock.now(),
    )
    return see_other(_page_of(access, found.kind))


@router.post(f"{TEAM}/addons/{{resource_id}}/renewal")
def set_renewal(
    session: Db, access: AdminOf, resource_id: str, form: Annotated[RenewalForm, Form()]
) -> Response:
    found = purchases.set_renewal(
        session,
        team=access.team,
        resource_id=ids.parse_resource(resource_id),
        on=form.on,
        actor=access.actor,
        now=clock.now(),
    )
    return see_other(_page_of(access, found.kind))


@router.get(f"{TEAM}/billing")
def show_billing(
    request: Request, session: Db, access: MemberOf, cursor: Cursor = None
) -> Response:
    """The plan, what will be charged when, and everything that was paid."""
    now = clock.now()
    found = queries.payments(
        session, team_id=access.team_id, before=lists.before(cursor), limit=SIZE + 1
    )
    shown = lists.cut(found, key=lambda line: line.payment.id)
    return page(
        request,
        "billing/billing.html",
        access=access,
        specs=pricing.current(),
        plan=screens.plan(session, access.team_id, now=now),
        ordered=screens.ordered_plan(session, access.team_id, now=now),
        downgrade=screens.downgrade(session, access.team_id, now=now),
        payments=shown,
        papers=screens.papers_of(session, [line.payment.id for line in shown.items]),
        charges=queries.next_charges(session, access.team_id, now),
        details=queries.details(session, access.team_id),
        countries=list(parties.countries(request.state.lang).items()),
        taker=standing.chosen(),
    )


@router.get(f"{TEAM}/billing.csv")
def payments_csv(session: Db, access: MemberOf) -> Response:
    found = queries.payments(session, team_id=access.team_id, limit=CSV_SIZE)
    return csv.response(
        f"payments-{access.team.slug}.csv", screens.HEADER, map(screens.cells, found)
    )


@router.get(f"{TEAM}/billing/plan")
def show_plan(
    request: Request,
    session: Db,
    access: AdminOf,
    plan: Annotated[str, Query(max_length=40)] = "pro",
) -> Response:
    """What the plan costs, before it is ordered."""
    quote = screens.quote_plan(
        session, access.team_id, name=plan, lang=request.state.lang, now=clock.now()
    )
    action = f"/teams/{access.team.slug}/billing/plan"
    return _quote(request, access, quote, action, [("plan", plan)])


@router.post(f"{TEAM}/billing/plan")
def buy_plan(request: Request, access: AdminOf, form: Annotated[PlanForm, Form()]) -> Response:
    with db.write() as session:
        bought = plans.order(
            session, team=access.team, plan=form.plan, actor=access.actor, now=clock.now()
        )
    if bought is None:
        return see_other(f"/teams/{access.team.slug}/billing")
    return _pay(request, access, ids.PaymentId(bought.payment.id))


@router.post(f"{TEAM}/billing/pay/{{payment_id}}")
def pay(request: Request, access: AdminOf, payment_id: str) -> Response:
    """Go to the provider's page with a payment that waits, or failed."""
    return _pay(request, access, ids.parse_payment(payment_id))


@router.post(f"{TEAM}/billing/details")
def keep_details(session: Db, access: AdminOf, form: Annotated[DetailsForm, Form()]) -> Response:
    """Who we are on our invoices from now on."""
    purchases.keep_details(
        session,
        team_id=access.team_id,
        party=Party(**form.model_dump()),
        actor=access.actor,
        now=clock.now(),
    )
    return see_other(f"/teams/{access.team.slug}/billing")


@router.get(f"{TEAM}/billing/papers/{{paper_id}}.pdf")
def paper_pdf(session: Db, access: MemberOf, paper_id: str) -> Response:
    """An invoice or a credit note as it was issued."""
    paper = papers.get(session, public_ids.parse(invoices.PREFIX, paper_id))
    if paper is None or paper.owner != access.team_id:
        raise UnknownPaper
    return pdf.response(f"{paper.number}.pdf", paper.pdf)


def _pay(request: Request, access: MemberOf, payment_id: ids.PaymentId) -> Response:
    """To the page to pay on. What we show forbids its forms to lead to another site, redirects
    included, so a page of our own goes there.
    """
    url = charges.checkout(team_id=access.team_id, payment_id=payment_id, now=clock.now())
    if url.startswith(f"{settings.current().url}/"):
        return see_other(url)
    answer = page(request, "billing/leave.html", access=access, url=url)
    answer.headers["refresh"] = f"0; url={url}"
    return answer


def _quote(
    request: Request,
    access: MemberOf,
    quote: screens.Quote,
    action: str,
    hidden: list[tuple[str, object]],
) -> Response:
    return page(
        request,
        "billing/quote.html",
        access=access,
        quote=quote,
        action=action,
        hidden=hidden,
        taker=standing.chosen(),
    )


def _page_of(access: MemberOf, kind: str) -> str:
    return f"/teams/{access.team.slug}/{'billing' if kind == 'plan' else 'addons'}"
