"""The log of postbacks: each request as it came, written with what became of it."""

import json
from base64 import b64encode
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from sqlalchemy import text
from sqlalchemy.orm import Session

from flowlink.kernel import db
from flowlink.tracking.ids import PostbackId
from flowlink.tracking.models import Result
from flowlink.tracking.settling import Outcome

_INSERT = text("""
INSERT INTO tracking_postback (id, received_at, method, query, content_type, body, address,
  network_id, key_ok, result, reason, conversion_id, revision, word, attempts, handled_at)
SELECT id, received_at, method, query, content_type, decode(body, 'base64'), address, network_id,
  key_ok, result, reason, conversion_id, revision, word, attempts,
  CASE WHEN result <> 'received' THEN :now END
FROM json_to_recordset(CAST(:rows AS json)) AS new (id uuid, received_at timestamptz, method text,
  query text, content_type text, body text, address text, network_id uuid, key_ok boolean,
  result text, reason text, conversion_id uuid, revision int, word text, attempts int)
""")


@dataclass(slots=True)
class Kept:
    """A request as it is stored, and what became of it."""

    method: str
    query: str
    content_type: str
    body: bytes
    address: str
    network_id: UUID | None
    key_ok: bool
    outcome: Outcome
    received_at: datetime


def insert(session: Session, rows: Sequence[Kept], *, now: datetime) -> list[PostbackId]:
    """Store them in their order; returns their keys."""
    if not rows:
        return []
    keys = [PostbackId(key) for key in db.new_keys(session, len(rows))]
    given = [_row(key, row) for key, row in zip(keys, rows, strict=True)]
    session.execute(_INSERT, {"rows": json.dumps(given), "now": now})
    return keys


def _row(key: PostbackId, kept: Kept) -> dict[str, object]:
    outcome = kept.outcome
    return {
        "id": key.hex,
        "received_at": kept.received_at.isoformat(),
        "method": kept.method,
        "query": kept.query,
        "content_type": kept.content_type,
        "body": b64encode(kept.body).decode() if kept.body else "",
        "address": kept.address,
        "network_id": kept.network_id.hex if kept.network_id else None,
        "key_ok": kept.key_ok,
        "result": outcome.result,
        "reason": outcome.reason,
        "conversion_id": outcome.conversion_id.hex if outcome.conversion_id else None,
        "revision": outcome.revision,
        "word": outcome.word,
        "attempts": _attempts(outcome),
    }


def _attempts(outcome: Outcome) -> int:
    """How often it was read: what was refused or only kept was never."""
    return 0 if outcome.result in {Result.RECEIVED, Result.REJECTED} else 1
