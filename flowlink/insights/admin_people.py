"""Console pages about those who earn: found, shown whole, and dealt with one by one or together."""

from typing import Annotated
from uuid import uuid4

from fastapi import APIRouter, Form, Query, Request, Response
from pydantic import BaseModel, Field
from sqlalchemy.orm import Session

from flowlink.identity.deps import Operator
from flowlink.insights import partner_acts, people
from flowlink.insights.partner_acts import CHOSEN_MAX, Act, Wish
from flowlink.insights.people import Wanted
from flowlink.kernel import clock, ids, policy as policies
from flowlink.partners import groups, ids as partner_ids, letters
from flowlink.partners.ids import PartnerId
from flowlink.partners.models import PartnerStatus
from flowlink.web import csv, lists
from flowlink.web.forms import CheckboxField, Line, Paragraph
from flowlink.web.lists import CSV_SIZE, SIZE, Cursor, Search
from flowlink.web.render import page, see_other
from flowlink.web.sessions import Db

router = APIRouter()

PARTNERS = "/admin/partners"
StatusFilter = Annotated[str, Field(pattern="^(|pending|active|closed)$")]
HoldFilter = Annotated[str, Field(pattern="^(|yes|no)$")]
GroupFilter = Annotated[str, Field(max_length=64)]
Count = Annotated[int, Query(ge=0, le=CHOSEN_MAX)]


class ActForm(BaseModel):
    """The chosen partners, and what shall be done to them."""

    partner: Annotated[list[str], Field(max_length=CHOSEN_MAX)] = []
    act: Act = Act.MESSAGE
    reason: Paragraph = ""
    subject: Line = ""
    body: Paragraph = ""
    once: Line = ""

    def chosen(self) -> list[PartnerId]:
        """:raises NotFound: one of them cannot be a partner's."""
        return [partner_ids.parse(text) for text in dict.fromkeys(self.partner)]

    def wish(self) -> Wish:
        """What a page sends twice has the same `once`; who sends none means each time."""
        once = self.once or str(uuid4())
        return Wish(self.act, self.reason, self.subject, self.body, once)


class PreviewForm(ActForm):
    """The ticked partners, or everyone whom the list's filters match."""

    everyone: CheckboxField = False
    q: Line = ""
    status: StatusFilter = ""
    group: GroupFilter = ""
    hold: HoldFilter = ""


@router.get(PARTNERS)
def partners(
    request: Request,
    session: Db,
    q: Search = "",
    status: StatusFilter = "",
    group: GroupFilter = "",
    hold: HoldFilter = "",
    cursor: Cursor = None,
    did: Act | None = None,
    done: Count = 0,
    left: Count = 0,
) -> Response:
    """Those who earn, newest first; and what was just done to so many of them."""
    found = people.partner_lines(
        session,
        now=clock.now(),
        wanted=_wanted(q, status, group, hold),
        before=lists.before(cursor),
        limit=SIZE + 1,
    )
    return page(
        request,
        "insights/partners.html",
        partners=lists.cut(found, key=lambda line: line.partner.id),
        groups=groups.all_groups(session),
        shown={"status": status, "group": group, "hold": hold},
        q=q,
        deed={"act": str(did), "done": done, "left": left} if did else None,
        chosen_max=CHOSEN_MAX,
    )


@router.get("/admin/partners.csv")
def partners_csv(
    session: Db,
    q: Search = "",
    status: StatusFilter = "",
    group: GroupFilter = "",
    hold: HoldFilter = "",
) -> Response:
    wanted = _wanted(q, status, group, hold)
    found = people.partner_lines(session, now=clock.now(), wanted=wanted, limit=CSV_SIZE)
    header = ["partner", "email", "status", "handle", "joined", "links", "clicks_30d", "on_hold"]
    rows = (
        (
            ids.public(partner_ids.PREFIX, line.partner.id),
            line.email,
            str(line.partner.status),
            line.partner.handle or "",
            line.partner.created_at,
            line.links,
            line.clicks_30d,
            line.on_hold,
            line.group or "",
            line.available,
        )
        for line in found
    )
    return csv.response("partners.csv", [*header, "group", "available_eur"], rows)


@router.post("/admin/partners/preview")
def preview(request: Request, session: Db, form: Annotated[PreviewForm, Form()]) -> Response:
    """What would happen to each of the chosen. Changes nothing."""
    chosen = form.chosen()
    if form.everyone:
        wanted = _wanted(form.q, form.status, form.group, form.hold)
        chosen = partner_acts.everyone(session, wanted=wanted)
    fates = partner_acts.preview(session, chosen=chosen, wish=form.wish())
    return page(
        request, "insights/partners_preview.html", fates=fates, form=form, once=str(uuid4())
    )


@router.post("/admin/partners/act")
def act(session: Db, actor: Operator, form: Annotated[ActForm, Form()]) -> Response:
    """Do it to all whom it fits, and say to how many it did."""
    chosen = form.chosen()
    done = _carry_out(session, chosen, form.wish(), actor)
    return see_other(f"{PARTNERS}?did={form.act}&done={done}&left={len(chosen) - done}")


@router.get("/admin/partners/{partner_id}")
def partner(request: Request, session: Db, partner_id: str) -> Response:
    """All about one partner."""
    key = partner_ids.parse(partner_id)
    shown = people.partner_page(session, partner_id=key, now=clock.now())
    written = letters.letters(session, key)
    once = str(uuid4())
    return page(request, "insights/partner.html", shown=shown, letters=written, once=once)


@router.post("/admin/partners/{partner_id}/act")
def act_on_one(
    session: Db, actor: Operator, partner_id: str, form: Annotated[ActForm, Form()]
) -> Response:
    """The same for one partner, from their page."""
    _carry_out(session, [partner_ids.parse(partner_id)], form.wish(), actor)
    return see_other(f"{PARTNERS}/{partner_id}")


def _carry_out(session: Session, chosen: list[PartnerId], wish: Wish, actor: Operator) -> int:
    now = clock.now()
    return partner_acts.carry_out(
        session,
        chosen=chosen,
        wish=wish,
        actor=actor.label,
        policy=policies.at(session, now),
        now=now,
        ip=actor.ip,
    )


def _wanted(query: str, status: str, group: str, hold: str) -> Wanted:
    key = ids.parse("grp", group) if group not in ("", "none") else None
    held = {"yes": True, "no": False}.get(hold)
    chosen = next((one for one in PartnerStatus if one == status), None)
    return Wanted(query, chosen, key, in_no_group=group == "none", on_hold=held)
