"""A partner's own pages: portal, earnings, ledger lines and trails."""

import secrets
from enum import StrEnum

from fastapi import APIRouter, Request, Response

from flowlink.insights import earnings, live, portal, statement, trail
from flowlink.kernel import clock
from flowlink.partners import letters, queries as partners
from flowlink.partners.deps import CurrentPartner
from flowlink.payouts import click_queries, queries as payouts
from flowlink.payouts.deps import CurrentPolicy
from flowlink.web import csv, lists
from flowlink.web.lists import CSV_SIZE, SIZE, Cursor
from flowlink.web.render import fragment, page
from flowlink.web.sessions import Db

router = APIRouter(include_in_schema=False)

TRAILS = "/partners/trail/"
TEMPLATES = {
    trail.ConversionTrail: "conversion",
    trail.ClickTrail: "click",
    trail.AccrualTrail: "accrual",
    trail.WithdrawalTrail: "withdrawal",
    trail.ReleaseTrail: "release",
    trail.EntryTrail: "entry",
}


class Purse(StrEnum):
    """The accounts whose lines a partner can open, by the words of the page."""

    ALL = "all"
    PENDING = "pending"
    RESERVED = "reserved"
    HELD = "held"
    AVAILABLE = "available"
    WITHDRAWING = "withdrawing"
    DEBT = "debt"


@router.get("/partner/portal")
def show_portal(
    request: Request, session: Db, partner_id: CurrentPartner, policy: CurrentPolicy
) -> Response:
    """What I earned, what comes next, my links, and what needs me."""
    shown = portal.portal(session, partner_id=partner_id, now=clock.now())
    return page(request, "insights/portal.html", portal=shown, policy=policy)


@router.get("/partner/live")
def show_live(
    request: Request, session: Db, partner_id: CurrentPartner, policy: CurrentPolicy
) -> Response:
    """The portal's counters alone, as they are now."""
    found = live.counters(session, partner_id=partner_id, now=clock.now())
    return fragment(request, "insights/_live.html", live=found, policy=policy)


@router.get("/partner/messages.csv")
def messages_csv(session: Db, partner_id: CurrentPartner) -> Response:
    """What was written to them by hand."""
    found = letters.letters(session, partner_id, limit=CSV_SIZE)
    rows = ((letter.at, letter.subject, letter.body) for letter in found)
    return csv.response("messages.csv", ["at", "subject", "message"], rows)


@router.get("/partners/earnings")
def show_earnings(
    request: Request, session: Db, partner_id: CurrentPartner, policy: CurrentPolicy
) -> Response:
    """Every amount with its way to the ledger, the release calendar, and the way to the money."""
    shown = earnings.earnings(session, partner_id=partner_id, now=clock.now())
    return page(
        request,
        "insights/earnings.html",
        earnings=shown,
        policy=policy,
        methods=policy.payout_methods,
        once=secrets.token_urlsafe(16),  # the form sent twice asks once
    )


@router.get("/partners/earnings.csv")
def earnings_csv(session: Db, partner_id: CurrentPartner) -> Response:
    """Clicks and earnings day by day."""
    shown = earnings.earnings(session, partner_id=partner_id, now=clock.now())
    header = ["day", "valid_clicks", "other_clicks", "earned_eur"]
    return csv.response("earnings.csv", header, statement.days(shown.trends))


@router.get("/partners/earnings/lines")
def lines(
    request: Request,
    session: Db,
    partner_id: CurrentPartner,
    account: Purse = Purse.ALL,
    cursor: Cursor = None,
) -> Response:
    """The ledger's lines behind an amount, newest first."""
    found = statement.lines(session, partner_id=partner_id, purse=account, cursor=cursor)
    return page(request, "insights/lines.html", lines=found, account=account, accounts=list(Purse))


@router.get("/partners/earnings/lines.csv")
def lines_csv(session: Db, partner_id: CurrentPartner, account: Purse = Purse.ALL) -> Response:
    found = statement.lines(session, partner_id=partner_id, purse=account, size=CSV_SIZE)
    rows = (statement.line_cells(line) for line in found.items)
    return csv.response(f"lines-{account}.csv", statement.LINE_HEADER, rows)


@router.get("/partners/sales")
def sales(
    request: Request, session: Db, partner_id: CurrentPartner, cursor: Cursor = None
) -> Response:
    """Conversions and what each brought."""
    found = earnings.sales(
        session, partner_id=partner_id, before=lists.before(cursor), limit=SIZE + 1
    )
    cut = lists.cut(found, key=lambda sale: sale.conversion.id)
    return page(request, "insights/sales.html", sales=cut)


@router.get("/partners/sales.csv")
def sales_csv(session: Db, partner_id: CurrentPartner) -> Response:
    found = earnings.sales(session, partner_id=partner_id, limit=CSV_SIZE)
    rows = (statement.sale_cells(sale) for sale in found)
    return csv.response("sales.csv", statement.SALE_HEADER, rows)


@router.get("/partners/accruals")
def accruals(
    request: Request, session: Db, partner_id: CurrentPartner, cursor: Cursor = None
) -> Response:
    """Clicks that were paid, hour by hour, and why others were not."""
    found = click_queries.accruals(
        session, partner_id=partner_id, before=lists.before(cursor), limit=SIZE + 1
    )
    cut = lists.cut(found, key=lambda line: line.accrual.id)
    return page(request, "insights/accruals.html", accruals=cut)


@router.get("/partners/accruals.csv")
def accruals_csv(session: Db, partner_id: CurrentPartner) -> Response:
    found = click_queries.accruals(session, partner_id=partner_id, limit=CSV_SIZE)
    rows = (statement.accrual_cells(line) for line in found)
    return csv.response("accruals.csv", statement.ACCRUAL_HEADER, rows)


@router.get("/partners/withdrawals.csv")
def withdrawals_csv(session: Db, partner_id: CurrentPartner) -> Response:
    found = payouts.withdrawals(session, partner_id, limit=CSV_SIZE)
    rows = (statement.withdrawal_cells(line) for line in found)
    return csv.response("withdrawals.csv", statement.WITHDRAWAL_HEADER, rows)


@router.get("/partners/trail/{name}")
def show_trail(
    request: Request, session: Db, partner_id: CurrentPartner, policy: CurrentPolicy, name: str
) -> Response:
    """The way of one euro: the page for the kind of thing that `name` is."""
    partner = partners.get(session, partner_id)
    found = trail.find(session, partner=partner, name=name)
    template = f"insights/trail_{TEMPLATES[type(found)]}.html"
    return page(request, template, trail=found, partner=partner, policy=policy, trails=TRAILS)
