"""Watched clicks, as the operator reviews them: what waits, why, and one decision for many."""

from typing import Annotated, Any
from uuid import UUID

from fastapi import APIRouter, Depends, Form, Query, Request, Response
from fastapi.responses import JSONResponse
from pydantic import BaseModel, Field
from sqlalchemy.orm import Session

from flowlink.identity.deps import Operator, require_operator
from flowlink.kernel import clock, ids, policy as policies
from flowlink.kernel.money import Money
from flowlink.partners import ids as partner_ids
from flowlink.partners.deps import wants_json
from flowlink.partners.ids import PartnerId
from flowlink.payouts import waiting
from flowlink.payouts.waiting_models import Waiting
from flowlink.risk import verdicts, watches
from flowlink.risk.verdicts import Line, Verdict
from flowlink.web import csv, lists
from flowlink.web.amounts import money_json
from flowlink.web.forms import Paragraph
from flowlink.web.lists import CSV_SIZE, SIZE, Cursor, Format, One
from flowlink.web.render import page, see_other
from flowlink.web.sessions import Db

WATCHES = "/ops/watches"
_CHOSEN_MAX = 500

router = APIRouter(dependencies=[Depends(require_operator)], include_in_schema=False)


class VerdictForm(BaseModel):
    watch: Annotated[list[str], Field(max_length=_CHOSEN_MAX)] = []
    verdict: Verdict = Verdict.CLEAR
    reason: Paragraph = ""

    def ids(self) -> list[UUID]:
        """:raises NotFound: one of them cannot be a key of ours."""
        return [ids.parse(watches.PREFIX, text) for text in self.watch]


@router.get(WATCHES)
def show_watches(
    request: Request,
    session: Db,
    cursor: Cursor = None,
    format_: Format = "",
    state: Annotated[str, Query(max_length=10)] = "open",
    watch: One = "",
) -> Response:
    """What looks wrong and waits, overdue first; or with `state=decided` what people said of it."""
    decided = state == "decided"
    if format_ == "csv":
        found = verdicts.listed(session, decided=decided, limit=CSV_SIZE)
        rows = [_cells(line) for line in _told(session, found)]
        return csv.response("watched-clicks.csv", _HEADER, rows)
    only = [ids.parse(watches.PREFIX, watch)] if watch else None
    after = lists.before(cursor)
    found = verdicts.listed(session, decided=decided, only=only, after=after, limit=SIZE + 1)
    shown = lists.cut(found, key=lambda line: line[0].id)
    told = _told(session, shown.items)
    if wants_json(request):
        return JSONResponse({"watches": told, "next": shown.next})
    return page(
        request,
        "payouts/watches.html",
        watches=shown,
        amounts=_amounts(session, shown.items),
        decided=decided,
        only=watch,
        now=clock.now(),
    )


@router.post(f"{WATCHES}/preview")
def preview(request: Request, session: Db, form: Annotated[VerdictForm, Form()]) -> Response:
    """What a decision would do, before it is made. Changes nothing."""
    chosen = verdicts.listed(session, only=form.ids(), limit=_CHOSEN_MAX)
    amounts = _amounts(session, chosen)
    return page(
        request,
        "payouts/watches_preview.html",
        chosen=chosen,
        amounts=amounts,
        total=sum((each.most for each in amounts.values()), Money.zero()),
        form=form,
    )


@router.post(WATCHES)
def decide(session: Db, operator: Operator, form: Annotated[VerdictForm, Form()]) -> Response:
    now = clock.now()
    verdicts.decide(
        session,
        watch_ids=form.ids(),
        verdict=form.verdict,
        reason=form.reason,
        actor=operator.label,
        now=now,
        policy=policies.at(session, now),
        ip=operator.ip,
    )
    return see_other(WATCHES)


def _amounts(session: Session, lines: list[Line] | Any) -> dict[UUID, waiting.Amount]:
    return waiting.amounts(session, Waiting.watch_id.in_([watch.id for watch, _ in lines]))


_HEADER = [
    "watch_id",
    "partner_id",
    "rule",
    "state",
    "score",
    "clicks",
    "worth_eur",
    "evidence",
    "created_at",
    "deadline",
    "decided_at",
    "decided_reason",
]


def _told(session: Session, lines: Any) -> list[dict[str, Any]]:
    amounts = _amounts(session, lines)
    return [_json(watch, amounts.get(watch.id)) for watch, _ in lines]


def _json(watch: Any, amount: waiting.Amount | None) -> dict[str, Any]:
    return {
        "watch_id": ids.public(watches.PREFIX, watch.id),
        "partner_id": partner_ids.public(PartnerId(watch.partner_id)),
        "rule": watch.rule,
        "state": watch.state,
        "score": watch.score,
        "clicks": amount.clicks if amount else 0,
        "worth": money_json(amount.most if amount else Money.zero()),
        "evidence": watch.evidence,
        "created_at": watch.created_at.isoformat(),
        "deadline": watch.deadline.isoformat(),
        "decided_at": watch.decided_at.isoformat() if watch.decided_at else None,
        "decided_reason": watch.decided_reason,
    }


def _cells(told: dict[str, Any]) -> list[object]:
    facts = told | {"worth_eur": told["worth"]["amount"]}
    evidence = "; ".join(f"{name}: {value}" for name, value in told["evidence"].items())
    return [facts[name] if name != "evidence" else evidence for name in _HEADER]
