"""The proof that billing and ledger say the same, and that nothing is granted unpaid."""

from collections.abc import Iterator

from sqlalchemy import text
from sqlalchemy.orm import Session

from flowlink.kernel.money import Money

_DEFERRED = text(
    """
    WITH booked AS (
      SELECT a.owner, sum(b.balance)::bigint AS balance
        FROM ledger_account AS a JOIN ledger_balance AS b ON b.account = a.number
       WHERE a.kind = 'deferred' GROUP BY 1)
    SELECT p.id, p.net_minor * 10000 - p.recognised_micro - p.undeferred_micro AS kept,
           coalesce(b.balance, 0) AS booked
      FROM billing_payment AS p FULL JOIN booked AS b ON b.owner = p.id::text
     WHERE p.id IS NULL AND b.balance <> 0
        OR p.net_minor * 10000 - p.recognised_micro - p.undeferred_micro
           IS DISTINCT FROM coalesce(b.balance, 0)
     LIMIT 100
    """
)
# What the provider owes us, by what our payments say: paid, less given back, less disputed.
_CLEARING = text(
    """
    WITH wanted AS (
      SELECT provider, sum(CASE dispute
               WHEN 'open' THEN 0 WHEN 'lost' THEN 0 ELSE amount_minor - refunded_minor END)
             AS minor
        FROM billing_payment WHERE status = 'paid' GROUP BY 1
    ), booked AS (
      SELECT a.owner AS provider, -sum(b.balance)::bigint AS micro
        FROM ledger_account AS a JOIN ledger_balance AS b ON b.account = a.number
       WHERE a.kind = 'clearing' GROUP BY 1)
    SELECT provider, coalesce(w.minor, 0) * 10000 AS kept, coalesce(b.micro, 0) AS booked
      FROM wanted AS w FULL JOIN booked AS b USING (provider)
     WHERE coalesce(w.minor, 0) * 10000 <> coalesce(b.micro, 0)
    """
)
_UNPAID = text(
    """
    SELECT g.id FROM billing_grant AS g LEFT JOIN billing_payment AS p ON p.id = g.payment_id
     WHERE g.reason = 'paid' AND (p.status IS DISTINCT FROM 'paid'
           OR p.team_id <> g.team_id OR p.starts_at <> g.starts_at OR p.ends_at <> g.ends_at)
     LIMIT 100
    """
)
_UNGRANTED = text(
    """
    SELECT p.id FROM billing_payment AS p
     WHERE p.status = 'paid' AND p.refund_asked_minor < p.amount_minor
       AND NOT EXISTS (SELECT FROM billing_grant AS g WHERE g.payment_id = p.id)
     LIMIT 100
    """
)


def problems(session: Session) -> list[str]:
    """What is wrong, by name and figure; empty when every payment is booked and granted once.

    An entry of a payout of the provider to our bank lowers what it owes us: none is booked yet.
    """
    return [*_deferred(session), *_clearing(session), *_grants(session)]


def _deferred(session: Session) -> Iterator[str]:
    for row in session.execute(_DEFERRED):
        yield (
            f"payment {row.id}: {Money(row.kept or 0)} is still to be earned,"
            f" the ledger has {Money(row.booked)}"
        )


def _clearing(session: Session) -> Iterator[str]:
    for row in session.execute(_CLEARING):
        yield (
            f"provider {row.provider}: payments say it owes {Money(int(row.kept))},"
            f" the ledger {Money(row.booked)}"
        )


def _grants(session: Session) -> Iterator[str]:
    for (key,) in session.execute(_UNPAID):
        yield f"grant {key}: it does not fit a payment that was made"
    for (key,) in session.execute(_UNGRANTED):
        yield f"payment {key}: it is paid, and nothing was given for it"
