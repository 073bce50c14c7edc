"""What lower modules' events start here: partners' endpoints are told."""

from datetime import datetime
from typing import Any
from uuid import UUID

from flowlink.insights import outgoing, own_sales
from flowlink.kernel import db, jobs
from flowlink.tracking import arrivals


@jobs.handler("conversion.changed", coalesce=True)
def tell_conversions(payload: dict[str, Any], now: datetime) -> None:
    """Tell of everything that is due, not of the one conversion that the event names."""
    while True:
        with db.write() as session:
            if not outgoing.tell_conversions(session, now=now):
                return


@jobs.handler("withdrawal.changed")
def tell_withdrawal(payload: dict[str, Any], now: datetime) -> None:
    key, sequence = UUID(payload["withdrawal_id"]), int(payload["sequence"])
    with db.write() as session:
        outgoing.tell_withdrawal(session, withdrawal_id=key, sequence=sequence, now=now)


@jobs.handler("hold.placed")
def tell_hold_placed(payload: dict[str, Any], now: datetime) -> None:
    _tell_hold(payload, "hold.placed", now)


@jobs.handler("hold.lifted")
def tell_hold_lifted(payload: dict[str, Any], now: datetime) -> None:
    _tell_hold(payload, "hold.lifted", now)


@jobs.handler("endpoint.disabled")
def tell_owner(payload: dict[str, Any], now: datetime) -> None:
    """Write to the partner."""
    endpoint_id, owner_id = UUID(payload["endpoint_id"]), UUID(payload["owner_id"])
    with db.write() as session:
        outgoing.tell_owner(session, endpoint_id=endpoint_id, owner_id=owner_id, now=now)


def _tell_hold(payload: dict[str, Any], event: str, now: datetime) -> None:
    with db.write() as session:
        outgoing.tell_hold(session, hold_id=UUID(payload["hold_id"]), event=event, now=now)


@jobs.handler("user.arrived")
def keep_arrival(payload: dict[str, Any], now: datetime) -> None:
    """Keep the click that brought somebody with their account."""
    user_id = UUID(payload["user_id"])
    with db.write() as session:
        arrivals.keep(session, user_id=user_id, token=payload["origin"], now=now)


@jobs.handler("team.created")
def begin_customer(payload: dict[str, Any], now: datetime) -> None:
    """Decide whose link brought the team."""
    with db.write() as session:
        own_sales.attribute(session, team_id=UUID(payload["team_id"]))


@jobs.handler("payment.completed")
def tell_paid(payload: dict[str, Any], now: datetime) -> None:
    """Let the payment of a team that a link brought be a conversion."""
    _tell_payment(payload, now)


@jobs.handler("payment.refunded")
def tell_refunded(payload: dict[str, Any], now: datetime) -> None:
    """Take its commission back, in proportion."""
    _tell_payment(payload, now)


@jobs.handler("payment.disputed")
def tell_disputed(payload: dict[str, Any], now: datetime) -> None:
    """Set its commission apart, or free again."""
    _tell_payment(payload, now)


@jobs.job("own_sales_settle", cron="20 0 * * *")
def settle_own_sales(now: datetime) -> str:
    """Let the house pay itself what its own network owes for conversions changed by hand."""
    with db.write() as session:
        moved = own_sales.settle_all(session, now=now)
    return "own sales were settled" if moved else "nothing was owed"


def _tell_payment(payload: dict[str, Any], now: datetime) -> None:
    with db.write() as session:
        own_sales.tell(session, payment_id=UUID(payload["payment_id"]), now=now)
