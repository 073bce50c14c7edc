"""Withdrawals, as a partner asks for them, and their money as programs read it."""

from datetime import date, datetime
from typing import Annotated

from fastapi import APIRouter, Form, Query, Response
from pydantic import BaseModel

from flowlink.kernel import clock, ids
from flowlink.kernel.money import Money
from flowlink.ledger import queries as ledger
from flowlink.ledger.accounts import PARTNER_KINDS, account
from flowlink.partners.deps import CurrentPartner
from flowlink.payouts import click_queries, queries, service as payouts
from flowlink.payouts.click_queries import AccrualLine
from flowlink.payouts.deps import CurrentPolicy
from flowlink.payouts.ids import ACCRUAL
from flowlink.web import lists
from flowlink.web.amounts import money_json
from flowlink.web.forms import Line, MoneyField
from flowlink.web.paging import cursor_encode
from flowlink.web.render import see_other
from flowlink.web.sessions import Db

ENTRY = "ent"

router = APIRouter()


class WithdrawalForm(BaseModel):
    amount: MoneyField
    method: Line = ""
    details: Line = ""
    holder: Line = ""
    once: Line = ""


class AmountOut(BaseModel):
    """Whole cents as a decimal number in a string."""

    amount: str
    currency: str


class ReleaseOut(BaseModel):
    amount: AmountOut
    on: date


class BalanceOut(BaseModel):
    pending: AmountOut
    reserved: AmountOut
    held: AmountOut
    available: AmountOut
    withdrawing: AmountOut
    paid: AmountOut
    releases: list[ReleaseOut]


class EntryOut(BaseModel):
    """What one transfer did to one of the partner's accounts."""

    entry_id: str
    at: datetime
    kind: str
    account: str
    code: str
    amount: AmountOut
    balance_after: AmountOut | None
    source: str


class AccrualOut(BaseModel):
    """Clicks of an hour on one offer: how many were paid, and why others earned nothing."""

    id: str
    hour: datetime
    offer: str
    version: int
    paid_clicks: int
    unpaid_clicks: dict[str, int]
    amount: AmountOut
    posted_at: datetime


class AccrualsOut(BaseModel):
    accruals: list[AccrualOut]
    next: str | None


class EntriesOut(BaseModel):
    entries: list[EntryOut]
    next: str | None


@router.post("/partners/withdraw", include_in_schema=False)
def withdraw(
    session: Db,
    partner_id: CurrentPartner,
    policy: CurrentPolicy,
    form: Annotated[WithdrawalForm, Form()],
) -> Response:
    payouts.request_withdrawal(
        session,
        partner_id=partner_id,
        amount=form.amount,
        rail=form.method,
        details=form.details,
        policy=policy,
        now=clock.now(),
        once=form.once,
        holder=form.holder,
    )
    return see_other("/partners/earnings")


@router.get("/api/partner/balance")
def balance(session: Db, partner_id: CurrentPartner) -> BalanceOut:
    """All of the partner's money, and when the reserve becomes available."""
    found = queries.balances(session, partner_id)
    return BalanceOut(
        pending=_amount(found.pending),
        reserved=_amount(found.reserved),
        held=_amount(found.held),
        available=_amount(found.available),
        withdrawing=_amount(found.withdrawing),
        paid=_amount(found.paid),
        releases=[
            ReleaseOut(amount=_amount(each.amount), on=each.on)
            for each in queries.releases(session, partner_id)
        ],
    )


@router.get("/api/partner/entries")
def entries(
    session: Db,
    partner_id: CurrentPartner,
    cursor: lists.Cursor = None,
    limit: Annotated[int, Query(ge=1, le=200)] = 50,
) -> EntriesOut:
    """The ledger's lines of the partner's accounts, the newest first."""
    mine = [account(kind, partner_id) for kind in PARTNER_KINDS]
    found = ledger.lines(session, mine, cursor=lists.position(cursor), limit=limit)
    return EntriesOut(
        entries=[_entry(line) for line in found.items],
        next=None if found.next is None else cursor_encode(found.next),
    )


@router.get("/api/partner/accruals")
def accruals(
    session: Db,
    partner_id: CurrentPartner,
    cursor: lists.Cursor = None,
    limit: Annotated[int, Query(ge=1, le=200)] = 50,
) -> AccrualsOut:
    """Paid clicks hour by hour, the newest first. Bots and second clicks are not counted here."""
    found = click_queries.accruals(
        session, partner_id=partner_id, before=lists.before(cursor), limit=limit + 1
    )
    cut = lists.cut(found, key=lambda line: line.accrual.id, size=limit)
    return AccrualsOut(accruals=[_accrual(line) for line in cut.items], next=cut.next)


def _accrual(line: AccrualLine) -> AccrualOut:
    return AccrualOut(
        id=ids.public(ACCRUAL, line.accrual.id),
        hour=line.accrual.hour,
        offer=line.offer,
        version=line.accrual.version,
        paid_clicks=line.paid,
        unpaid_clicks={str(reason): number for reason, number in line.zeros.items()},
        amount=_amount(line.accrual.amount),
        posted_at=line.accrual.posted_at,
    )


def _entry(line: ledger.Line) -> EntryOut:
    return EntryOut(
        entry_id=ids.public(ENTRY, line.entry_id),
        at=line.at,
        kind=line.kind,
        account=line.account.kind,
        code=line.code,
        amount=_amount(line.amount),
        balance_after=_amount(line.balance_after) if line.balance_after is not None else None,
        source=line.source,
    )


def _amount(money: Money) -> AmountOut:
    return AmountOut(**money_json(money))
