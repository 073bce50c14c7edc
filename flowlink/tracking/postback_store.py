"""The log of postbacks: each request as it came, written with what became of it."""

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
SELECT id, :now, method, query, content_type, body, address, network_id, key_ok, result, reason,
  conversion_id, revision, word, attempts, CASE WHEN result <> 'received' THEN :now END
FROM unnest(CAST(:id AS uuid[]), CAST(:method AS text[]), CAST(:query AS text[]),
  CAST(:content_type AS text[]), CAST(:body AS bytea[]), CAST(:address AS text[]),
  CAST(:network_id AS uuid[]), CAST(:key_ok AS boolean[]), CAST(:result AS text[]),
  CAST(:reason AS text[]), CAST(:conversion_id AS uuid[]), CAST(:revision AS int[]),
  CAST(:word AS text[]), CAST(:attempts AS int[]))
  AS new (id, method, query, content_type, body, address, network_id, key_ok, result, reason,
    conversion_id, revision, word, attempts)
""")


@dataclass(frozen=True, slots=True)
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


def insert(session: Session, rows: Sequence[Kept], *, now: datetime) -> list[PostbackId]:
    """Store them in their order; returns their keys."""
    if not rows:
        return []
    keys = [PostbackId(key) for key in db.new_keys(session, len(rows))]
    outcomes = [row.outcome for row in rows]
    columns = {
        "id": keys,
        "method": [row.method for row in rows],
        "query": [row.query for row in rows],
        "content_type": [row.content_type for row in rows],
        "body": [row.body for row in rows],
        "address": [row.address for row in rows],
        "network_id": [row.network_id for row in rows],
        "key_ok": [row.key_ok for row in rows],
        "result": [one.result.value for one in outcomes],
        "reason": [one.reason for one in outcomes],
        "conversion_id": [one.conversion_id for one in outcomes],
        "revision": [one.revision for one in outcomes],
        "word": [one.word for one in outcomes],
        "attempts": [_attempts(one) for one in outcomes],
    }
    session.execute(_INSERT, columns | {"now": now})
    return keys


def _attempts(outcome: Outcome) -> int:
    """How often it was read: what was refused or only kept was never."""
    return 0 if outcome.result in {Result.RECEIVED, Result.REJECTED} else 1
