"""What teams pay becomes what partners earn: a team that came through a link is a conversion.

This is where the paying side meets the earning side. Each step asks for the present state, so that
events may come twice and in any order.
"""

from datetime import datetime
from uuid import UUID

from sqlalchemy import select
from sqlalchemy.orm import Session

from flowlink.billing import ids, queries as billing
from flowlink.billing.models import Dispute, Paid, Payment
from flowlink.kernel import db
from flowlink.kernel.money import Money
from flowlink.ledger import queries as books, service as ledger
from flowlink.ledger.service import AccountKind, Code, Entry, EntryKind, Transfer
from flowlink.papers import vat
from flowlink.payouts import commissions, disputes
from flowlink.payouts.case_models import DisputeState
from flowlink.payouts.disputes import DisputeOpen, NothingToDispute, UnknownDispute
from flowlink.teams import ids as team_ids
from flowlink.teams.models import Member, Team
from flowlink.tracking import arrivals
from flowlink.tracking.arrival_models import Customer
from flowlink.tracking.arrivals import OwnSale

ACTOR = "billing"


def attribute(session: Session, *, team_id: UUID) -> Customer | None:
    """Decide whose link brought a team: by the clicks that its founder had when it was made."""
    team = session.get_one(Team, team_id)
    founded = Member.team_id == team_id, Member.joined_at == team.created_at
    founder = session.scalars(select(Member.user_id).where(*founded)).first()
    name = team_ids.public(team_id)
    if founder is None:
        return arrivals.find(session, name)
    return arrivals.attribute(session, customer=name, user_id=founder, now=team.created_at)


def tell(session: Session, *, payment_id: UUID, now: datetime) -> UUID | None:
    """Bring the conversion of a payment, and its commission, to what is left of it now.

    Its amount is what the house keeps: without the tax, and without what went back. The
    conversion, or None: nobody's link brought the team, or the payment is not that click's.
    """
    payment = billing.payment(session, payment_id=payment_id)
    if payment.status != Paid.PAID or payment.paid_at is None:
        return None
    customer = attribute(session, team_id=payment.team_id)
    if customer is None or not arrivals.counts(customer, paid_at=payment.paid_at):
        return None
    sale = OwnSale(txn_id=ids.payment(payment.id), goal=payment.purpose, left=_left(payment))
    told = arrivals.report(session, customer=customer, sale=sale, now=now)
    if told.conversion_id is None:
        return None
    commissions.post_conversions(session, conversion_ids=[told.conversion_id], now=now)
    _dispute(session, payment, told.conversion_id, now=now)
    settle(session, network_id=customer.network_id, now=now)
    return told.conversion_id


def settle(session: Session, *, network_id: UUID, now: datetime) -> bool:
    """What our own network owes for its conversions, the house pays itself; False if it is nothing.

    So that the books have as income what customers paid, and as expense what partners got of it.
    """
    db.advisory_lock(session, f"own_sales:{network_id}")
    owed = ledger.account(AccountKind.NETWORK_RECEIVABLE, network_id)
    expense = ledger.account(AccountKind.COMMISSION_EXPENSE)
    balance = books.balance(session, owed)
    if not balance:
        return False
    if balance.micro < 0:
        leg = Transfer(expense, owed, -balance, Code.OWN_SALE)
    else:
        leg = Transfer(owed, expense, balance, Code.OWN_SALE_BACK)
    source = f"own_sale:{network_id}:{now.isoformat()}"
    while books.find_by_source(session, source) is not None:
        source += "+"  # two within a microsecond
    ledger.post(session, Entry(source, EntryKind.OWN_SALE, (leg,), now, {}), now)
    return True


def settle_all(session: Session, *, now: datetime) -> bool:
    """The same for what people changed by hand since."""
    return settle(session, network_id=arrivals.own_network(session, now=now).id, now=now)


def _left(payment: Payment) -> Money:
    gone = payment.amount if payment.dispute == Dispute.LOST else payment.refunded
    return (
        vat.split(payment.amount, payment.vat_rate_bps).net
        - vat.split(gone, payment.vat_rate_bps).net
    )


def _dispute(session: Session, payment: Payment, conversion_id: UUID, *, now: datetime) -> None:
    """While the customer's bank decides, the commission is set apart."""
    reference = ids.payment(payment.id)
    if payment.dispute == Dispute.OPEN:
        try:
            disputes.open_dispute(
                session, conversion_id=conversion_id, reference=reference, actor=ACTOR, now=now
            )
        except (NothingToDispute, DisputeOpen):
            return
    elif payment.dispute == Dispute.WON:
        try:
            found = disputes.named(session, conversion_id=conversion_id, reference=reference)
        except UnknownDispute:
            return
        if found.state == DisputeState.OPEN:
            disputes.win(session, dispute_id=found.id, actor=ACTOR, now=now)
