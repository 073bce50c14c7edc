"""What we know when a partner misses a conversion: kept with the case, for whoever decides."""

from datetime import UTC, datetime, time, timedelta
from typing import Any
from uuid import UUID

from sqlalchemy import func, or_, select
from sqlalchemy.orm import Session

from flowlink.kernel import ids
from flowlink.kernel.errors import Refused
from flowlink.kernel.money import Money
from flowlink.partners.models import Partner
from flowlink.payouts import click_queries
from flowlink.payouts.cases import Claim
from flowlink.payouts.models import Commission
from flowlink.tracking import clickid, queries as tracking
from flowlink.tracking.ids import CONVERSION, POSTBACK
from flowlink.tracking.models import Conversion, Link, Network, Offer, Postback, Result
from flowlink.tracking.rollups import LinkDayCount

AROUND = timedelta(days=1)
SHOWN = 20
_AMOUNTS = ("amount", "share", "earned")


class NotYourClick(Refused):
    message = "This is not a click of one of your links."
    field = "click"


def link_of(session: Session, *, partner: Partner, code: str, click: str) -> UUID | None:
    """The partner's link that the claim is about, by its code or by the click's id.

    :raises NotYourClick: the click is nobody's, or another partner's.
    """
    if click.strip():
        ref = clickid.read(click.strip())
        if ref is None or ref.partner != partner.number:
            raise NotYourClick
        return session.scalar(select(Link.id).where(Link.number == ref.link))
    mine = Link.partner_id == partner.id, Link.code == code.strip()
    return session.scalar(select(Link.id).where(*mine))


def gather(session: Session, *, partner: Partner, claim: Claim) -> dict[str, Any]:
    """Click, link, sales and postbacks around the claim, as plain values."""
    facts: dict[str, Any] = {}
    if claim.click.strip():
        facts["click"] = _click(session, partner, claim.click.strip())
    if claim.link_id is not None:
        facts["link"] = _link(session, claim.link_id, claim)
    facts["sales"] = _sales(session, partner, claim)
    facts["postbacks"] = _postbacks(session, claim)
    return facts


def shown(facts: dict[str, Any]) -> dict[str, Any]:
    """The same for pages: moments and amounts are moments and amounts again."""
    click = facts.get("click")
    return facts | {
        "click": _typed(click) if click else None,
        "sales": [_typed(sale) for sale in facts["sales"]],
        "postbacks": [_typed(sent) for sent in facts["postbacks"]],
    }


def _typed(line: dict[str, Any]) -> dict[str, Any]:
    amounts = {name: _money(line[name]) for name in _AMOUNTS if name in line}
    return line | amounts | {"at": datetime.fromisoformat(line["at"])}


def _money(text: str) -> Money | None:
    """What `str` made of an amount; None where there was none."""
    number, _, currency = text.partition(" ")
    return Money.parse(number, currency) if text else None


def _click(session: Session, partner: Partner, token: str) -> dict[str, Any]:
    ref = clickid.read(token)
    assert ref is not None, "link_of has read it"
    found = tracking.click(session, ref)
    money = click_queries.click_money(session, partner_id=partner.id, number=ref.number)
    return {
        "token": token,
        "at": clickid.at(ref.number).isoformat(timespec="seconds"),
        "stored": found is not None,
        "reason": found.reason.name.lower() if found else "",
        "referrer": found.referrer if found else "",
        "earned": str(money.line.price) if money and money.zero is None else "",
    }


def _link(session: Session, link_id: UUID, claim: Claim) -> dict[str, Any]:
    link = session.get_one(Link, link_id)
    offer = session.get_one(Offer, link.offer_id)
    counted = select(func.sum(LinkDayCount.valid), func.sum(LinkDayCount.flagged)).where(
        LinkDayCount.link == link.number,
        LinkDayCount.day.between(claim.happened_on - AROUND, claim.happened_on + AROUND),
    )
    valid, flagged = session.execute(counted).one()
    return {
        "code": link.code,
        "offer": offer.name,
        "mode": str(offer.mode),
        "network": session.get_one(Network, offer.network_id).name,
        "clicks": int(valid or 0),
        "other_clicks": int(flagged or 0),
    }


def _sales(session: Session, partner: Partner, claim: Claim) -> list[dict[str, Any]]:
    """What we have of this partner around that day, or under the order's own name."""
    start = datetime.combine(claim.happened_on, time.min, UTC)
    on_time = Conversion.occurred_at.between(start - AROUND, start + 2 * AROUND)
    order = claim.order_reference.strip()
    rows = (
        select(Conversion, Commission)
        .outerjoin(Commission, Commission.conversion_id == Conversion.id)
        .where(
            Conversion.partner_id == partner.id,
            or_(on_time, Conversion.txn_id == order) if order else on_time,
        )
        .order_by(Conversion.id.desc())
        .limit(SHOWN)
    )
    return [
        {
            "id": ids.public(CONVERSION, sale.id),
            "at": sale.occurred_at.isoformat(timespec="seconds"),
            "status": str(sale.status),
            "amount": str(sale.amount),
            "txn": sale.txn_id or "",
            "share": "" if commission is None else str(_share(commission)),
        }
        for sale, commission in session.execute(rows)
    ]


def _share(commission: Commission) -> Money:
    return Money(commission.share_micro, commission.currency)


def _postbacks(session: Session, claim: Claim) -> list[dict[str, Any]]:
    """What networks sent that names the order or the click and made no sale."""
    words = [word for word in (claim.order_reference.strip(), claim.click.strip()) if len(word) > 3]
    if not words:
        return []
    start = datetime.combine(claim.happened_on, time.min, UTC)
    rows = (
        select(Postback, Network.name)
        .outerjoin(Network, Network.id == Postback.network_id)
        .where(
            or_(*(Postback.query.contains(word, autoescape=True) for word in words)),
            Postback.received_at.between(start - 7 * AROUND, start + 31 * AROUND),
            Postback.result != Result.DUPLICATE,
        )
        .order_by(Postback.id.desc())
        .limit(SHOWN)
    )
    return [
        {
            "id": ids.public(POSTBACK, sent.id),
            "at": sent.received_at.isoformat(timespec="seconds"),
            "network": name or "",
            "result": str(sent.result),
            "reason": sent.reason or "",
        }
        for sent, name in session.execute(rows)
    ]
