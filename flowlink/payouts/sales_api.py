"""A partner's conversions for their programs, with what each brought: payouts knows that."""

from collections.abc import Collection
from datetime import datetime
from uuid import UUID

from fastapi import APIRouter
from pydantic import BaseModel
from sqlalchemy import select
from sqlalchemy.orm import Session

from flowlink.kernel import ids
from flowlink.kernel.money import Money
from flowlink.partners import queries as partners
from flowlink.partners.deps import CurrentPartner
from flowlink.payouts.models import Commission
from flowlink.tracking import queries
from flowlink.tracking.ids import CONVERSION
from flowlink.tracking.models import Conversion, Link
from flowlink.web import lists
from flowlink.web.amounts import Amount, money_json
from flowlink.web.lists import SIZE, Cursor
from flowlink.web.sessions import Db

router = APIRouter()


class ConversionRow(BaseModel):
    id: str
    status: str
    amount: Amount
    commission: Amount
    txn_id: str | None
    goal: str
    click_id: str | None
    link: str
    revision: int
    occurred_at: datetime
    updated_at: datetime


class ConversionPage(BaseModel):
    conversions: list[ConversionRow]
    next: str | None


@router.get("/api/partner/conversions")
def list_conversions(
    session: Db, partner_id: CurrentPartner, cursor: Cursor = None
) -> ConversionPage:
    """Your conversions, newest first. `commission` is your part before the reserve, zero when
    the sale was taken back."""
    found = queries.conversions_of(
        session, partner_id=partner_id, before=lists.before(cursor), limit=SIZE + 1
    )
    page = lists.cut(found, key=lambda one: one.id)
    links = queries.links_by_id(session, {one.link_id for one in page.items})
    partner = partners.get(session, partner_id).number
    brought = _brought(session, {one.id for one in page.items})
    rows = [
        _conversion_row(one, links[one.link_id], partner, brought.get(one.id)) for one in page.items
    ]
    return ConversionPage(conversions=rows, next=page.next)


def _brought(session: Session, conversion_ids: Collection[UUID]) -> dict[UUID, Money]:
    """What these sales brought, or are expected to, under the terms pinned to them."""
    rows = select(Commission).where(Commission.conversion_id.in_(conversion_ids))
    return {
        each.conversion_id: Money(each.share_micro + each.pending_micro, each.currency)
        for each in session.scalars(rows)
    }


def _conversion_row(
    conversion: Conversion, link: Link, partner: int, brought: Money | None
) -> ConversionRow:
    """A sale that is not posted yet shows what its offer says: for less than a second."""
    commission = conversion.amount.share(conversion.share_bps) if brought is None else brought
    return ConversionRow(
        id=ids.public(CONVERSION, conversion.id),
        status=conversion.status,
        amount=money_json(conversion.amount),
        commission=money_json(commission),
        txn_id=conversion.txn_id,
        goal=conversion.goal,
        click_id=queries.token_of(conversion, link, partner),
        link=link.code,
        revision=conversion.revision,
        occurred_at=conversion.occurred_at,
        updated_at=conversion.updated_at,
    )
