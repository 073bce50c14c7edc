"""A partner's pages about what is missing, and about partners they bring."""

import secrets
from datetime import date
from typing import Annotated, Any

from fastapi import APIRouter, Form, Query, Request, Response
from pydantic import BaseModel, BeforeValidator

from flowlink.insights import case_facts
from flowlink.kernel import clock, ids, settings
from flowlink.kernel.errors import Refused
from flowlink.partners import queries as partners, referrals
from flowlink.partners.deps import CurrentPartner
from flowlink.payouts import cases, rewards
from flowlink.payouts.cases import Claim, UnknownCase
from flowlink.payouts.deps import CurrentPolicy
from flowlink.payouts.ids import CASE
from flowlink.tracking import queries as tracking
from flowlink.web import csv, lists
from flowlink.web.forms import Line, MoneyField, Paragraph
from flowlink.web.lists import CSV_SIZE, SIZE, Cursor
from flowlink.web.render import page, see_other
from flowlink.web.sessions import Db

router = APIRouter(include_in_schema=False)

LINKS = 200
HEADER = ["case", "opened_at", "day", "claimed_eur", "order", "state", "granted_eur", "answer"]
Word = Annotated[str, Query(max_length=120)]


class NoSuchLink(Refused):
    message = "This is not one of your links."
    field = "link"


class CaseForm(BaseModel):
    """What is missing, as the partner knows it."""

    story: Paragraph = ""
    amount: MoneyField
    happened_on: Annotated[date, BeforeValidator(lambda typed: typed or None)]
    link: Line = ""
    click: Line = ""
    order_reference: Line = ""
    once: Line = ""


@router.get("/partners/cases")
def show_cases(
    request: Request, session: Db, partner_id: CurrentPartner, cursor: Cursor = None
) -> Response:
    """What I said was missing, and what became of it."""
    found = cases.cases_of(session, partner_id, before=lists.before(cursor), limit=SIZE + 1)
    return page(request, "insights/my_cases.html", cases=lists.cut(found, key=lambda case: case.id))


@router.get("/partners/cases.csv")
def cases_csv(session: Db, partner_id: CurrentPartner) -> Response:
    rows = (
        (
            ids.public(CASE, case.id),
            case.created_at,
            case.happened_on.isoformat(),
            case.claimed,
            case.order_reference,
            str(case.state),
            case.granted,
            case.answer,
        )
        for case in cases.cases_of(session, partner_id, limit=CSV_SIZE)
    )
    return csv.response("cases.csv", HEADER, rows)


@router.get("/partners/cases/new")
def new_case(
    request: Request, session: Db, partner_id: CurrentPartner, click: Word = "", link: Word = ""
) -> Response:
    """The form, filled with what the partner came from."""
    mine = tracking.links_of(session, partner_id=partner_id, limit=LINKS)
    return page(
        request,
        "insights/new_case.html",
        links=[line.link.code for line in mine],
        click=click,
        link=link,
        today=clock.now().date(),
        once=secrets.token_urlsafe(16),
    )


@router.post("/partners/cases")
def open_case(
    session: Db, partner_id: CurrentPartner, form: Annotated[CaseForm, Form()]
) -> Response:
    """Open a case; what we know goes with it."""
    partner = partners.get(session, partner_id)
    link_id = case_facts.link_of(session, partner=partner, code=form.link, click=form.click)
    if form.link and link_id is None:
        raise NoSuchLink
    claim = Claim(
        story=form.story,
        amount=form.amount,
        happened_on=form.happened_on,
        link_id=link_id,
        click=form.click,
        order_reference=form.order_reference,
    )
    case = cases.open_case(
        session,
        partner_id=partner_id,
        claim=claim,
        trail=case_facts.gather(session, partner=partner, claim=claim),
        now=clock.now(),
        once=form.once,
    )
    return see_other(f"/partners/cases/{ids.public(CASE, case.id)}")


@router.get("/partners/cases/{case_id}")
def show_case(request: Request, session: Db, partner_id: CurrentPartner, case_id: str) -> Response:
    """One case: what I said, what was known, and the answer."""
    found = cases.get(session, ids.parse(CASE, case_id)).case
    if found.partner_id != partner_id:
        raise UnknownCase
    return page(request, "insights/my_case.html", case=found, facts=case_facts.shown(found.trail))


@router.post("/partners/cases/{case_id}/withdraw")
def withdraw_case(session: Db, partner_id: CurrentPartner, case_id: str) -> Response:
    cases.withdraw(
        session, case_id=ids.parse(CASE, case_id), partner_id=partner_id, now=clock.now()
    )
    return see_other(f"/partners/cases/{case_id}")


@router.get("/partners/invite")
def invite(
    request: Request, session: Db, partner_id: CurrentPartner, policy: CurrentPolicy
) -> Response:
    """My invitation, whom it brought, and what that brings me."""
    return page(request, "insights/invite.html", policy=policy, **_invited(session, partner_id))


@router.get("/partners/invite.csv")
def invite_csv(session: Db, partner_id: CurrentPartner) -> Response:
    found = _invited(session, partner_id)
    rows = (
        (
            line.name,
            line.referral.started_at,
            line.referral.ends_at,
            line.referral.share_bps,
            found["earned"].get(line.referral.referred_id),
        )
        for line in found["brought"]
    )
    header = ["partner", "since", "until", "share_bps", "earned_eur"]
    return csv.response("invited.csv", header, rows)


def _invited(session: Db, partner_id: CurrentPartner) -> dict[str, Any]:
    partner = partners.get(session, partner_id)
    code = partner.handle or partner.alias
    return {
        "address": f"{settings.current().url}/partners/join?by={code}",
        "brought": referrals.brought(session, partner_id, limit=CSV_SIZE),
        "earned": rewards.by_partner(session, partner_id),
        "total": rewards.total(session, partner_id),
    }
