"""The outbox: facts in the past tense, written in the transaction that makes them true."""

from typing import Any

from sqlalchemy import text
from sqlalchemy.orm import Session

from flowlink.kernel.models import Event

CHANNEL = "flowlink_outbox"


def emit(session: Session, name: str, payload: dict[str, Any]) -> None:
    """Tell whoever handles `name` (such as `conversion.changed`), once this transaction commits.

    The payload holds ids and plain values, never a secret: handlers read the rest themselves.
    """
    session.add(Event(name=name, payload=payload))
    session.execute(text("SELECT pg_notify(:channel, '')"), {"channel": CHANNEL})
