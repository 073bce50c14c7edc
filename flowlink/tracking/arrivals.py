"""What we sell ourselves, as a network of our own: who came through whose link, and what they paid.

A click is kept with the account of whoever it brought, so that it counts on every device they sign
in with. What they begin within `ATTRIBUTED_FOR` of their latest click is that link's for good, and
what it pays within that time is a conversion like any other (spec 4). Nobody brings themselves.
"""

from dataclasses import dataclass
from datetime import datetime, timedelta
from urllib.parse import urlencode
from uuid import UUID

from sqlalchemy import func, select
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.orm import Session

from flowlink.kernel import db
from flowlink.kernel.money import Money
from flowlink.partners.models import Partner
from flowlink.tracking import clickid, networks, postbacks
from flowlink.tracking.arrival_models import Arrival, Customer
from flowlink.tracking.models import Link, Network, Status
from flowlink.tracking.networks import NetworkIn
from flowlink.tracking.postbacks import PostbackIn, PostbackResult

ATTRIBUTED_FOR = timedelta(days=90)
NETWORK = "servelink"


@dataclass(frozen=True, slots=True)
class OwnSale:
    """What a customer's payment is worth now: nothing is left of one that went back."""

    txn_id: str
    goal: str
    left: Money


def fresh(token: str, *, now: datetime) -> timedelta | None:
    """How long a click id of ours still counts; None for one that does not."""
    ref = clickid.read(token)
    left = ATTRIBUTED_FOR - (now - clickid.at(ref.number)) if ref else timedelta(0)
    return left if left > timedelta(0) else None


def keep(session: Session, *, user_id: UUID, token: str, now: datetime) -> bool:
    """Remember the click that brought somebody; False if it counts for nothing, or was known."""
    ref = clickid.read(token)
    if ref is None or fresh(token, now=now) is None:
        return False
    link = session.scalar(select(Link).where(Link.number == ref.link))
    if link is None or session.get_one(Partner, link.partner_id).user_id == user_id:
        return False
    row = {
        "user_id": user_id,
        "click_id": ref.number,
        "link_id": link.id,
        "token": token,
        "clicked_at": clickid.at(ref.number),
        "kept_at": now,
    }
    added = insert(Arrival).values(row).on_conflict_do_nothing().returning(Arrival.click_id)
    return session.scalar(added) is not None


def attribute(session: Session, *, customer: str, user_id: UUID, now: datetime) -> Customer | None:
    """Decide whose link brought a new customer; None if nobody's. Once: again is the same."""
    known = find(session, customer)
    if known is not None:
        return known
    latest = (
        select(Arrival, Link.partner_id)
        .join(Link, Link.id == Arrival.link_id)
        .where(Arrival.user_id == user_id, Arrival.clicked_at > now - ATTRIBUTED_FOR)
        .where(Arrival.clicked_at <= now)
        .order_by(Arrival.clicked_at.desc(), Arrival.click_id.desc())
        .limit(1)
    )
    found = session.execute(latest).first()
    if found is None:
        return None
    arrival, partner_id = found
    row = {
        "customer": customer,
        "network_id": own_network(session, now=now).id,
        "link_id": arrival.link_id,
        "partner_id": partner_id,
        "token": arrival.token,
        "clicked_at": arrival.clicked_at,
        "created_at": now,
    }
    session.execute(insert(Customer).values(row).on_conflict_do_nothing())
    return find(session, customer)


def find(session: Session, customer: str) -> Customer | None:
    """Who brought this customer."""
    return session.get(Customer, customer)


def report(session: Session, *, customer: Customer, sale: OwnSale, now: datetime) -> PostbackResult:
    """Tell what a customer's payment is worth now, the way in which every network tells it.

    The same again changes nothing. Ask `counts` first: what is paid later is not the click's.
    """
    network = session.get_one(Network, customer.network_id)
    status = Status.APPROVED if sale.left.micro > 0 else Status.REVERSED
    said = {
        "subid": customer.token,
        "amount": str(sale.left.decimal()),
        "currency": sale.left.currency,
        "status": status.value,
        "txn_id": sale.txn_id,
        "goal": sale.goal,
    }
    query = urlencode({network.fields[name]: value for name, value in said.items()})
    request = PostbackIn(
        method="GET",
        query=networks.signed_query(network, query),
        address=networks.some_address(network),
    )
    return postbacks.receive(session, request=request, now=now)


def counts(customer: Customer, *, paid_at: datetime) -> bool:
    """Whether what is paid at this moment is still the click's."""
    return paid_at < customer.clicked_at + ATTRIBUTED_FOR


def own_network(session: Session, *, now: datetime) -> Network:
    """The network of what we sell ourselves, made when it is first needed."""
    db.advisory_lock(session, "tracking.own_network")
    found = session.scalar(select(Network).where(func.lower(Network.name) == NETWORK))
    if found is not None:
        return found
    given = NetworkIn(name=NETWORK, lookback_days=ATTRIBUTED_FOR.days)
    return networks.create(session, given=given, actor="system", now=now)
