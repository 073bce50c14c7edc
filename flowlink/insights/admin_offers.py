"""Console pages about offers: their terms and versions, their money, and what others would cost."""

import secrets
from dataclasses import replace
from typing import Annotated, Any

from fastapi import APIRouter, Form, Query, Request, Response
from pydantic import BaseModel

from flowlink.identity.deps import Operator
from flowlink.insights import inbox, offers as shown, simulator, statement
from flowlink.insights.simulator import Period, Simulation
from flowlink.kernel import clock, ids
from flowlink.kernel.money import Money
from flowlink.partners import ids as partner_ids
from flowlink.partners.ids import PartnerId
from flowlink.payouts.deps import CurrentPolicy
from flowlink.payouts.ids import ACCRUAL
from flowlink.tracking import budgets, networks, offers, payable
from flowlink.tracking.ids import OFFER, OfferId
from flowlink.tracking.models import Mode
from flowlink.tracking.offers import OfferIn, Terms
from flowlink.web import csv, lists
from flowlink.web.forms import CheckboxField, Line, TypedMoment
from flowlink.web.lists import CSV_SIZE, SIZE, Cursor
from flowlink.web.render import page, see_other
from flowlink.web.sessions import Db

router = APIRouter()

Destination = Annotated[str, Form(max_length=2000)]


class TermsForm(BaseModel):
    """Terms as an operator types them; empty fields fall back to the policy, or to no limit."""

    mode: Mode
    destination: Destination
    share: Line = ""
    cpc: Line = ""
    cap_daily: Line = ""
    cap_partner_daily: Line = ""
    cap_total: Line = ""
    starts_at: TypedMoment = None
    ends_at: TypedMoment = None
    allowed_hosts: Annotated[str, Form(max_length=2000)] = ""


class NewOfferForm(TermsForm):
    name: Line
    network: Line
    budget: Line = ""


class ChangeForm(TermsForm):
    """`version` is the one that the operator was looking at."""

    version: int


class ActiveForm(BaseModel):
    version: int
    active: CheckboxField = False


class BudgetForm(BaseModel):
    amount: Line
    take_back: CheckboxField = False
    once: Line = ""


@router.get("/admin/offers")
def show_offers(request: Request, session: Db) -> Response:
    """What partners can promote, and the form for another one."""
    found = inbox.offers(session, now=clock.now())
    names = inbox.network_names(session)
    return page(request, "insights/offers.html", offers=found, networks=names, plain=shown.plain)


@router.get("/admin/offers.csv")
def offers_csv(session: Db) -> Response:
    header = ["offer", "name", "network", "mode", "cpc", "share_bps", "version", "active"]
    header += ["budget_left", "stopped", "links", "clicks_7d", "sales_7d", "revenue_7d"]
    rows = (
        (
            ids.public(OFFER, line.offer.id),
            line.offer.name,
            line.network,
            str(line.offer.mode),
            shown.plain(line.offer.cpc_micro),
            line.offer.share_bps,
            line.offer.version,
            line.offer.active,
            line.left,
            line.stopped,
            line.links,
            line.clicks_7d,
            line.conversions_7d,
            line.gross_7d,
        )
        for line in inbox.offers(session, now=clock.now())
    )
    return csv.response("offers.csv", header, rows)


@router.post("/admin/offers")
def add_offer(session: Db, actor: Operator, form: Annotated[NewOfferForm, Form()]) -> Response:
    budget = Money.parse(form.budget) if form.budget else None
    given = OfferIn(name=form.name, budget=budget, **_typed(form))
    found = networks.named(session, form.network)
    offers.create(
        session, given=given, network=found, actor=actor.label, now=clock.now(), ip=actor.ip
    )
    return see_other("/admin/offers")


@router.get("/admin/offers/{name}")
def show_offer(request: Request, session: Db, name: str, cursor: Cursor = None) -> Response:
    """One offer: its terms, the form that changes them, its versions, budget and paid clicks."""
    offer = offers.named(session, name)
    paid = shown.clicks_paid(session, offer=offer, before=lists.before(cursor), limit=SIZE + 1)
    return page(
        request,
        "insights/offer.html",
        shown=shown.offer_page(session, offer=offer, now=clock.now()),
        paid=lists.cut(paid, key=lambda each: each.line.accrual.id),
        plain=shown.plain,
        once=secrets.token_urlsafe(16),  # the form sent twice pays once
    )


@router.get("/admin/offers/{name}/clicks.csv")
def clicks_csv(session: Db, name: str) -> Response:
    """The offer's paid clicks, hour by hour and partner by partner."""
    offer = offers.named(session, name)
    header = ["accrual", "partner", "hour", "version", "price_eur", "paid_clicks", "amount_eur"]
    header += ["unpaid_clicks", "reasons", "posted_at"]
    rows = (
        (
            ids.public(ACCRUAL, each.line.accrual.id),
            partner_ids.public(PartnerId(each.partner_id)),
            each.line.accrual.hour,
            each.line.accrual.version,
            each.line.price.decimal(),
            each.line.paid,
            each.line.accrual.amount.decimal(),
            each.line.unpaid,
            statement.refused(each.line),
            each.line.accrual.posted_at,
        )
        for each in shown.clicks_paid(session, offer=offer, limit=CSV_SIZE)
    )
    return csv.response(f"clicks-{offer.name}.csv", header, rows)


@router.get("/admin/offers/{name}/versions.csv")
def versions_csv(session: Db, name: str) -> Response:
    """Every version of the offer's terms, the newest first."""
    offer = offers.named(session, name)
    header = ["version", "in_force_at", "mode", "cpc", "share_bps", "cap_partner_daily"]
    header += ["cap_daily", "cap_total", "starts_at", "ends_at", "active", "destination", "actor"]
    rows = (
        (
            each.version,
            each.in_force_at,
            str(each.mode),
            shown.plain(each.cpc_micro),
            each.share_bps,
            shown.plain(each.cap_partner_daily_micro),
            shown.plain(each.cap_daily_micro),
            shown.plain(each.cap_total_micro),
            each.starts_at,
            each.ends_at,
            each.active,
            each.destination,
            each.actor,
        )
        for each in payable.versions(session, [offer.id])[offer.id]
    )
    return csv.response(f"versions-{offer.name}.csv", header, rows)


@router.post("/admin/offers/{name}")
def change_offer(
    session: Db, actor: Operator, name: str, form: Annotated[ChangeForm, Form()]
) -> Response:
    """Other terms from now on; a pause stays a pause."""
    offer = offers.named(session, name)
    terms = Terms(active=offer.active, **_typed(form))
    return _changed(session, actor, OfferId(offer.id), terms, form.version, offer.name)


@router.post("/admin/offers/{name}/active")
def switch_offer(
    session: Db, actor: Operator, name: str, form: Annotated[ActiveForm, Form()]
) -> Response:
    """Pause the offer, or let it go on."""
    offer = offers.named(session, name)
    terms = replace(offers.terms_of(offer), active=form.active)
    return _changed(session, actor, OfferId(offer.id), terms, form.version, offer.name)


@router.post("/admin/offers/{name}/budget")
def change_budget(
    session: Db, actor: Operator, name: str, form: Annotated[BudgetForm, Form()]
) -> Response:
    """Pay into the budget, or take out what clicks have not used."""
    offer = offers.named(session, name)
    move = budgets.take_back if form.take_back else budgets.fund
    amount = Money.parse(form.amount)
    move(
        session,
        offer=offer,
        amount=amount,
        actor=actor.label,
        now=clock.now(),
        ip=actor.ip,
        once=form.once,
    )
    return see_other(f"/admin/offers/{offer.name}")


class SimulatorForm(BaseModel):
    """Terms to try. Without `mode` nothing was asked yet: those in force are shown."""

    mode: Mode | None = None
    share: Line = ""
    cpc: Line = ""
    cap_daily: Line = ""
    cap_partner_daily: Line = ""
    cap_total: Line = ""
    budget: Line = ""
    period: Period = Period.MONTH


Tried = Annotated[SimulatorForm, Query()]


@router.get("/admin/offers/{name}/simulator")
def show_simulator(
    request: Request, session: Db, policy: CurrentPolicy, name: str, form: Tried
) -> Response:
    """What the last month would have cost under these terms, beside what it has cost."""
    offer = offers.named(session, name)
    terms, found = _simulated(session, policy, name, form)
    return page(
        request,
        "insights/simulator.html",
        offer=offer,
        tried=_as_row(terms),
        found=found,
        form=form,
        plain=shown.plain,
        labels=[f"{each.day:%d/%m}" for each in found.days],
        csv_href=f"{request.url.path}.csv?{request.url.query}",
    )


@router.get("/admin/offers/{name}/simulator.csv")
def simulator_csv(session: Db, policy: CurrentPolicy, name: str, form: Tried) -> Response:
    _, found = _simulated(session, policy, name, form)
    return csv.response(f"simulation-{name}.csv", simulator.HEADER, simulator.rows(found))


def _simulated(
    session: Db, policy: CurrentPolicy, name: str, form: SimulatorForm
) -> tuple[Terms, Simulation]:
    offer = offers.named(session, name)
    terms = offers.terms_of(offer)
    budget = _amount(form.budget)
    if budget is not None and budget.micro < 0:
        raise offers.BadBudget
    if form.mode is not None:
        amounts = _amounts(form)
        if form.mode is Mode.REVSHARE:
            amounts["cpc"] = None  # the field is still filled when only the mode is switched
        terms = Terms(mode=form.mode, destination=offer.destination, **amounts)
        offers.check_terms(terms)
    found = simulator.simulate(
        session,
        offer=offer,
        terms=terms,
        period=form.period,
        policy=policy,
        now=clock.now(),
        budget=budget,
    )
    return terms, found


def _as_row(terms: Terms) -> dict[str, Any]:
    """The terms under the names that the fields of an offer's form read."""
    amounts = {
        "cpc_micro": terms.cpc,
        "cap_daily_micro": terms.cap_daily,
        "cap_partner_daily_micro": terms.cap_partner_daily,
        "cap_total_micro": terms.cap_total,
    }
    row = {name: None if amount is None else amount.micro for name, amount in amounts.items()}
    return row | {"mode": terms.mode, "share_bps": terms.share_bps}


def _changed(
    session: Db, actor: Operator, offer_id: OfferId, terms: Terms, version: int, name: str
) -> Response:
    offers.change(
        session,
        offer_id=offer_id,
        terms=terms,
        version=version,
        actor=actor.label,
        now=clock.now(),
        ip=actor.ip,
    )
    return see_other(f"/admin/offers/{name}")


def _typed(form: TermsForm) -> dict[str, Any]:
    """The form's fields as the terms they mean; moments were typed in UTC."""
    return _amounts(form) | {
        "mode": form.mode,
        "destination": form.destination,
        "starts_at": form.starts_at,
        "ends_at": form.ends_at,
        "allowed_hosts": tuple(form.allowed_hosts.split()),
    }


def _amounts(form: TermsForm | SimulatorForm) -> dict[str, Any]:
    return {
        "share_bps": _bps(form.share) if form.share else None,
        "cpc": offers.price(form.cpc) if form.cpc else None,
        "cap_daily": _amount(form.cap_daily),
        "cap_partner_daily": _amount(form.cap_partner_daily),
        "cap_total": _amount(form.cap_total),
    }


def _amount(typed: str) -> Money | None:
    return offers.price(typed) if typed else None


def _bps(percent: str) -> int:
    """A percentage as typed, such as `60` or `62.5`: it has as many hundredths as basis points."""
    return Money.parse(percent.strip().removesuffix("%")).cents
