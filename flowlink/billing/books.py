"""What payments do to the books: sale, refund, dispute, and revenue day by day.

A sale owes service for its net and tax for the rest. What is given back comes first out of what
is still owed, then out of what was recognised.
"""

from datetime import UTC, datetime, timedelta

from sqlalchemy import select
from sqlalchemy.orm import Session

from flowlink.billing import ids
from flowlink.billing.models import Dispute, Paid, Payment
from flowlink.kernel import db
from flowlink.kernel.money import Money
from flowlink.ledger import service as ledger
from flowlink.ledger.service import Account, AccountKind, Code, Entry, EntryKind, Transfer
from flowlink.papers import vat

BATCH = 500


def sell(session: Session, payment: Payment, *, now: datetime) -> None:
    """Book what came in: the provider owes us it, we owe the service and the tax."""
    net = Money.from_cents(payment.net_minor, payment.currency)
    legs = [
        Transfer(_clearing(payment), _deferred(payment), net, Code.SALE),
        Transfer(_clearing(payment), _vat(payment), payment.amount - net, Code.SALE_VAT),
    ]
    _post(session, payment, "sale", "", EntryKind.SALE, legs, now=now)


def give_back(session: Session, payment: Payment, *, total_minor: int, now: datetime) -> None:
    """Book that `total_minor` of it has gone back in all: of what the bank holds in a dispute."""
    held = payment.dispute == Dispute.OPEN
    legs = _taken_back(
        payment,
        from_minor=payment.refunded_minor,
        to_minor=total_minor,
        credit=_account(AccountKind.DISPUTED, payment) if held else _clearing(payment),
        codes=(Code.DISPUTE_LOST,) * 2 if held else (Code.REFUND, Code.REFUND_VAT),
    )
    payment.refunded_minor = total_minor
    _post(session, payment, "refund", f":{total_minor}", EntryKind.REFUND, legs, now=now)


def dispute(session: Session, payment: Payment, *, to: Dispute, now: datetime) -> None:
    """Book one step of a dispute: the bank holds the money, gives it back, or keeps it."""
    clearing, disputed = _clearing(payment), _account(AccountKind.DISPUTED, payment)
    amount = payment.amount - payment.refunded
    if to == Dispute.OPEN:
        word, legs = "opened", [Transfer(disputed, clearing, amount, Code.DISPUTE)]
    elif to == Dispute.WON:
        word, legs = "won", [Transfer(clearing, disputed, amount, Code.DISPUTE_WON)]
    else:
        word, legs = (
            "lost",
            _taken_back(
                payment,
                from_minor=payment.refunded_minor,
                to_minor=payment.amount_minor,
                credit=disputed,
                codes=(Code.DISPUTE_LOST, Code.DISPUTE_LOST),
            ),
        )
    payment.dispute = to
    _post(session, payment, "dispute", f":{word}", EntryKind.DISPUTE, legs, now=now)


def recognise(session: Session, *, now: datetime, limit: int = BATCH) -> int:
    """Recognise the revenue of all days that are over (UTC); how many payments it moved.

    In each step a payment's rest is spread evenly over its rest of time, so that a refund within
    the period lowers what follows. At the end nothing is left.
    """
    today = now.astimezone(UTC).replace(hour=0, minute=0, second=0, microsecond=0)
    due = (
        Payment.status == Paid.PAID,
        Payment.starts_at < today,
        Payment.recognised_until < today,
        Payment.recognised_until < Payment.ends_at,
    )
    found = session.scalars(select(Payment.id).where(*due).order_by(Payment.id).limit(limit)).all()
    entries = []
    for payment in db.lock(session, Payment, Payment.id.in_(found), *due):
        part = _earned(payment, today)
        payment.recognised_until = today
        if part.micro:
            payment.recognised_micro += part.micro
            legs = (
                Transfer(
                    _deferred(payment),
                    ledger.account(AccountKind.SALES, currency=payment.currency),
                    part,
                    Code.RECOGNITION,
                ),
            )
            source = f"recognition:{payment.id}:{today.date().isoformat()}"
            entries.append(Entry(source, EntryKind.RECOGNITION, legs, today, _ref(payment)))
    for outcome in ledger.post_many(session, entries, now):
        assert outcome.status == ledger.Status.CREATED, outcome.status
    return len(found)


def _earned(payment: Payment, until: datetime) -> Money:
    """The part of what is deferred that the time up to `until` has earned."""
    assert payment.recognised_until is not None
    assert payment.ends_at is not None
    rest = payment.ends_at - payment.recognised_until
    passed = min(until, payment.ends_at) - payment.recognised_until
    second = timedelta(seconds=1)
    if passed >= rest:
        return Money(payment.deferred_micro, payment.currency)
    return Money(payment.deferred_micro * (passed // second) // (rest // second), payment.currency)


def _taken_back(
    payment: Payment, *, from_minor: int, to_minor: int, credit: Account, codes: tuple[Code, Code]
) -> list[Transfer]:
    """Net and tax of what goes back, so that all parts together are what was booked.

    Changes `undeferred_micro` by what is taken from the deferred account.
    """
    before, after = (_split(payment, minor) for minor in (from_minor, to_minor))
    net, tax = after.net - before.net, after.vat - before.vat
    owed = Money(min(net.micro, payment.deferred_micro), payment.currency)
    payment.undeferred_micro += owed.micro
    sales = ledger.account(AccountKind.SALES, currency=payment.currency)
    return [
        Transfer(_deferred(payment), credit, owed, codes[0]),
        Transfer(sales, credit, net - owed, codes[0]),
        Transfer(_vat(payment), credit, tax, codes[1]),
    ]


def _split(payment: Payment, minor: int) -> vat.Taxed:
    return vat.split(Money.from_cents(minor, payment.currency), payment.vat_rate_bps)


def _post(
    session: Session,
    payment: Payment,
    word: str,
    step: str,
    kind: EntryKind,
    legs: list[Transfer],
    *,
    now: datetime,
) -> None:
    moved = tuple(leg for leg in legs if leg.amount.micro)
    entry = Entry(f"{word}:{payment.id}{step}", kind, moved, now, _ref(payment))
    ledger.post(session, entry, now)


def _ref(payment: Payment) -> dict[str, str]:
    return {"payment": ids.payment(payment.id), "resource": ids.resource(payment.resource_id)}


def _account(kind: AccountKind, payment: Payment) -> Account:
    return ledger.account(kind, payment.provider, payment.currency)


def _clearing(payment: Payment) -> Account:
    return _account(AccountKind.CLEARING, payment)


def _deferred(payment: Payment) -> Account:
    return ledger.account(AccountKind.DEFERRED, payment.id, payment.currency)


def _vat(payment: Payment) -> Account:
    return ledger.account(AccountKind.VAT, payment.vat_country, payment.currency)
