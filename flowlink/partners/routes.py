"""Joining, the terms, and the name one shows."""

from typing import Annotated, Literal
from urllib.parse import quote
from uuid import UUID

from fastapi import APIRouter, Form, Query, Request, Response
from pydantic import BaseModel, ConfigDict

from flowlink.identity import queries as identity
from flowlink.identity.deps import CurrentUser, MaybeUser
from flowlink.kernel import clock, ids, policy as policies
from flowlink.kernel.errors import NotFound, NotSignedIn
from flowlink.partners import onboarding, referrals, service as partners
from flowlink.partners.deps import CurrentPartner, MaybePartner
from flowlink.partners.ids import QUESTION
from flowlink.partners.models import PartnerStatus
from flowlink.partners.service import TERMS_VERSION
from flowlink.web.forms import Line
from flowlink.web.render import page, see_other
from flowlink.web.sessions import Db

PORTAL = "/partner/portal"
ANSWER = "answer_"  # what the fields of the questions are called, before their question's id

router = APIRouter(include_in_schema=False)

Invitation = Annotated[str, Query(max_length=60)]


class JoinForm(BaseModel):
    """The terms that were read, who invited, and an answer for each question."""

    model_config = ConfigDict(extra="allow")

    terms: Line = TERMS_VERSION
    by: Line = ""

    def answers(self) -> dict[UUID, str]:
        """What was answered, by the question's key."""
        found = {}
        for name, value in (self.model_extra or {}).items():
            try:
                found[ids.parse(QUESTION, name.removeprefix(ANSWER))] = str(value)
            except NotFound:
                continue
        return found


class TermsForm(BaseModel):
    terms: Line = ""


class HandleForm(BaseModel):
    """`listing`: whether the leaderboard shows the handle, or the opaque name."""

    handle: Line = ""
    listing: Literal["handle", "opaque"] = "handle"


@router.api_route("/partners/join", methods=["GET", "HEAD"])
def show_terms(
    request: Request,
    session: Db,
    user_id: MaybeUser,
    partner: MaybePartner,
    by: Invitation = "",
) -> Response:
    """The terms and one button; whoever has pressed it sees how their application stands.

    An invited visitor signs in first and comes back here: no cookie remembers who invited them.
    """
    if user_id is None and not by:
        raise NotSignedIn
    if user_id is None:
        back = quote(f"/partners/join?by={quote(by)}", safe="")
        return see_other(f"/login?next={back}")
    if partner is not None and partner.status == PartnerStatus.ACTIVE:
        return see_other(PORTAL)
    now = clock.now()
    return page(
        request,
        "partners/join.html",
        partner=partner,
        policy=policies.at(session, now),
        terms=onboarding.current(session, now),
        terms_version=onboarding.version_in_force(session, now),
        questions=onboarding.questions(session),
        inviter=referrals.inviter(session, by) if by else None,
        by=by,
        email=identity.email_of(session, user_id),
    )


@router.post("/partners/join")
def join(session: Db, user_id: CurrentUser, form: Annotated[JoinForm, Form()]) -> Response:
    now = clock.now()
    partners.join(
        session,
        user_id=user_id,
        terms_version=form.terms,
        policy=policies.at(session, now),
        answers=form.answers(),
        invitation=form.by,
        now=now,
    )
    return see_other(PORTAL)


@router.get("/partners/terms")
def read_terms(request: Request, session: Db, partner: MaybePartner) -> Response:
    """The terms in force; a partner who accepted older ones sees what is new and a button."""
    now = clock.now()
    return page(
        request,
        "partners/terms.html",
        partner=partner,
        policy=policies.at(session, now),
        terms=onboarding.current(session, now),
        version=onboarding.version_in_force(session, now),
    )


@router.post("/partners/terms")
def accept_terms(
    session: Db, partner_id: CurrentPartner, form: Annotated[TermsForm, Form()]
) -> Response:
    onboarding.accept(session, partner_id=partner_id, version=form.terms, now=clock.now())
    return see_other(PORTAL)


@router.post("/partners/handle")
def choose_handle(
    session: Db, partner_id: CurrentPartner, form: Annotated[HandleForm, Form()]
) -> Response:
    partners.choose_handle(
        session,
        partner_id=partner_id,
        handle=form.handle,
        consent=form.listing == "handle",
    )
    return see_other(PORTAL)
