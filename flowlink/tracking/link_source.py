"""Where an edge's links come from, and what else it takes from there before it needs it.

The source is PostgreSQL. Its triggers tell of every change to what a link's answer hangs on, so
that no code path can forget to. (Part of the edge: async.)
"""

import asyncio
import secrets
from collections.abc import AsyncGenerator, Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from typing import Any, Protocol
from uuid import UUID

import psycopg
from psycopg.conninfo import conninfo_to_dict, make_conninfo

from flowlink.kernel import db
from flowlink.tracking import clicks
from flowlink.tracking.link_table import LinkRow

CHANNEL = "flowlink_links"
SALT_BYTES = 16
_TIMEOUTS = "-c statement_timeout=10s -c lock_timeout=3s"
_BEAT_S = 5.0
_NODE_LOCK = 0x666C6E6F  # any number: the class of the locks on nodes

_HOLD = "SELECT pg_try_advisory_lock(%(kind)s, %(node)s)"

_LINKS = """
SELECT l.number, coalesce(d.host, ''), l.code, l.destination, l.disabled_at IS NOT NULL,
       coalesce((extract(epoch FROM l.expires_at) * 1000)::bigint, 0), l.routing::text,
       p.number, p.id, p.status = 'active', o.id, o.destination, n.click_param
FROM tracking_link l
JOIN partners_partner p ON p.id = l.partner_id
JOIN tracking_offer o ON o.id = l.offer_id
JOIN tracking_network n ON n.id = o.network_id
LEFT JOIN tracking_domain d ON d.id = l.domain_id
"""
_PAGE = _LINKS + "WHERE l.number > %(after)s ORDER BY l.number LIMIT %(limit)s"
_NAMED = (
    _LINKS
    + """JOIN unnest(%(hosts)s::text[], %(codes)s::text[]) AS w (host, code)
  ON l.code = w.code AND coalesce(d.host, '') = w.host"""
)
_OFFERS = """
SELECT o.id, o.destination, n.click_param
FROM tracking_offer o JOIN tracking_network n ON n.id = o.network_id
"""
_PARTNERS = "SELECT id, status = 'active' FROM partners_partner WHERE id = ANY(%(ids)s)"
_DOMAINS = "SELECT host, active FROM tracking_domain"
_SALTS = """
INSERT INTO tracking_salt (day, salt) SELECT * FROM unnest(%(days)s::date[], %(salts)s::bytea[])
ON CONFLICT DO NOTHING
"""
_READ_SALTS = "SELECT day, salt FROM tracking_salt WHERE day = ANY(%(days)s)"
_MISSES = """
INSERT INTO tracking_miss AS m (day, reason, count)
SELECT * FROM unnest(%(days)s::date[], %(reasons)s::text[], %(counts)s::bigint[])
ON CONFLICT (day, reason) DO UPDATE SET count = m.count + excluded.count
"""
_UNRECORDED = """
INSERT INTO tracking_unrecorded (day, edge, count, at)
VALUES (%(day)s, %(edge)s, %(count)s, %(at)s)
ON CONFLICT (day, edge) DO UPDATE
SET count = tracking_unrecorded.count + excluded.count, at = excluded.at
"""

Names = Collection[tuple[str, str]]
Misses = Mapping[tuple[date, str], int]


class SourceAway(Exception):
    """The source does not answer. What is known goes on being true."""


@dataclass(frozen=True, slots=True)
class Changes:
    """What changed since the last word: links by host and code, partners, or anything."""

    links: frozenset[tuple[str, str]] = frozenset()
    partners: frozenset[UUID] = frozenset()
    offers: bool = False
    domains: bool = False
    anything: bool = False


class Asked(Protocol):
    """What every edge asks for besides its link table. `SourceAway` may come of every call."""

    async def named(self, names: Names) -> Sequence[LinkRow]:
        """The links of these hosts and codes, as far as there are any."""

    async def node(self) -> int:
        """A number for click ids that no other living process has."""

    async def salts(self, days: Collection[date]) -> Mapping[date, bytes]:
        """The days' salts, the same for everybody; of a day for which nobody has told one, none."""

    async def count_misses(self, misses: Misses) -> None:
        """Count addresses that led nowhere."""

    async def count_unrecorded(self, *, day: date, edge: str, count: int, at: datetime) -> None:
        """Count clicks that were sent on and could be kept nowhere."""

    async def close(self) -> None:
        """Let go of everything."""


class Source(Asked, Protocol):
    """What an edge asks of a database that has the links. `SourceAway` may come of every call."""

    async def page(self, *, after: int, limit: int) -> Sequence[LinkRow]:
        """The links with the next higher numbers."""

    async def offers(self) -> Sequence[tuple[UUID, str, str]]:
        """Id, destination and click parameter of every offer."""

    async def partners(self, ids: Collection[UUID]) -> Sequence[tuple[UUID, bool]]:
        """Whether these partners are active."""

    async def domains(self) -> Mapping[str, bool]:
        """All domains, and whether each is open."""

    def changes(self) -> AsyncGenerator[Changes]:
        """First that anything may have changed, then every change as it comes."""


class DatabaseSource:
    """PostgreSQL: one connection for questions, asked one after the other, and one that listens.

    One after the other, so that an older answer never overtakes a newer one.
    """

    def __init__(self) -> None:
        self._connection: psycopg.AsyncConnection | None = None
        self._turn = asyncio.Lock()
        self._node: int | None = None

    async def page(self, *, after: int, limit: int) -> Sequence[LinkRow]:
        rows = await self._ask(_PAGE, {"after": after, "limit": limit})
        return [LinkRow(*row) for row in rows]

    async def named(self, names: Names) -> Sequence[LinkRow]:
        hosts, codes = zip(*sorted(names), strict=True)
        rows = await self._ask(_NAMED, {"hosts": list(hosts), "codes": list(codes)})
        return [LinkRow(*row) for row in rows]

    async def offers(self) -> Sequence[tuple[UUID, str, str]]:
        return [(row[0], row[1], row[2]) for row in await self._ask(_OFFERS, {})]

    async def partners(self, ids: Collection[UUID]) -> Sequence[tuple[UUID, bool]]:
        return [(row[0], row[1]) for row in await self._ask(_PARTNERS, {"ids": list(ids)})]

    async def domains(self) -> Mapping[str, bool]:
        return dict(await self._ask(_DOMAINS, {}))

    async def node(self) -> int:
        """Held by a lock of the session that asks: whoever lives has its own."""
        for _ in range(2 * clicks.NODES):
            ((drawn,),) = await self._ask(clicks.NODE, {})
            number = int(drawn) % clicks.NODES
            ((free,),) = await self._ask(_HOLD, {"kind": _NODE_LOCK, "node": number})
            if free:
                self._node = number
                return number
        raise SourceAway("all numbers for processes are taken")

    async def salts(self, days: Collection[date]) -> Mapping[date, bytes]:
        wanted = sorted(days)
        fresh = [secrets.token_bytes(SALT_BYTES) for _ in wanted]
        await self._ask(_SALTS, {"days": wanted, "salts": fresh})
        rows = await self._ask(_READ_SALTS, {"days": wanted})
        return {day: bytes(salt) for day, salt in rows}

    async def count_misses(self, misses: Misses) -> None:
        keys = sorted(misses)
        params = {
            "days": [day for day, _ in keys],
            "reasons": [reason for _, reason in keys],
            "counts": [misses[key] for key in keys],
        }
        await self._ask(_MISSES, params)

    async def count_unrecorded(self, *, day: date, edge: str, count: int, at: datetime) -> None:
        await self._ask(_UNRECORDED, {"day": day, "edge": edge, "count": count, "at": at})

    async def changes(self) -> AsyncGenerator[Changes]:
        try:
            connection = await _connect("flowlink-links")
        except psycopg.Error as error:
            raise SourceAway(str(error)) from error
        try:
            await connection.execute(f"LISTEN {CHANNEL}".encode())
            yield Changes(anything=True)
            while True:
                words = [
                    one.payload async for one in connection.notifies(timeout=_BEAT_S, stop_after=1)
                ]
                if words:
                    yield _read(words)
                else:
                    await connection.execute(b"SELECT 1")  # a dead line says nothing by itself
        except psycopg.Error as error:
            raise SourceAway(str(error)) from error
        finally:
            await connection.close()

    async def close(self) -> None:
        connection, self._connection = self._connection, None
        if connection is not None:
            await connection.close()

    async def _ask(self, query: str, params: Mapping[str, Any]) -> Sequence[Any]:
        async with self._turn:
            for last in (False, True):
                try:
                    if self._connection is None:
                        self._connection = await _connect("flowlink-edge")
                        # The number's lock went with the connection before.
                        held = {"kind": _NODE_LOCK, "node": self._node}
                        await self._connection.execute(_HOLD, held)
                    cursor = await self._connection.execute(query.encode(), params)
                    return await cursor.fetchall() if cursor.description else []
                except psycopg.Error as error:
                    await self.close()
                    if last or not isinstance(error, psycopg.OperationalError):
                        raise SourceAway(str(error)) from error
        raise AssertionError("the last attempt returns or raises")


async def _connect(name: str) -> psycopg.AsyncConnection:
    given = conninfo_to_dict(db.dsn())
    options = f"{given.pop('options', '')} {_TIMEOUTS}"
    conninfo = make_conninfo("", **given, options=options, application_name=name)
    return await psycopg.AsyncConnection.connect(conninfo, connect_timeout=3, autocommit=True)


def _read(words: Sequence[str]) -> Changes:
    """What the triggers' words mean: `link HOST/CODE`, `partner ID`, `offer`, `domain` or `*`."""
    links: set[tuple[str, str]] = set()
    partners: set[UUID] = set()
    kinds: set[str] = set()
    for word in words:
        kind, _, what = word.partition(" ")
        kinds.add(kind)
        if kind == "link":
            host, _, code = what.partition("/")
            links.add((host, code))
        elif kind == "partner":
            partners.add(UUID(what))
    return Changes(
        links=frozenset(links),
        partners=frozenset(partners),
        offers="offer" in kinds,
        domains="domain" in kinds,
        anything=not kinds <= {"link", "partner", "offer", "domain"},
    )
