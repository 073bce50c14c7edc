"""The outbox: facts in the past tense, written in the transaction that makes them true."""

import json
from typing import Any

from sqlalchemy import text
from sqlalchemy.orm import Session

CHANNEL = "flowlink_outbox"
_TELL = text("""
WITH told AS (
  INSERT INTO kernel_event (name, payload) VALUES (:name, CAST(:payload AS jsonb)))
SELECT pg_notify(:channel, '')
""")


def emit(session: Session, name: str, payload: dict[str, Any]) -> None:
    """Tell whoever handles `name` (such as `conversion.changed`), once this transaction commits.

    The payload holds ids and plain values, never a secret: handlers read the rest themselves.
    """
    given = {"name": name, "payload": json.dumps(payload), "channel": CHANNEL}
    session.execute(_TELL, given)
