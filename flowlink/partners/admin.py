"""What an operator decides about partners."""

from typing import Annotated

from fastapi import APIRouter, Depends, Form, Response
from pydantic import BaseModel

from flowlink.identity.deps import Operator, require_operator
from flowlink.kernel import clock
from flowlink.partners import ids, service as partners
from flowlink.web.forms import Paragraph
from flowlink.web.render import see_other
from flowlink.web.sessions import Db

PARTNERS = "/admin/partners"

router = APIRouter(dependencies=[Depends(require_operator)], include_in_schema=False)


class ReasonForm(BaseModel):
    reason: Paragraph = ""


@router.post("/ops/partners/{partner_id}/approve")
def approve(session: Db, operator: Operator, partner_id: str) -> Response:
    partners.approve(
        session,
        partner_id=ids.parse(partner_id),
        actor=operator.label,
        now=clock.now(),
        ip=operator.ip,
    )
    return see_other(PARTNERS)


@router.post("/ops/partners/{partner_id}/decline")
def decline(
    session: Db, operator: Operator, partner_id: str, form: Annotated[ReasonForm, Form()]
) -> Response:
    partners.decline(
        session,
        partner_id=ids.parse(partner_id),
        reason=form.reason,
        actor=operator.label,
        now=clock.now(),
        ip=operator.ip,
    )
    return see_other(PARTNERS)
