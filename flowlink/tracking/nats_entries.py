"""What the entries of link tables say on their way over NATS; `nats_links` carries them unread.

l HOST/CODE     a link with all that its answer hangs on, as JSON in the order of `LinkRow`
p ID            whether a partner is active
o ID            an offer's destination and click parameter
d               all domains, and whether each is open
s               the salts by day, sealed with the installation's key
"""

import base64
import json
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import date
from uuid import UUID

from cryptography.fernet import InvalidToken

from flowlink.kernel import crypto
from flowlink.tracking.link_table import LinkRow, LinkTable
from flowlink.tracking.nats_links import Entry

_LINK, _PARTNER, _OFFER, _DOMAINS, _SALTS = b"l", b"p", b"o", b"d", b"s"

Name = tuple[str, str]


class Unreadable(Exception):
    """Consumers and edges have other SECRET_KEYS, or versions that do not understand each other."""


@dataclass(slots=True)
class Told:
    """What an edge knows by entries: its table, and the days' salts."""

    table: LinkTable
    salts: dict[date, bytes] = field(default_factory=dict)

    def take(self, entry: Entry) -> int:
        """Take in one more; the number of the link that it tells, or 0.

        An entry of a kind that we do not know says nothing to us.

        :raises Unreadable:
        """
        try:
            return self._take(entry)
        except (TypeError, ValueError) as problem:
            raise Unreadable(f"the link table is of another version: {problem}") from problem

    def _take(self, entry: Entry) -> int:
        key, value = entry
        kind, what = key[:1], key[1:].decode()
        if kind == _LINK:
            return self._link(what, value)
        if value is not None:
            self._rest(kind, what, value)
        return 0

    def _link(self, what: str, value: bytes | None) -> int:
        if value is None:
            self.table.drop(*_name(what))
            return 0
        row = read_link(json.loads(value))
        self.table.put(row)
        return row.number

    def _rest(self, kind: bytes, what: str, value: bytes) -> None:
        if kind == _PARTNER:
            self.table.set_partner(UUID(what), active=json.loads(value))
        elif kind == _OFFER:
            destination, click_param = json.loads(value)
            self.table.set_offer(UUID(what), destination=destination, click_param=click_param)
        elif kind == _DOMAINS:
            self.table.set_domains(json.loads(value))
        elif kind == _SALTS:
            self.salts = _read_salts(value)


def link(row: LinkRow) -> Entry:
    """A link as it is."""
    return _link_key(row.host, row.code), json.dumps(row, default=str).encode()


def links(names: Collection[Name], rows: Collection[LinkRow]) -> Iterator[Entry]:
    """The links of these names as they are, and which names have none any more."""
    yield from map(link, rows)
    for host, code in sorted(set(names) - {(row.host, row.code) for row in rows}):
        yield _link_key(host, code), None


def partner(partner_id: UUID, *, active: bool) -> Entry:
    """Whether a partner is active."""
    return _PARTNER + str(partner_id).encode(), json.dumps(active).encode()


def offer(offer_id: UUID, *, destination: str, click_param: str) -> Entry:
    """Where the links of an offer lead."""
    return _OFFER + str(offer_id).encode(), json.dumps([destination, click_param]).encode()


def domains(found: Mapping[str, bool]) -> Entry:
    """All domains."""
    return _DOMAINS, json.dumps(dict(found)).encode()


def salts(found: Mapping[date, bytes]) -> Entry:
    """The days' salts. Whoever has them can try addresses against the hashes of visitors."""
    plain = {day.isoformat(): base64.b64encode(salt).decode() for day, salt in found.items()}
    return _SALTS, crypto.encrypt(json.dumps(plain).encode())


def read_link(values: list[object]) -> LinkRow:
    """The link that these values of JSON are."""
    row = LinkRow(*values)  # type: ignore[arg-type]
    return row._replace(partner_id=UUID(str(row.partner_id)), offer_id=UUID(str(row.offer_id)))


def _read_salts(value: bytes) -> dict[date, bytes]:
    try:
        plain = json.loads(crypto.decrypt(value))
    except InvalidToken:
        raise Unreadable("SECRET_KEYS are not those of the consumers") from None
    return {date.fromisoformat(day): base64.b64decode(salt) for day, salt in plain.items()}


def _link_key(host: str, code: str) -> bytes:
    return _LINK + f"{host}/{code}".encode()


def _name(what: str) -> Name:
    host, _, code = what.partition("/")
    return host, code
