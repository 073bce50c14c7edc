"""Holds, as the operator sees, places and lifts them."""

from functools import partial
from typing import Annotated

from fastapi import APIRouter, Depends, Form, Query, Request, Response
from fastapi.responses import JSONResponse
from pydantic import BaseModel, Field

from flowlink.identity.deps import Operator, require_operator
from flowlink.kernel import clock, ids, policy as policies
from flowlink.partners import ids as partner_ids
from flowlink.partners.deps import wants_json
from flowlink.partners.ids import GROUP, PartnerId
from flowlink.risk import queries, scales, service as risk, sweep
from flowlink.risk.models import Flag
from flowlink.risk.queries import OpenHold
from flowlink.risk.scales import Scale
from flowlink.web import csv, lists
from flowlink.web.forms import Line, Paragraph
from flowlink.web.lists import CSV_SIZE, SIZE, Cursor, Format
from flowlink.web.render import page, see_other
from flowlink.web.sessions import Db

HOLDS = "/ops/holds"
LIMITS = "/ops/limits"

router = APIRouter(dependencies=[Depends(require_operator)], include_in_schema=False)

PartnerQuery = Annotated[str, Query(alias="pid", max_length=64)]


class UnholdForm(BaseModel):
    reason: Paragraph = ""


class HoldForm(BaseModel):
    partner: Line = ""
    flag: Flag = Flag.HOLD
    reason: Paragraph = ""


class LiftForm(BaseModel):
    partner: Annotated[list[str], Field(max_length=500)] = []
    reason: Paragraph = ""

    def ids(self) -> list[PartnerId]:
        """:raises NotFound: one of them cannot be a partner's."""
        return [partner_ids.parse(text) for text in self.partner]


class LimitForm(BaseModel):
    partner: Line = ""
    percent: int = 0
    reason: Paragraph = ""


@router.get(HOLDS)
def show_holds(
    request: Request, session: Db, cursor: Cursor = None, format_: Format = ""
) -> Response:
    """Every hold that binds, with what it rests on and until when a person should decide."""
    if format_ == "csv":
        every = queries.open_holds(session, now=clock.now(), limit=CSV_SIZE)
        return csv.response("holds.csv", list(_HEADER), (_cells(hold) for hold in every))
    after = lists.before(cursor)
    found = queries.open_holds(session, now=clock.now(), after=after, limit=SIZE + 1)
    holds = lists.cut(found, key=lambda hold: hold.hold_id)
    if wants_json(request):
        return JSONResponse({"holds": [_json(hold) for hold in holds.items], "next": holds.next})
    return page(request, "risk/holds.html", holds=holds)


@router.post(f"{HOLDS}/preview")
def preview(request: Request, session: Db, form: Annotated[LiftForm, Form()]) -> Response:
    """Which holds would be lifted. Changes nothing."""
    wanted = set(form.ids())
    every = queries.open_holds(session, now=clock.now(), limit=CSV_SIZE)
    chosen = [hold for hold in every if hold.partner_id in wanted]
    return page(request, "risk/holds_preview.html", holds=chosen, form=form)


@router.post(f"{HOLDS}/lift")
def lift_chosen(session: Db, operator: Operator, form: Annotated[LiftForm, Form()]) -> Response:
    now = clock.now()
    for partner_id in sorted(set(form.ids())):
        risk.lift_hold(
            session,
            partner_id=partner_id,
            reason=form.reason,
            actor=operator.label,
            now=now,
            ip=operator.ip,
        )
    return see_other(HOLDS)


@router.post("/ops/sweep")
def look_now(session: Db, operator: Operator) -> Response:
    """Let the worker look at everybody now, as the schedule does every ten minutes."""
    sweep.ask(session, actor=operator.label, now=clock.now(), ip=operator.ip)
    return see_other(HOLDS)


@router.get(LIMITS)
def show_limits(
    request: Request, session: Db, cursor: Cursor = None, format_: Format = ""
) -> Response:
    """Whose limit of clicks is not the usual one."""
    if format_ == "csv":
        every = scales.own(session, limit=CSV_SIZE)
        header = ["partner_id", "percent", "reason", "actor", "at"]
        return csv.response("limits.csv", header, (_limit(scale) for scale in every))
    found = scales.own(session, after=lists.before(cursor), limit=SIZE + 1)
    return page(
        request,
        "risk/limits.html",
        scales=lists.cut(found, key=lambda scale: scale.partner_id),
        groups=scales.of_groups(session),
        clicks=partial(scales.clicks, policy=policies.at(session, clock.now())),
    )


@router.get(f"{LIMITS}/groups.csv")
def group_limits_csv(session: Db) -> Response:
    rows = (
        [
            ids.public(GROUP, group.id),
            group.name,
            one.percent,
            one.version,
            one.reason,
            one.actor,
            one.at,
        ]
        for group, one in scales.of_groups(session)
    )
    header = ["group", "name", "percent", "version", "reason", "actor", "at"]
    return csv.response("group-limits.csv", header, rows)


@router.post(LIMITS)
def set_limit(session: Db, operator: Operator, form: Annotated[LimitForm, Form()]) -> Response:
    scales.set_for(
        session,
        partner_id=partner_ids.parse(form.partner),
        percent=form.percent,
        reason=form.reason,
        actor=operator.label,
        now=clock.now(),
        ip=operator.ip,
    )
    return see_other(LIMITS)


@router.post("/ops/hold")
def place(session: Db, operator: Operator, form: Annotated[HoldForm, Form()]) -> Response:
    now = clock.now()
    risk.place_hold(
        session,
        partner_id=partner_ids.parse(form.partner),
        flag=form.flag,
        reason=form.reason,
        evidence={"placed": "by hand"},
        actor=operator.label,
        now=now,
        policy=policies.at(session, now),
        ip=operator.ip,
    )
    return see_other(HOLDS)


@router.post("/ops/unhold")
def unhold(
    session: Db, operator: Operator, pid: PartnerQuery, form: Annotated[UnholdForm, Form()]
) -> Response:
    risk.lift_hold(
        session,
        partner_id=partner_ids.parse(pid),
        reason=form.reason,
        actor=operator.label,
        now=clock.now(),
        ip=operator.ip,
    )
    return see_other(HOLDS)


def _json(hold: OpenHold) -> dict[str, object]:
    return {
        "partner_id": partner_ids.public(hold.partner_id),
        "flag": hold.flag,
        "reason": hold.reason,
        "evidence": hold.evidence,
        "created_at": hold.created_at.isoformat(),
        "deadline": hold.deadline.isoformat(),
    }


_HEADER = ("partner_id", "flag", "reason", "evidence", "created_at", "deadline")


def _cells(hold: OpenHold) -> list[object]:
    facts = _json(hold)
    evidence = "; ".join(f"{name}: {value}" for name, value in hold.evidence.items())
    return [facts[name] if name != "evidence" else evidence for name in _HEADER]


def _limit(scale: Scale) -> list[object]:
    at = scale.at.isoformat()
    return [partner_ids.public(scale.partner_id), scale.percent, scale.reason, scale.actor, at]
