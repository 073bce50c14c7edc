"""Where a click came from, as far as privacy permits: today's keyed hashes and two marks.

One number a click: 27 bits for the address's neighborhood (an IPv4 /24, an IPv6 /48), 28 bits for
the address in it, 8 bits of marks. Both hashes are under the day's salt, which is thrown away two
days later: then nobody can ask whether an address was there, nor follow one from day to day.
Zero is a click of which nothing is known.
"""

from bisect import bisect_right
from functools import cache, lru_cache
from ipaddress import IPv6Address, ip_network
from pathlib import Path
from urllib.parse import parse_qsl

from flowlink.kernel import crypto

_MARK_BITS, _ADDRESS_BITS, _NETWORK_BITS = 8, 28, 27
_KNOWN, _DATACENTER, _PAID_SEARCH = 1, 2, 4
_RANGES = Path(__file__).with_name("datacenters.txt")

# What advertising systems add to the addresses of paid visits (their own documentation).
PAID_PARAMETERS = {
    "gclid",
    "gbraid",
    "wbraid",
    "gad_source",
    "gad_campaignid",
    "msclkid",
    "fb_action_ids",
    "twclid",
    "li_fat_id",
    "rdclid",
    "ttclid",
    "yclid",
}


def of(address: str, salt: bytes, *, paid_search: bool = False) -> int:
    """The number of a click from `address` (or from its IPv6 /64), on the day of `salt`."""
    return _place(address, salt) | (_PAID_SEARCH if paid_search else 0)


def seen(address: bytes, salt: bytes, *, query: bytes) -> int:
    """The same as the edge has it: bytes off the wire."""
    place = _place(address.decode(), salt)
    return place | _PAID_SEARCH if query and paid_search(query) else place


@lru_cache(maxsize=20_000)
def _place(address: str, salt: bytes) -> int:
    if not is_public(address):
        return 0
    marks = _KNOWN | (_DATACENTER if in_datacenter(address) else 0)
    where = _hashed("network", salt, neighborhood(address), _NETWORK_BITS)
    who = _hashed("address", salt, address, _ADDRESS_BITS)
    return (where << _ADDRESS_BITS | who) << _MARK_BITS | marks


def is_known(origin: int) -> bool:
    return bool(origin & _KNOWN)


def network(origin: int) -> int:
    """The same for all clicks of a day from one neighborhood."""
    return origin >> (_MARK_BITS + _ADDRESS_BITS)


def address(origin: int) -> int:
    """The same for all clicks of a day from one address."""
    return origin >> _MARK_BITS


def from_datacenter(origin: int) -> bool:
    return bool(origin & _DATACENTER)


def from_paid_search(origin: int) -> bool:
    return bool(origin & _PAID_SEARCH)


@lru_cache(maxsize=20_000)
def is_public(ip: str) -> bool:
    """Whether the whole internet knows this address: those of a local network say nothing."""
    try:
        return ip_network(ip, strict=False).network_address.is_global
    except ValueError:
        return False


def network_on(ip: str, salt: bytes) -> int:
    """The `network` that clicks from this address have on the day of `salt`."""
    return _hashed("network", salt, neighborhood(ip), _NETWORK_BITS)


@lru_cache(maxsize=20_000)
def neighborhood(ip: str) -> str:
    """The /24 of an IPv4 address, the /48 of an IPv6 address; other words are their own."""
    try:
        parsed = ip_network(ip, strict=False).network_address
    except ValueError:
        return ip
    if isinstance(parsed, IPv6Address) and parsed.ipv4_mapped is not None:
        parsed = parsed.ipv4_mapped
    length = 48 if isinstance(parsed, IPv6Address) else 24
    return str(ip_network((parsed, length), strict=False))


@lru_cache(maxsize=20_000)
def in_datacenter(ip: str) -> bool:
    """Whether a machine in a hosting company's known ranges has this address."""
    try:
        parsed = ip_network(ip, strict=False).network_address
    except ValueError:
        return False
    starts, ends = _ranges(parsed.version)
    place = bisect_right(starts, int(parsed)) - 1
    return place >= 0 and int(parsed) <= ends[place]


def paid_search(query: bytes) -> bool:
    """Whether an advertising system's mark is in the query of a visit."""
    if b"id=" not in query and b"gad_" not in query and b"fb_" not in query:
        return False
    named = parse_qsl(query.decode("latin-1"), max_num_fields=None)
    return any(name.lower() in PAID_PARAMETERS and value for name, value in named)


@cache
def _ranges(version: int) -> tuple[list[int], list[int]]:
    """The first and last addresses of the known ranges, in order."""
    lines = (line.partition("#")[0].strip() for line in _RANGES.read_text().splitlines())
    nets = sorted(
        (int(net.network_address), int(net.broadcast_address))
        for net in (ip_network(line) for line in lines if line)
        if net.version == version
    )
    return [first for first, _ in nets], [last for _, last in nets]


def _hashed(purpose: str, salt: bytes, word: str, bits: int) -> int:
    hashed = crypto.keyed_hash(f"click.{purpose}", salt, word)
    return int.from_bytes(hashed[:8]) >> (64 - bits)
