"""Console pages about what is agreed: groups, overrides of one partner, and of an offer."""

from functools import partial
from typing import Annotated

from fastapi import APIRouter, Form, Query, Request, Response
from pydantic import BaseModel, BeforeValidator

from flowlink.identity.deps import Operator
from flowlink.insights import agreements, offers as shown
from flowlink.kernel import clock, ids, policy as policies
from flowlink.kernel.money import Money
from flowlink.partners import groups, ids as partner_ids
from flowlink.partners.ids import GROUP, PartnerId
from flowlink.payouts import deals
from flowlink.payouts.deals import Agreement, DealLine, Scope
from flowlink.payouts.ids import DEAL
from flowlink.risk import scales
from flowlink.tracking import marks, offers
from flowlink.tracking.ids import LINK
from flowlink.web import csv, lists
from flowlink.web.forms import CheckboxField, Line, Paragraph, TypedMoment
from flowlink.web.lists import CSV_SIZE, Cursor
from flowlink.web.render import page, see_other
from flowlink.web.sessions import Db

router = APIRouter()

OptionalNumber = Annotated[int | None, BeforeValidator(lambda typed: typed or None)]
OfferName = Annotated[str, Query(max_length=100)]
DEAL_HEADER = ["deal", "offer", "version", "state", "in_force_at", "until_at", "ended"]
DEAL_HEADER += ["share_bps", "own_share_bps", "cpc_eur", "reserve_bps", "release_days"]
DEAL_HEADER += ["cap_day_eur", "cap_month_eur", "months", "tiers", "marginal", "reason", "actor"]


class GroupForm(BaseModel):
    name: Line
    description: Paragraph = ""
    for_newcomers: CheckboxField = False
    version: int = 0
    reason: Line = ""


class LimitForm(BaseModel):
    """How many clicks in ten minutes are usual in this group, in percent of everybody's."""

    version: int = 0
    percent: int = 0
    reason: Line = ""


class MoveForm(BaseModel):
    """Partner and group by public id; an empty group is none."""

    partner: Line
    group: Line = ""
    reason: Line = ""


class DealForm(BaseModel):
    """What is agreed, as typed: percentages, euros, days, months; empty says nothing."""

    group: Line = ""
    partner: Line = ""
    offer: Line = ""
    version: int = 0
    share: Line = ""
    own_share: Line = ""
    cpc: Line = ""
    reserve: Line = ""
    release_days: OptionalNumber = None
    cap_day: Line = ""
    cap_month: Line = ""
    months: Line = ""
    tiers: Paragraph = ""
    marginal: CheckboxField = False
    from_at: TypedMoment = None
    until_at: TypedMoment = None
    reason: Line = ""


class MarkForm(BaseModel):
    own_content: CheckboxField = False


@router.get("/admin/groups")
def show_groups(request: Request, session: Db) -> Response:
    """Partners with terms in common, and the form for another group."""
    return page(request, "insights/groups.html", groups=groups.all_groups(session))


@router.get("/admin/groups.csv")
def groups_csv(session: Db) -> Response:
    header = ["group", "name", "members", "for_newcomers", "version", "created_at"]
    rows = (
        (
            ids.public(GROUP, line.group.id),
            line.group.name,
            line.members,
            line.group.for_newcomers,
            line.group.version,
            line.group.created_at,
        )
        for line in groups.all_groups(session)
    )
    return csv.response("groups.csv", header, rows)


@router.post("/admin/groups")
def make_group(session: Db, actor: Operator, form: Annotated[GroupForm, Form()]) -> Response:
    made = groups.create(
        session,
        name=form.name,
        description=form.description,
        for_newcomers=form.for_newcomers,
        actor=actor.label,
        now=clock.now(),
        ip=actor.ip,
    )
    return see_other(f"/admin/groups/{ids.public(GROUP, made.id)}")


@router.get("/admin/groups/{group_id}")
def show_group(
    request: Request, session: Db, group_id: str, offer: OfferName = "", cursor: Cursor = None
) -> Response:
    """One group: what it gets, since when and why, and who is in it."""
    found = agreements.group_page(
        session,
        group_id=ids.parse(GROUP, group_id),
        offer=offer,
        before=lists.before(cursor),
        now=clock.now(),
    )
    return page(
        request,
        "insights/group.html",
        shown=found,
        members=lists.cut(found.members, key=lambda each: each.partner.id),
        plain=shown.plain,
        clicks=partial(scales.clicks, policy=policies.at(session, clock.now())),
    )


@router.get("/admin/groups/{group_id}/members.csv")
def members_csv(session: Db, group_id: str) -> Response:
    found = groups.members(session, ids.parse(GROUP, group_id), limit=CSV_SIZE)
    rows = (
        (partner_ids.public(PartnerId(one.partner.id)), one.email, one.since, one.reason)
        for one in found
    )
    return csv.response("members.csv", ["partner", "email", "since", "reason"], rows)


@router.get("/admin/groups/{group_id}/deals.csv")
def group_deals_csv(session: Db, group_id: str) -> Response:
    lines = deals.history(session, group_id=ids.parse(GROUP, group_id), now=clock.now())
    return csv.response("deals.csv", DEAL_HEADER, map(_cells, lines))


@router.get("/admin/groups/{group_id}/limits.csv")
def group_limits_csv(session: Db, group_id: str) -> Response:
    """Every version of the limit of clicks that this group has of its own."""
    found = scales.history(session, group_id=ids.parse(GROUP, group_id))
    rows = ((one.version, one.percent, one.reason, one.actor, one.at) for one in found)
    return csv.response("limits.csv", ["version", "percent", "reason", "actor", "at"], rows)


@router.post("/admin/groups/{group_id}/limit")
def set_limit(
    session: Db, actor: Operator, group_id: str, form: Annotated[LimitForm, Form()]
) -> Response:
    scales.set_for_group(
        session,
        group_id=ids.parse(GROUP, group_id),
        version=form.version,
        percent=form.percent,
        reason=form.reason,
        actor=actor.label,
        now=clock.now(),
        ip=actor.ip,
    )
    return see_other(f"/admin/groups/{group_id}#limit")


@router.post("/admin/groups/{group_id}")
def change_group(
    session: Db, actor: Operator, group_id: str, form: Annotated[GroupForm, Form()]
) -> Response:
    groups.change(
        session,
        group_id=ids.parse(GROUP, group_id),
        version=form.version,
        name=form.name,
        description=form.description,
        for_newcomers=form.for_newcomers,
        reason=form.reason,
        actor=actor.label,
        now=clock.now(),
        ip=actor.ip,
    )
    return see_other(f"/admin/groups/{group_id}")


@router.post("/admin/memberships")
def move_partner(session: Db, actor: Operator, form: Annotated[MoveForm, Form()]) -> Response:
    """From now on the partner belongs to this group, or to none."""
    groups.move(
        session,
        partner_id=partner_ids.parse(form.partner),
        group_id=ids.parse(GROUP, form.group) if form.group else None,
        reason=form.reason,
        actor=actor.label,
        now=clock.now(),
        ip=actor.ip,
    )
    return see_other(f"/admin/partners/{form.partner}/terms")


@router.get("/admin/partners/{partner_id}/terms")
def show_partner_terms(
    request: Request, session: Db, partner_id: str, offer: OfferName = ""
) -> Response:
    """What one partner gets, since when and why; their group, links and answers."""
    found = agreements.partner_terms(
        session, partner_id=partner_ids.parse(partner_id), offer=offer, now=clock.now()
    )
    return page(request, "insights/partner_terms.html", shown=found, plain=shown.plain)


@router.get("/admin/partners/{partner_id}/deals.csv")
def partner_deals_csv(session: Db, partner_id: str) -> Response:
    key = partner_ids.parse(partner_id)
    lines = deals.history(session, partner_id=key, now=clock.now())
    return csv.response("deals.csv", DEAL_HEADER, map(_cells, lines))


@router.get("/admin/offers/{name}/terms")
def show_offer_terms(request: Request, session: Db, name: str) -> Response:
    """Tiers, durations and caps of an offer, for everybody."""
    found = agreements.offer_terms(session, offer=offers.named(session, name), now=clock.now())
    return page(request, "insights/offer_terms.html", shown=found, plain=shown.plain)


@router.get("/admin/offers/{name}/deals.csv")
def offer_deals_csv(session: Db, name: str) -> Response:
    lines = deals.history(session, offer_id=offers.named(session, name).id, now=clock.now())
    return csv.response("deals.csv", DEAL_HEADER, map(_cells, lines))


@router.post("/admin/deals")
def agree(session: Db, actor: Operator, form: Annotated[DealForm, Form()]) -> Response:
    """The next version of what is agreed with whom about what."""
    deals.agree(
        session,
        scope=_scope(session, form),
        agreement=_agreement(form),
        version=form.version,
        reason=form.reason,
        actor=actor.label,
        now=clock.now(),
        from_at=form.from_at,
        until_at=form.until_at,
        ip=actor.ip,
    )
    return see_other(_back(form))


@router.post("/admin/deals/end")
def end(session: Db, actor: Operator, form: Annotated[DealForm, Form()]) -> Response:
    deals.end(
        session,
        scope=_scope(session, form),
        version=form.version,
        reason=form.reason,
        actor=actor.label,
        now=clock.now(),
        ip=actor.ip,
    )
    return see_other(_back(form))


@router.post("/admin/links/{link_id}/own-content")
def mark_link(
    session: Db, actor: Operator, link_id: str, form: Annotated[MarkForm, Form()]
) -> Response:
    """Whether what the link shares is the partner's own content: it has a share of its own."""
    link = marks.mark_own_content(
        session,
        link_id=ids.parse(LINK, link_id),
        own_content=form.own_content,
        actor=actor.label,
        now=clock.now(),
        ip=actor.ip,
    )
    return see_other(
        f"/admin/partners/{partner_ids.public(PartnerId(link.partner_id))}/terms#links"
    )


def _scope(session: Db, form: DealForm) -> Scope:
    return Scope(
        group_id=ids.parse(GROUP, form.group) if form.group else None,
        partner_id=partner_ids.parse(form.partner) if form.partner else None,
        offer_id=offers.named(session, form.offer).id if form.offer else None,
    )


def _back(form: DealForm) -> str:
    if form.group:
        return f"/admin/groups/{form.group}"
    if form.partner:
        return f"/admin/partners/{form.partner}/terms"
    return f"/admin/offers/{form.offer}/terms"


def _agreement(form: DealForm) -> Agreement:
    return Agreement(
        share_bps=_bps(form.share),
        own_share_bps=_bps(form.own_share),
        cpc=_amount(form.cpc),
        reserve_bps=_bps(form.reserve),
        release_days=form.release_days,
        cap_day=_amount(form.cap_day),
        cap_month=_amount(form.cap_month),
        months=_count(form.months),
        tiers=deals.tiers_of(form.tiers),
        marginal=form.marginal,
    )


def _bps(percent: str) -> int | None:
    """A percentage as typed has as many hundredths as basis points."""
    return Money.parse(percent.removesuffix("%")).cents if percent else None


def _amount(typed: str) -> Money | None:
    return offers.price(typed) if typed else None


def _count(typed: str) -> int | None:
    if not typed:
        return None
    if not typed.isdecimal() or len(typed) > 6:
        raise deals.BadDeal
    return int(typed)


def _cells(line: DealLine) -> tuple[object, ...]:
    """A version as a row of the CSV."""
    deal = line.deal
    return (
        ids.public(DEAL, deal.id),
        line.offer or "",
        deal.version,
        line.state,
        deal.in_force_at,
        deal.until_at,
        deal.ended,
        deal.share_bps,
        deal.own_share_bps,
        shown.plain(deal.cpc_micro),
        deal.reserve_bps,
        deal.release_days,
        shown.plain(deal.cap_day_micro),
        shown.plain(deal.cap_month_micro),
        deal.months,
        " ".join(f"{shown.plain(row['from_micro'])}:{row['share_bps']}" for row in deal.tiers),
        deal.marginal,
        deal.reason,
        deal.actor,
    )
