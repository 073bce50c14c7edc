"""Clicks, stored in batches: resolved, numbered, judged, inserted and counted in one transaction.

The steps are a generator of queries that takes rows back, so that the edge (async, group commit)
and everybody else (a session) run the same code. Counts are exact because they are written with
the clicks; an address stays in memory and only its day's salted hash is kept.
"""

import secrets
from collections import Counter
from collections.abc import Generator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, date, datetime
from typing import Any, TypeVar
from uuid import UUID

from sqlalchemy.orm import Session

from flowlink.kernel import crypto
from flowlink.tracking import clickid, origins
from flowlink.tracking.models import Reason

_REMEMBERED = 50_000
_SALT_BYTES = 16

NODE = "SELECT nextval('tracking_node')"
PARTITION = "SELECT tracking_ensure_partition(%(day)s)"

_RESOLVE = """
SELECT l.code, l.number, p.number, p.id, coalesce(l.destination, o.destination), n.click_param,
       l.disabled_at IS NULL AND p.status = 'active'
FROM tracking_link l
JOIN partners_partner p ON p.id = l.partner_id
JOIN tracking_offer o ON o.id = l.offer_id
JOIN tracking_network n ON n.id = o.network_id
WHERE l.code = ANY(%(codes)s)
"""

_SALTS = """
INSERT INTO tracking_salt (day, salt) SELECT * FROM unnest(%(days)s::date[], %(salts)s::bytea[])
ON CONFLICT DO NOTHING
"""
_READ_SALTS = "SELECT day, salt FROM tracking_salt WHERE day = ANY(%(days)s)"

# Words are inserted in one order, so that two writers with the same new words never deadlock.
_WORDS = {
    "agent": (
        "SELECT text, id FROM tracking_agent WHERE text = ANY(%(words)s)",
        """INSERT INTO tracking_agent (text) SELECT unnest(%(words)s::text[])
        ON CONFLICT DO NOTHING RETURNING text, id""",
    ),
    "referrer": (
        "SELECT host, id FROM tracking_referrer WHERE host = ANY(%(words)s)",
        """INSERT INTO tracking_referrer (host) SELECT unnest(%(words)s::text[])
        ON CONFLICT DO NOTHING RETURNING host, id""",
    ),
}

_COUNTED = "count(*) FILTER (WHERE verdict = 0), count(*) FILTER (WHERE verdict <> 0)"
_ADDED = "valid = r.valid + excluded.valid, flagged = r.flagged + excluded.flagged"


def _rollup(table: str, key: str) -> str:
    return (
        f"INSERT INTO tracking_click_{table} AS r ({key}, valid, flagged) "  # noqa: S608
        f"SELECT {key}, {_COUNTED} FROM judged GROUP BY {key} ORDER BY {key} "
        f"ON CONFLICT ({key}) DO UPDATE SET {_ADDED}"
    )


_STORE = f"""
WITH given AS (
  SELECT *, to_timestamp(((id >> 22) + 1704067200000) / 1000.0) AS at
  FROM unnest(%(id)s::bigint[], %(visitor)s::bigint[], %(link)s::bigint[], %(partner)s::int[],
              %(agent)s::int[], %(referrer)s::int[], %(reason)s::smallint[],
              %(origin)s::bigint[])
    AS t (id, visitor, link, partner, agent, referrer, reason, origin)
), batch AS MATERIALIZED (
  SELECT *, date_trunc('minute', at, 'UTC') AS minute, date_trunc('hour', at, 'UTC') AS hour,
         (at AT TIME ZONE 'UTC')::date AS day
  FROM given
), fresh AS (
  INSERT INTO tracking_seen (link, visitor, day)
  SELECT DISTINCT link, visitor, day FROM batch WHERE reason = {Reason.VALID:d} ORDER BY 1, 2, 3
  ON CONFLICT DO NOTHING RETURNING link, visitor, day
), judged AS MATERIALIZED (
  SELECT b.*, CASE
    WHEN b.reason <> {Reason.VALID:d} THEN b.reason
    WHEN f.link IS NULL THEN {Reason.DUPLICATE:d}
    WHEN row_number() OVER (PARTITION BY b.link, b.visitor, b.day, b.reason ORDER BY b.id) > 1
      THEN {Reason.DUPLICATE:d}
    ELSE {Reason.VALID:d} END AS verdict
  FROM batch b LEFT JOIN fresh f USING (link, visitor, day)
), stored AS (
  INSERT INTO tracking_click (id, visitor, link, partner, agent, referrer, reason, origin)
  SELECT id, visitor, link, partner, agent, referrer, verdict, origin FROM judged ORDER BY id
), minutes AS ({_rollup("minute", "minute, partner")}
), hours AS ({_rollup("hour", "partner, hour")}
), days AS ({_rollup("day", "partner, day")}
), link_days AS ({_rollup("link_day", "link, day")})
SELECT count(*) FROM judged
"""  # noqa: S608

_MISS = """
INSERT INTO tracking_miss AS m (day, reason, count)
SELECT * FROM unnest(%(days)s::date[], %(reasons)s::text[], %(counts)s::bigint[])
ON CONFLICT (day, reason) DO UPDATE SET count = m.count + excluded.count
"""

T = TypeVar("T")
Params = Mapping[str, Any]
Rows = Sequence[Sequence[Any]]
Steps = Generator[tuple[str, Params], Rows, T]


@dataclass(frozen=True, slots=True)
class Visit:
    """A request for a short address. `code` is empty when it cannot be one of ours."""

    code: str
    at: datetime
    address: str
    agent: str
    referrer: str
    reason: Reason
    paid_search: bool = False


@dataclass(frozen=True, slots=True)
class Target:
    """Where a code leads, and whose it is."""

    code: str
    link: int
    partner: int
    partner_id: UUID
    destination: str
    click_param: str
    live: bool


@dataclass(frozen=True, slots=True)
class Stored:
    """A visit that became a click."""

    number: int
    target: Target


@dataclass(slots=True)
class Memory:
    """What a writer need not ask twice. To be thrown away when a transaction fails."""

    days: set[date] = field(default_factory=set)
    salts: dict[date, bytes] = field(default_factory=dict)
    agent: dict[str, int] = field(default_factory=dict)
    referrer: dict[str, int] = field(default_factory=dict)


def store(session: Session, *, visits: Sequence[Visit]) -> list[Stored | None]:
    """Record visits of any time in this transaction; None where the code leads nowhere."""
    memory = Memory()
    ordered = sorted(range(len(visits)), key=lambda index: visits[index].at)
    connection = session.connection()
    for day in sorted({_day(visit) for visit in visits}):
        connection.exec_driver_sql(PARTITION, {"day": day})
    maker = clickid.Maker(int(connection.exec_driver_sql(NODE).scalar_one()))
    steps = record([visits[index] for index in ordered], maker=maker, memory=memory)
    rows: Rows = []
    try:
        query, params = next(steps)
        while True:
            answer = connection.exec_driver_sql(query, dict(params))
            rows = [tuple(row) for row in answer] if answer.returns_rows else []
            query, params = steps.send(rows)
    except StopIteration as stopped:
        outcomes: list[Stored | None] = [None] * len(visits)
        for index, outcome in zip(ordered, stopped.value, strict=True):
            outcomes[index] = outcome
        return outcomes


def record(
    visits: Sequence[Visit], *, maker: clickid.Maker, memory: Memory
) -> Steps[list[Stored | None]]:
    """Store one batch: yields queries, takes their rows, returns what became of each visit."""
    targets = yield from _targets(visits)
    outcomes = [_number(visit, targets, maker) for visit in visits]
    found = [(visit, one) for visit, one in zip(visits, outcomes, strict=True) if one is not None]
    if found:
        yield from _salts({_day(visit) for visit, _ in found}, memory)
        agents = yield from _words("agent", {visit.agent for visit, _ in found}, memory.agent)
        hosts = yield from _words(
            "referrer", {visit.referrer for visit, _ in found}, memory.referrer
        )
        yield _STORE, _columns(found, memory.salts, agents, hosts)
    misses = _misses(visits, outcomes, targets)
    if misses:
        yield _MISS, misses
    return outcomes


def token_of(stored: Stored) -> str:
    """The click id that travels to the network."""
    target = stored.target
    return clickid.token(clickid.ClickRef(stored.number, target.link, target.partner))


def _targets(visits: Sequence[Visit]) -> Steps[dict[str, Target]]:
    """What the codes lead to, as typed or in small letters (phones begin with a capital)."""
    codes = {visit.code for visit in visits if visit.code}
    codes |= {code.lower() for code in codes}
    if not codes:
        return {}
    rows = yield _RESOLVE, {"codes": sorted(codes)}
    return {row[0]: Target(*row) for row in rows}


def _target(visit: Visit, targets: Mapping[str, Target]) -> Target | None:
    return targets.get(visit.code) or targets.get(visit.code.lower())


def _number(visit: Visit, targets: Mapping[str, Target], maker: clickid.Maker) -> Stored | None:
    target = _target(visit, targets)
    if target is None or not target.live:
        return None
    return Stored(maker.next(visit.at), target)


def _salts(days: set[date], memory: Memory) -> Steps[None]:
    unknown = sorted(days - memory.salts.keys())
    if not unknown:
        return
    fresh = [secrets.token_bytes(_SALT_BYTES) for _ in unknown]
    yield _SALTS, {"days": unknown, "salts": fresh}
    rows = yield _READ_SALTS, {"days": unknown}
    memory.salts.update((day, bytes(salt)) for day, salt in rows)


def _words(kind: str, words: set[str], known: dict[str, int]) -> Steps[dict[str, int]]:
    """The numbers under which user agents or referrers are kept, new ones written down."""
    read, write = _WORDS[kind]
    if len(known) > _REMEMBERED:
        known.clear()
    for query in (read, write, read):  # the last: another writer was faster by a moment
        missing = sorted(words - known.keys())
        if missing:
            rows = yield query, {"words": missing}
            known.update((word, number) for word, number in rows)
    return known


def _columns(
    found: Sequence[tuple[Visit, Stored]],
    salts: Mapping[date, bytes],
    agents: Mapping[str, int],
    hosts: Mapping[str, int],
) -> Params:
    return {
        "id": [stored.number for _, stored in found],
        "visitor": [_visitor(visit, salts[_day(visit)]) for visit, _ in found],
        "link": [stored.target.link for _, stored in found],
        "partner": [stored.target.partner for _, stored in found],
        "agent": [agents[visit.agent] for visit, _ in found],
        "referrer": [hosts[visit.referrer] for visit, _ in found],
        "reason": [int(visit.reason) for visit, _ in found],
        "origin": [
            origins.of(visit.address, salts[_day(visit)], paid_search=visit.paid_search)
            for visit, _ in found
        ],
    }


def _misses(
    visits: Sequence[Visit], outcomes: Sequence[Stored | None], targets: Mapping[str, Target]
) -> Params | None:
    counted: Counter[tuple[date, str]] = Counter()
    for visit, outcome in zip(visits, outcomes, strict=True):
        if outcome is None:
            known = "disabled" if _target(visit, targets) else "unknown"
            counted[_day(visit), known if visit.code else "malformed"] += 1
    if not counted:
        return None
    keys = sorted(counted)
    return {
        "days": [day for day, _ in keys],
        "reasons": [reason for _, reason in keys],
        "counts": [counted[key] for key in keys],
    }


def _visitor(visit: Visit, salt: bytes) -> int:
    """Who it was, for today only: the salt is thrown away, and with it the way back."""
    hashed = crypto.keyed_hash("visitor", salt, visit.address, visit.agent)
    return int.from_bytes(hashed[:8], signed=True)


def _day(visit: Visit) -> date:
    return visit.at.astimezone(UTC).date()
