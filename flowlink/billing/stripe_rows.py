"""What we write down about Stripe's objects, each change in a transaction of its own.

`move` changes a charge only if it still is what its caller read: of two that act on one charge,
the later one learns that it was late, before it has asked Stripe for anything that costs.
"""

from datetime import datetime

from sqlalchemy import or_, select
from sqlalchemy.dialects.postgresql import insert

from flowlink.billing.providers import Order
from flowlink.billing.stripe_models import AWAY, PAGE, StripeCharge, StripeListing, StripePayer
from flowlink.kernel import db


def order(wanted: Order, *, kind: str, now: datetime) -> StripeCharge:
    """The charge of this name; a new one is of this kind."""
    row = insert(StripeCharge).values(
        ref=wanted.ref,
        payer=wanted.payer,
        kind=kind,
        amount_minor=wanted.amount_minor,
        currency=wanted.currency,
        title=wanted.title,
        back_url=wanted.back_url,
        made_at=now,
        changed_at=now,
    )
    with db.write() as session:
        session.execute(row.on_conflict_do_nothing(index_elements=["ref"]))
        return session.get_one(StripeCharge, wanted.ref, populate_existing=True)


def find(ref: str) -> StripeCharge | None:
    """The charge as it was written down last."""
    with db.read() as session:
        return session.get(StripeCharge, ref, populate_existing=True)


def ref_of(intent_id: str) -> str | None:
    """Our name for a payment intent that we have seen."""
    wanted = select(StripeCharge.ref).where(StripeCharge.intent_id == intent_id)
    with db.read() as session:
        return session.scalars(wanted).one_or_none() if intent_id else None


def move(row: StripeCharge, *, now: datetime, **changes: object) -> StripeCharge | None:
    """Change a charge that is still as read and not closed; None if it is not."""
    with db.write() as session:
        found = db.lock(
            session,
            StripeCharge,
            StripeCharge.ref == row.ref,
            StripeCharge.kind == row.kind,
            StripeCharge.number == row.number,
            StripeCharge.session_id == row.session_id,
            StripeCharge.intent_id == row.intent_id,
            StripeCharge.closed_at.is_(None),
        )
        if not found:
            return None
        for name, value in changes.items():
            setattr(found[0], name, value)
        found[0].changed_at = now
        return found[0]


def again(row: StripeCharge, *, now: datetime) -> StripeCharge | None:
    """The next thing at Stripe under the same name; None if somebody was faster."""
    return move(row, now=now, number=row.number + 1, session_id="", intent_id="")


def to_page(row: StripeCharge, *, now: datetime) -> StripeCharge | None:
    """From now on it is paid on Stripe's page; None if somebody was faster."""
    changes = {"kind": PAGE, "number": row.number + 1, "session_id": "", "intent_id": ""}
    return move(row, now=now, **changes)


def learn_intent(row: StripeCharge, intent_id: str) -> None:
    """Write down which intent a page made, to know it when a dispute names it alone."""
    with db.write() as session:
        mine = StripeCharge.ref == row.ref, StripeCharge.session_id == row.session_id
        for found in db.lock(session, StripeCharge, *mine):
            found.intent_id = intent_id


def close(ref: str, *, now: datetime) -> StripeCharge | None:
    """Begin nothing under this name any more; None if nothing was ever begun."""
    tombstone = insert(StripeCharge).values(
        ref=ref,
        payer="",
        kind=AWAY,
        amount_minor=0,
        currency="",
        title="",
        back_url="",
        closed_at=now,
        made_at=now,
        changed_at=now,
    )
    with db.write() as session:
        session.execute(tombstone.on_conflict_do_nothing(index_elements=["ref"]))
        [row] = db.lock(session, StripeCharge, StripeCharge.ref == ref)
        row.closed_at = row.closed_at or now
        return row if row.amount_minor else None


def payer(name: str) -> StripePayer | None:
    """Who this is at Stripe."""
    with db.read() as session:
        return session.get(StripePayer, name, populate_existing=True)


def keep_customer(name: str, customer_id: str, *, now: datetime) -> StripePayer:
    """The customer of a payer: the one that was written down first."""
    row = insert(StripePayer).values(payer=name, customer_id=customer_id, made_at=now)
    with db.write() as session:
        session.execute(row.on_conflict_do_nothing(index_elements=["payer"]))
        return session.get_one(StripePayer, name, populate_existing=True)


def forget_customer(name: str, customer_id: str) -> None:
    """Stripe does not know this customer any more: the next payment makes another."""
    with db.write() as session:
        mine = StripePayer.payer == name, StripePayer.customer_id == customer_id
        for found in db.lock(session, StripePayer, *mine):
            session.delete(found)


def keep_method(name: str, customer_id: str, method_id: str, *, paid_at: datetime) -> None:
    """What to charge next time: what the latest payment was made with."""
    with db.write() as session:
        older = or_(StripePayer.method_at.is_(None), StripePayer.method_at <= paid_at)
        mine = StripePayer.payer == name, StripePayer.customer_id == customer_id
        for found in db.lock(session, StripePayer, *mine, older):
            found.method_id, found.method_at = method_id, paid_at


def listed_until() -> datetime | None:
    """Up to when Stripe's list of events was read."""
    with db.read() as session:
        row = session.get(StripeListing, 1, populate_existing=True)
        return None if row is None else row.listed_until


def keep_listed(until: datetime) -> None:
    """Never moves back."""
    row = insert(StripeListing).values(id=1, listed_until=until)
    later = row.on_conflict_do_update(
        index_elements=["id"],
        set_={"listed_until": until},
        where=StripeListing.listed_until < until,
    )
    with db.write() as session:
        session.execute(later)
