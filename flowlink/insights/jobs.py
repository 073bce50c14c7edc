"""What lower modules' events start here: partners' endpoints are told."""

from datetime import datetime
from typing import Any
from uuid import UUID

from flowlink.insights import outgoing
from flowlink.kernel import db, jobs


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
