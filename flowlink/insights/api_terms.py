"""For operators' programs: marks on links, disputes, and partial refunds of sales."""

from typing import Annotated, Literal

from fastapi import APIRouter, Depends
from pydantic import BaseModel, ConfigDict, Field

from flowlink.identity.deps import Operator, require_operator
from flowlink.kernel import clock, ids
from flowlink.kernel.money import Money
from flowlink.payouts import commissions, disputes
from flowlink.payouts.case_models import Dispute
from flowlink.payouts.ids import DISPUTE
from flowlink.tracking import marks, restating
from flowlink.tracking.ids import CONVERSION, LINK
from flowlink.tracking.models import Status
from flowlink.web.amounts import Amount, money_json
from flowlink.web.sessions import Db

router = APIRouter(tags=["operator"], dependencies=[Depends(require_operator)])


_STATUSES = {"approved": Status.APPROVED, "reversed": Status.REVERSED}


class MarkIn(BaseModel):
    """Whether the link shares its partner's own content."""

    model_config = ConfigDict(extra="forbid")

    own_content: bool


class MarkOut(BaseModel):
    id: str
    code: str
    own_content: bool


class DisputeIn(BaseModel):
    """`opened` begins one under this reference; `won` and `lost` decide it."""

    model_config = ConfigDict(extra="forbid")

    state: Literal["opened", "won", "lost"]
    reference: Annotated[str, Field(min_length=1, max_length=100)]


class DisputeOut(BaseModel):
    id: str
    conversion: str
    reference: str
    state: str
    amount: Amount
    held: Amount


class RestateIn(BaseModel):
    """`approved` with what is left of the sale, or `reversed`."""

    model_config = ConfigDict(extra="forbid")

    status: Literal["approved", "reversed"]
    amount: str | None = Field(default=None, max_length=20, examples=["40.00"])
    reason: Annotated[str, Field(min_length=1, max_length=500)]


class RestateOut(BaseModel):
    id: str
    status: str
    amount: Amount
    revision: int


@router.patch("/api/admin/links/{link_id}")
def mark_link(session: Db, actor: Operator, link_id: str, body: MarkIn) -> MarkOut:
    """Mark a link as the partner's own content, or take the mark off."""
    link = marks.mark_own_content(
        session,
        link_id=ids.parse(LINK, link_id),
        own_content=body.own_content,
        actor=actor.label,
        now=clock.now(),
        ip=actor.ip,
    )
    return MarkOut(id=link_id, code=link.code, own_content=link.own_content)


@router.post("/api/admin/conversions/{conversion_id}/disputes")
def change_dispute(session: Db, actor: Operator, conversion_id: str, body: DisputeIn) -> DisputeOut:
    """Open a dispute about a sale, or decide it. The same `opened` twice opens one."""
    key = ids.parse(CONVERSION, conversion_id)
    if body.state == "opened":
        made = disputes.open_dispute(
            session,
            conversion_id=key,
            reference=body.reference,
            actor=actor.label,
            now=clock.now(),
            ip=actor.ip,
        )
        return _dispute(made)
    known = disputes.named(session, conversion_id=key, reference=body.reference)
    decide = disputes.win if body.state == "won" else disputes.lose
    return _dispute(
        decide(session, dispute_id=known.id, actor=actor.label, now=clock.now(), ip=actor.ip)
    )


@router.post("/api/admin/conversions/{conversion_id}/restate")
def restate(session: Db, actor: Operator, conversion_id: str, body: RestateIn) -> RestateOut:
    """Take a sale back, wholly or in part; its commission follows in the same step."""
    now = clock.now()
    sale = restating.restate(
        session,
        conversion_id=ids.parse(CONVERSION, conversion_id),
        status=_STATUSES[body.status],
        amount=None if body.amount is None else Money.parse(body.amount),
        reason=body.reason,
        actor=actor.label,
        now=now,
        ip=actor.ip,
    )
    commissions.post_conversions(session, conversion_ids=[sale.id], now=now)
    return RestateOut(
        id=conversion_id,
        status=str(sale.status),
        amount=money_json(sale.amount),
        revision=sale.revision,
    )


def _dispute(dispute: Dispute) -> DisputeOut:
    return DisputeOut(
        id=ids.public(DISPUTE, dispute.id),
        conversion=ids.public(CONVERSION, dispute.conversion_id),
        reference=dispute.reference,
        state=str(dispute.state),
        amount=money_json(dispute.amount),
        held=money_json(dispute.held),
    )
