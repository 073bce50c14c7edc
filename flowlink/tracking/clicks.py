"""Clicks, stored in batches: resolved, numbered, judged, inserted and counted in one transaction.

The steps are a generator of queries that takes rows back, so that the edge (async, group commit)
and everybody else (a session) run the same code. Counts are exact because they are written with
the clicks; an address stays in memory and only its day's salted hash is kept.
"""

import secrets
from collections import Counter
from collections.abc import Generator, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, date, datetime
from functools import lru_cache
from hashlib import blake2b
from operator import attrgetter
from typing import Any, NamedTuple, TypeVar
from uuid import UUID

from sqlalchemy.orm import Session

from flowlink.kernel import crypto, settings
from flowlink.tracking import click_batch, clickid, countries, devices, origins, routing
from flowlink.tracking.models import Reason

_REMEMBERED = 50_000
_SALT_BYTES = blake2b.SALT_SIZE
_NUMBER = attrgetter("number")

NODE = "SELECT nextval('tracking_node')"
NODES = 512  # of processes with a database; those over NATS have as many numbers above
PARTITION = "SELECT tracking_ensure_partition(%(day)s)"

_RESOLVE = """
SELECT w.host, l.code, l.number, p.number, p.id, coalesce(l.destination, o.destination),
       n.click_param, l.disabled_at IS NULL AND p.status = 'active', l.expires_at, l.routing
FROM unnest(%(hosts)s::text[], %(codes)s::text[]) AS w (host, code)
LEFT JOIN tracking_domain d ON d.host = w.host AND d.active
JOIN tracking_link l ON l.code = w.code AND l.domain_id IS NOT DISTINCT FROM d.id
JOIN partners_partner p ON p.id = l.partner_id
JOIN tracking_offer o ON o.id = l.offer_id
JOIN tracking_network n ON n.id = o.network_id
WHERE w.host = '' OR d.id IS NOT NULL
"""

_SALTS = """
INSERT INTO tracking_salt (day, salt) SELECT * FROM unnest(%(days)s::date[], %(salts)s::bytea[])
ON CONFLICT DO NOTHING
"""
_READ_SALTS = "SELECT day, salt FROM tracking_salt WHERE day = ANY(%(days)s)"

# Words are inserted in one order, so that two writers with the same new words never deadlock.
_WORDS = {
    "agent": (
        "SELECT text, id, device FROM tracking_agent WHERE text = ANY(%(words)s)",
        """INSERT INTO tracking_agent (text, device)
        SELECT * FROM unnest(%(words)s::text[], %(devices)s::smallint[])
        ON CONFLICT DO NOTHING RETURNING text, id, device""",
    ),
    "referrer": (
        "SELECT host, id FROM tracking_referrer WHERE host = ANY(%(words)s)",
        """INSERT INTO tracking_referrer (host) SELECT unnest(%(words)s::text[])
        ON CONFLICT DO NOTHING RETURNING host, id""",
    ),
}

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
    """A request for a short address. `code` is empty when it cannot be one of ours.

    `host` is a domain of the operator's list; without it our own is meant.
    """

    code: str
    at: datetime
    address: str
    agent: str
    referrer: str
    reason: Reason
    host: str = ""
    paid_search: bool = False


@dataclass(frozen=True, slots=True)
class Target:
    """Where a code leads, and whose it is."""

    host: str
    code: str
    link: int
    partner: int
    partner_id: UUID
    destination: str
    click_param: str
    live: bool
    expires_at: datetime | None = None
    routing: Mapping[str, Any] | None = None

    def is_live(self, at: datetime) -> bool:
        """Whether it led somewhere at that moment."""
        return self.live and (self.expires_at is None or at < self.expires_at)


Targets = Mapping[tuple[str, str], Target]


@dataclass(frozen=True, slots=True)
class Stored:
    """A visit that became a click, and where it goes."""

    number: int
    target: Target
    destination: str


class Row(NamedTuple):
    """A click as it is kept: numbers, and two words that get theirs when they are written."""

    number: int
    visitor: int
    link: int
    partner: int
    reason: int
    country: int
    origin: int
    agent: str
    referrer: str


@dataclass(slots=True)
class Memory:
    """What a writer need not ask twice. To be thrown away when a transaction fails."""

    days: set[date] = field(default_factory=set)
    salts: dict[date, bytes] = field(default_factory=dict)
    agent: dict[str, tuple[int, ...]] = field(default_factory=dict)
    referrer: dict[str, tuple[int, ...]] = field(default_factory=dict)


def store(session: Session, *, visits: Sequence[Visit]) -> list[Stored | None]:
    """Record visits of any time in this transaction; None where the code leads nowhere."""
    memory = Memory()
    ordered = sorted(range(len(visits)), key=lambda index: visits[index].at)
    connection = session.connection()
    for day in sorted({_day(visit) for visit in visits}):
        connection.exec_driver_sql(PARTITION, {"day": day})
    maker = clickid.Maker(int(connection.exec_driver_sql(NODE).scalar_one()) % NODES)
    steps = record([visits[index] for index in ordered], maker=maker, memory=memory)
    outcomes: list[Stored | None] = [None] * len(visits)
    for index, outcome in zip(ordered, run(session, steps), strict=True):
        outcomes[index] = outcome
    return outcomes


def run(session: Session, steps: Steps[T]) -> T:
    """Take the steps in this transaction."""
    connection = session.connection()
    try:
        query, params = next(steps)
        while True:
            answer = connection.exec_driver_sql(query, dict(params))
            rows = [tuple(row) for row in answer] if answer.returns_rows else []
            query, params = steps.send(rows)
    except StopIteration as stopped:
        result: T = stopped.value
        return result


def record(
    visits: Sequence[Visit], *, maker: clickid.Maker, memory: Memory
) -> Steps[list[Stored | None]]:
    """Store one batch: yields queries, takes their rows, returns what became of each visit."""
    targets = yield from _targets(visits)
    outcomes = [_number(visit, targets, maker) for visit in visits]
    found = [(visit, one) for visit, one in zip(visits, outcomes, strict=True) if one is not None]
    if found:
        yield from _salts({_day(visit) for visit, _ in found}, memory)
        rows = [_row(visit, stored, memory.salts[_day(visit)]) for visit, stored in found]
        yield from insert(rows, memory=memory)
    misses = _misses(visits, outcomes, targets)
    if misses:
        yield _MISS, misses
    return outcomes


def insert(rows: Sequence[Row], *, memory: Memory) -> Steps[None]:
    """Keep and count clicks whose numbers are known already. The first of a visitor counts."""
    number, visitor, link, partner, reason, country, origin, agent, host = zip(
        *sorted(rows, key=_NUMBER), strict=True
    )
    agents = yield from _words("agent", set(agent), memory.agent)
    hosts = yield from _words("referrer", set(host), memory.referrer)
    columns: dict[str, Iterable[int | None]] = {
        "id": number,
        "visitor": visitor,
        "link": link,
        "partner": partner,
        "agent": [agents[one][0] for one in agent],
        "device": [agents[one][1] for one in agent],
        "referrer": [hosts[one][0] for one in host],
        "reason": map(int, reason),
        "country": country,
        "origin": origin,
        "key": click_batch.visitor_keys(zip(number, visitor, link, reason, strict=True)),
    }
    yield click_batch.STORE, {name: click_batch.array(each) for name, each in columns.items()}


def token_of(stored: Stored) -> str:
    """The click id that travels to the network."""
    target = stored.target
    return clickid.token(clickid.ClickRef(stored.number, target.link, target.partner))


def _targets(visits: Sequence[Visit]) -> Steps[Targets]:
    """What the codes lead to, as typed or in small letters (phones begin with a capital)."""
    wanted = {(visit.host, visit.code) for visit in visits if visit.code}
    wanted |= {(host, code.lower()) for host, code in wanted}
    if not wanted:
        return {}
    hosts, codes = zip(*sorted(wanted), strict=True)
    rows = yield _RESOLVE, {"hosts": list(hosts), "codes": list(codes)}
    return {(row[0], row[1]): Target(*row) for row in rows}


def _target(visit: Visit, targets: Targets) -> Target | None:
    return targets.get((visit.host, visit.code)) or targets.get((visit.host, visit.code.lower()))


def _number(visit: Visit, targets: Targets, maker: clickid.Maker) -> Stored | None:
    target = _target(visit, targets)
    if target is None or not target.is_live(visit.at):
        return None
    number = maker.next(visit.at)
    return Stored(number, target, destination(visit, target, number))


def destination(visit: Visit, target: Target, number: int) -> str:
    """Where this visit goes, before macros and parameters; needs no database."""
    if target.routing is None:
        return target.destination
    return routing.choose(
        target.routing,
        destination=target.destination,
        device=devices.device(visit.agent),
        country=countries.of(visit.address),
        number=number,
    )


def _salts(days: set[date], memory: Memory) -> Steps[None]:
    unknown = sorted(days - memory.salts.keys())
    if not unknown:
        return
    fresh = [secrets.token_bytes(_SALT_BYTES) for _ in unknown]
    yield _SALTS, {"days": unknown, "salts": fresh}
    rows = yield _READ_SALTS, {"days": unknown}
    memory.salts.update((day, bytes(salt)) for day, salt in rows)


def _words(
    kind: str, words: set[str], known: dict[str, tuple[int, ...]]
) -> Steps[dict[str, tuple[int, ...]]]:
    """The numbers under which user agents or referrers are kept, new ones written down.

    With a user agent comes its device, as it was told when the agent was first seen.
    """
    read, write = _WORDS[kind]
    if len(known) > _REMEMBERED:
        known.clear()
    for query in (read, write, read):  # the last: another writer was faster by a moment
        missing = sorted(words - known.keys())
        if missing:
            params: dict[str, Any] = {"words": missing}
            if kind == "agent":
                params["devices"] = [int(devices.device(word)) for word in missing]
            rows = yield query, params
            known.update((row[0], tuple(row[1:])) for row in rows)
    return known


def _row(visit: Visit, stored: Stored, salt: bytes) -> Row:
    return Row(
        number=stored.number,
        visitor=_visitor(visit, salt),
        link=stored.target.link,
        partner=stored.target.partner,
        reason=visit.reason,
        country=countries.of(visit.address),
        origin=origins.of(visit.address, salt, paid_search=visit.paid_search),
        agent=visit.agent,
        referrer=visit.referrer,
    )


def _misses(
    visits: Sequence[Visit], outcomes: Sequence[Stored | None], targets: Targets
) -> Params | None:
    counted: Counter[tuple[date, str]] = Counter()
    for visit, outcome in zip(visits, outcomes, strict=True):
        if outcome is None:
            target = _target(visit, targets)
            known = "unknown" if target is None else "expired" if target.live else "disabled"
            counted[_day(visit), known if visit.code else "malformed"] += 1
    if not counted:
        return None
    keys = sorted(counted)
    return {
        "days": [day for day, _ in keys],
        "reasons": [reason for _, reason in keys],
        "counts": [counted[key] for key in keys],
    }


def visitor(salt: bytes, *, address: bytes, agent: bytes) -> int:
    """Who it was, for today only: the salt is thrown away, and with it the way back."""
    hashed = _visitors(settings.current().secret_keys, salt).copy()
    hashed.update(address + b"\x1f" + agent)
    return int.from_bytes(hashed.digest(), signed=True)


@lru_cache(maxsize=4)
def _visitors(ring: tuple[str, ...], salt: bytes) -> blake2b:
    """The day's hash, before anybody is put into it: a copy costs less than a new one."""
    assert ring == settings.current().secret_keys
    return blake2b(key=crypto.derived("visitor")[0], salt=salt, digest_size=8)


def _visitor(visit: Visit, salt: bytes) -> int:
    return visitor(salt, address=visit.address.encode(), agent=visit.agent.encode())


def _day(visit: Visit) -> date:
    return visit.at.astimezone(UTC).date()
