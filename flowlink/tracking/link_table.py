"""All links in memory, small enough for a million: where a code leads, without asking anybody.

A link is two byte strings: its key (`host/code`) and its record. What many links share is kept
once: partners, offers. What was asked for lately is kept ready to be answered with.

    record  number 8 | expires 8 (ms, 0: never) | partner 4 | offer 4 | flags 1 | length 2 | text

The text is the link's own destination, if it has one, and behind it its routing as JSON, if any.
"""

import json
import secrets
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from struct import Struct
from typing import Any, NamedTuple
from uuid import UUID

from flowlink.kernel import ids, settings
from flowlink.partners.ids import PREFIX as PARTNER
from flowlink.tracking import destinations
from flowlink.tracking.clicks import Target

_FIXED = Struct("<qqIIBH")
_LENGTHS = Struct("<HI")
_OWN, _DISABLED = 1, 2
_READY_MAX = 20_000
_CLICK_ID = f"x{secrets.token_hex(16)}x"  # stands where the click id comes; in no destination
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


class LinkRow(NamedTuple):
    """A link as its source tells it, with what it shares with others."""

    number: int
    host: str
    code: str
    destination: str | None
    disabled: bool
    expires_ms: int
    routing: str | None
    partner: int
    partner_id: UUID
    partner_active: bool
    offer_id: UUID
    offer_destination: str
    click_param: str


@dataclass(slots=True)
class _Partner:
    number: int
    id: UUID
    active: bool


@dataclass(slots=True)
class _Offer:
    destination: str
    click_param: str


@dataclass(frozen=True, slots=True)
class Found:
    """A link, ready to be answered with.

    The address of a plain one is `parts` with the click's id between them; without `parts` the
    visit itself decides where it goes.
    """

    link: int
    partner: int
    live: bool
    expires_ms: int
    parts: tuple[bytes, ...]
    target: Target

    def is_live(self, unix_ms: int) -> bool:
        """Whether it leads somewhere at that moment."""
        return self.live and (not self.expires_ms or unix_ms < self.expires_ms)


class LinkTable:
    """Belongs to one event loop. `domains` says of every domain whether it is open; `version` grows
    with every change.
    """

    def __init__(self) -> None:
        self._records: dict[bytes, bytes] = {}
        self._partners: list[_Partner] = []
        self._partner_at: dict[UUID, int] = {}
        self._offers: list[_Offer] = []
        self._offer_at: dict[UUID, int] = {}
        self._ready: dict[tuple[str, str], Found] = {}
        self.domains: Mapping[str, bool] = {}
        self.version = 0

    def __len__(self) -> int:
        return len(self._records)

    def find(self, host: str, code: str) -> Found | None:
        """The link of a code, as typed or in small letters (phones begin with a capital)."""
        return self._find(host, code) or (
            None if code.islower() else self._find(host, code.lower())
        )

    def put(self, row: LinkRow) -> None:
        """A link as it is now."""
        partner = self._partner(row)
        offer = self._offer(row)
        own = (row.destination or "").encode()
        flags = _OWN * (row.destination is not None) | _DISABLED * row.disabled
        fixed = _FIXED.pack(row.number, row.expires_ms, partner, offer, flags, len(own))
        record = fixed + own + (row.routing or "").encode()
        key = _key(row.host, row.code)
        if self._records.get(key) != record:
            self._records[key] = record
            self._ready.pop((row.host, row.code), None)
            self.version += 1

    def drop(self, host: str, code: str) -> None:
        """There is no such link any more."""
        if self._records.pop(_key(host, code), None) is not None:
            self._ready.pop((host, code), None)
            self.version += 1

    def keep_only(self, numbers: set[int]) -> None:
        """Forget every link that is not one of these."""
        gone = [
            key
            for key, record in self._records.items()
            if _FIXED.unpack_from(record)[0] not in numbers
        ]
        for key in gone:
            del self._records[key]
        self._changed()

    def set_partner(self, partner_id: UUID, *, active: bool) -> None:
        """What a partner's links hang on, if it has any."""
        at = self._partner_at.get(partner_id)
        if at is not None and self._partners[at].active != active:
            self._partners[at].active = active
            self._changed()

    def set_offer(self, offer_id: UUID, *, destination: str, click_param: str) -> None:
        """Where the links of an offer lead, if it has any."""
        at = self._offer_at.get(offer_id)
        new = _Offer(destination, click_param)
        if at is not None and self._offers[at] != new:
            self._offers[at] = new
            self._changed()

    def set_domains(self, domains: Mapping[str, bool]) -> None:
        """All domains, and whether each is open."""
        if domains != self.domains:
            self.domains = dict(domains)
            self._changed()

    def size_bytes(self) -> int:
        """What the links take, as the interpreter counts it; what few share is left out."""
        strings = sum(map(sys.getsizeof, self._records)) + sum(
            map(sys.getsizeof, self._records.values())
        )
        return strings + sys.getsizeof(self._records)

    def keys(self) -> list[bytes]:
        """What `packed` is asked for, a part at a time: the table may change in between."""
        return list(self._records)

    def packed(self, keys: Sequence[bytes]) -> bytes:
        """These links, as far as they are still there, for `restore`."""
        found = [(key, self._records[key]) for key in keys if key in self._records]
        return b"".join(
            [_LENGTHS.pack(len(key), len(record)) + key + record for key, record in found]
        )

    def shared(self) -> dict[str, Any]:
        """What links share, in the order in which those packed before name it; goes into JSON."""
        return {
            "partners": [(one.number, str(one.id), one.active) for one in self._partners],
            "offers": [
                (str(ident), self._offers[at].destination, self._offers[at].click_param)
                for ident, at in self._offer_at.items()
            ],
            "domains": dict(self.domains),
        }

    def restore(self, packed: memoryview, shared: Mapping[str, Any]) -> None:
        """Be what was packed, and nothing else."""
        self._records.clear()
        at = 0
        while at < len(packed):
            of_key, of_record = _LENGTHS.unpack_from(packed, at)
            at, middle = at + _LENGTHS.size, at + _LENGTHS.size + of_key
            self._records[bytes(packed[at:middle])] = bytes(packed[middle : middle + of_record])
            at = middle + of_record
        self._partners = [
            _Partner(number, UUID(ident), active) for number, ident, active in shared["partners"]
        ]
        self._partner_at = {one.id: at for at, one in enumerate(self._partners)}
        self._offers = [_Offer(*words) for _, *words in shared["offers"]]
        self._offer_at = {UUID(ident): at for at, (ident, *_) in enumerate(shared["offers"])}
        self.domains = shared["domains"]
        self._changed()

    def _changed(self) -> None:
        self._ready.clear()
        self.version += 1

    def _find(self, host: str, code: str) -> Found | None:
        found = self._ready.get((host, code))
        if found is None:
            found = self._make(host, code)
            if found is not None:
                if len(self._ready) >= _READY_MAX:
                    self._ready.clear()
                self._ready[host, code] = found
        return found

    def _partner(self, row: LinkRow) -> int:
        at = self._partner_at.get(row.partner_id)
        if at is None:
            at = self._partner_at[row.partner_id] = len(self._partners)
            self._partners.append(_Partner(row.partner, row.partner_id, row.partner_active))
        else:
            self.set_partner(row.partner_id, active=row.partner_active)
        return at

    def _offer(self, row: LinkRow) -> int:
        at = self._offer_at.get(row.offer_id)
        if at is None:
            at = self._offer_at[row.offer_id] = len(self._offers)
            self._offers.append(_Offer(row.offer_destination, row.click_param))
        else:
            self.set_offer(
                row.offer_id, destination=row.offer_destination, click_param=row.click_param
            )
        return at

    def _make(self, host: str, code: str) -> Found | None:
        record = self._records.get(_key(host, code))
        if record is None or (host and not self.domains.get(host)):
            return None
        number, expires_ms, partner_at, offer_at, flags, length = _FIXED.unpack_from(record)
        partner, offer = self._partners[partner_at], self._offers[offer_at]
        middle = _FIXED.size + length
        own = record[_FIXED.size : middle].decode()
        routing: dict[str, Any] | None = json.loads(record[middle:]) if record[middle:] else None
        target = Target(
            host=host,
            code=code,
            link=number,
            partner=partner.number,
            partner_id=partner.id,
            destination=own if flags & _OWN else offer.destination,
            click_param=offer.click_param,
            live=partner.active and not flags & _DISABLED,
            expires_at=_EPOCH + timedelta(milliseconds=expires_ms) if expires_ms else None,
            routing=routing,
        )
        parts: tuple[bytes, ...] = ()
        if routing is None:
            plain = location(target, destination=target.destination, click_id=_CLICK_ID, query="")
            parts = tuple(plain.encode("ascii").split(_CLICK_ID.encode()))
        return Found(number, partner.number, target.live, expires_ms, parts, target)


def location(target: Target, *, destination: str, click_id: str, query: str) -> str:
    """Where a visit goes: the destination with its macros, the visitor's fields, the click id."""
    macros = {"click_id": click_id, "link": target.code, "base_url": settings.current().url}
    if "{partner}" in destination:
        macros["partner"] = ids.public(PARTNER, target.partner_id)
    return destinations.build(
        destination, click_param=target.click_param, macros=macros, visitor_query=query
    )


def _key(host: str, code: str) -> bytes:
    return f"{host}/{code}".encode()
