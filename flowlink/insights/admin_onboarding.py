"""Console page about how partners come: the terms they accept, and what they are asked."""

from typing import Annotated

from fastapi import APIRouter, Form, Request, Response
from pydantic import BaseModel

from flowlink.identity.deps import Operator
from flowlink.kernel import clock, ids
from flowlink.partners import onboarding
from flowlink.partners.ids import QUESTION
from flowlink.payouts.deps import CurrentPolicy
from flowlink.web import csv
from flowlink.web.forms import CheckboxField, Line, TypedMoment
from flowlink.web.render import page, see_other
from flowlink.web.sessions import Db

router = APIRouter()

BACK = "/admin/onboarding"
Body = Annotated[str, Form(max_length=50_000)]


class TermsForm(BaseModel):
    version: Line = ""
    body_fr: Body = ""
    body_en: Body = ""
    changes_fr: Body = ""
    changes_en: Body = ""
    from_at: TypedMoment = None


class QuestionForm(BaseModel):
    asked_fr: Line = ""
    asked_en: Line = ""
    required: CheckboxField = False


@router.get(BACK)
def show_onboarding(request: Request, session: Db, policy: CurrentPolicy) -> Response:
    """Open door or applications, the questions, and every version of the terms."""
    now = clock.now()
    return page(
        request,
        "insights/onboarding.html",
        policy=policy,
        questions=onboarding.questions(session),
        versions=onboarding.all_terms(session),
        in_force=onboarding.version_in_force(session, now),
        packaged=onboarding.PACKAGED,
        now=now,
    )


@router.get("/admin/onboarding/terms.csv")
def terms_csv(session: Db) -> Response:
    header = ["version", "in_force_at", "changes_fr", "changes_en", "actor"]
    rows = (
        (one.version, one.in_force_at, one.changes_fr, one.changes_en, one.actor)
        for one in onboarding.all_terms(session)
    )
    return csv.response("terms.csv", header, rows)


@router.get("/admin/onboarding/questions.csv")
def questions_csv(session: Db) -> Response:
    header = ["question", "asked_fr", "asked_en", "required", "created_at"]
    rows = (
        (ids.public(QUESTION, one.id), one.asked_fr, one.asked_en, one.required, one.created_at)
        for one in onboarding.questions(session)
    )
    return csv.response("questions.csv", header, rows)


@router.post("/admin/onboarding/terms")
def publish_terms(session: Db, actor: Operator, form: Annotated[TermsForm, Form()]) -> Response:
    """From then on everybody has to accept them before they make another link."""
    onboarding.publish(
        session,
        version=form.version,
        body_fr=form.body_fr,
        body_en=form.body_en,
        changes_fr=form.changes_fr,
        changes_en=form.changes_en,
        from_at=form.from_at,
        actor=actor.label,
        now=clock.now(),
        ip=actor.ip,
    )
    return see_other(BACK)


@router.post("/admin/onboarding/questions")
def ask(session: Db, actor: Operator, form: Annotated[QuestionForm, Form()]) -> Response:
    onboarding.ask(
        session,
        asked_fr=form.asked_fr,
        asked_en=form.asked_en,
        required=form.required,
        actor=actor.label,
        now=clock.now(),
        ip=actor.ip,
    )
    return see_other(BACK)


@router.post("/admin/onboarding/questions/{question_id}/retire")
def retire(session: Db, actor: Operator, question_id: str) -> Response:
    onboarding.retire(
        session,
        question_id=ids.parse(QUESTION, question_id),
        actor=actor.label,
        now=clock.now(),
        ip=actor.ip,
    )
    return see_other(BACK)
