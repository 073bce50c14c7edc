"""Joining, and the name one shows."""

from typing import Annotated

from fastapi import APIRouter, Form, Request, Response
from pydantic import BaseModel

from flowlink.identity.deps import CurrentUser
from flowlink.kernel import clock, policy as policies
from flowlink.partners import service as partners
from flowlink.partners.deps import CurrentPartner, MaybePartner
from flowlink.partners.models import PartnerStatus
from flowlink.partners.service import TERMS_VERSION
from flowlink.web.forms import Line
from flowlink.web.render import page, see_other
from flowlink.web.sessions import Db

PORTAL = "/partner/portal"

router = APIRouter(include_in_schema=False)


class JoinForm(BaseModel):
    terms: Line = TERMS_VERSION


class HandleForm(BaseModel):
    handle: Line = ""


@router.api_route("/partners/join", methods=["GET", "HEAD"])
def show_terms(
    request: Request, session: Db, user_id: CurrentUser, partner: MaybePartner
) -> Response:
    """The terms and one button; whoever has pressed it sees how their application stands."""
    if partner is not None and partner.status == PartnerStatus.ACTIVE:
        return see_other(PORTAL)
    return page(
        request,
        "partners/join.html",
        partner=partner,
        policy=policies.at(session, clock.now()),
        terms_version=TERMS_VERSION,
    )


@router.post("/partners/join")
def join(session: Db, user_id: CurrentUser, form: Annotated[JoinForm, Form()]) -> Response:
    now = clock.now()
    partners.join(
        session,
        user_id=user_id,
        terms_version=form.terms,
        policy=policies.at(session, now),
        now=now,
    )
    return see_other(PORTAL)


@router.post("/partners/handle")
def choose_handle(
    session: Db, partner_id: CurrentPartner, form: Annotated[HandleForm, Form()]
) -> Response:
    partners.choose_handle(session, partner_id=partner_id, handle=form.handle)
    return see_other(PORTAL)
