"""Click ids: a time-ordered number inside, a signed and opaque token outside.

The number has 63 bits: 41 of milliseconds since 2024, 10 of the process that made it, 12 of
sequence. The token is what a network sees: 180 bits in 36 lower-case Crockford base32 characters
(a 4-bit mark of the key, a 48-bit keyed MAC, and number, link and partner hidden under a stream
made from that MAC), so that it survives networks that fold case and cannot be forged, and a
conversion can be attributed even before the click's row is there.
"""

import re
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import cache, lru_cache
from hashlib import blake2b
from hmac import compare_digest
from typing import NamedTuple

from flowlink.kernel import crypto, settings

EPOCH = datetime(2024, 1, 1, tzinfo=UTC)
LENGTH = 36
_ALPHABET = "0123456789abcdefghjkmnpqrstvwxyz"
_PYTHONS = str.maketrans(_ALPHABET, "0123456789abcdefghijklmnopqrstuv")
_TOKEN = re.compile(f"[{_ALPHABET}]{{36}}", re.ASCII | re.IGNORECASE)
_NODE_BITS, _SEQUENCE_BITS = 10, 12
_TIME_SHIFT = _NODE_BITS + _SEQUENCE_BITS
_LINK_BITS, _PARTNER_BITS, _MAC_BYTES = 36, 29, 6
_HIDDEN_BYTES = 16
_MILLISECOND = timedelta(milliseconds=1)
_HALF = (1 << 90) - 1
_TRIPLE = (1 << 15) - 1
_EPOCH_MS = int(EPOCH.timestamp()) * 1000
_DAY_MS = 86_400_000


@dataclass(frozen=True, slots=True)
class ClickRef:
    """What a token says: the click's number, its link's and its partner's."""

    number: int
    link: int
    partner: int


class Maker:
    """Makes ever-growing numbers for one process. `node` is held by no other process.

    `after_ms`: whoever had the node before made numbers until then.
    """

    def __init__(self, node: int, *, after_ms: int = 0) -> None:
        self.move_to(node)
        self._last_ms = max(after_ms - _EPOCH_MS, -1)
        self._sequence = 0

    def move_to(self, node: int) -> None:
        """Go on as another node."""
        self._node = (node & ((1 << _NODE_BITS) - 1)) << _SEQUENCE_BITS

    def next(self, now: datetime) -> int:
        """A number for `now`; it never goes back, even when the clock does."""
        return self.next_at((now - EPOCH) // _MILLISECOND + _EPOCH_MS)

    def next_at(self, unix_ms: int) -> int:
        """The same for a moment in milliseconds since 1970."""
        ms = max(unix_ms - _EPOCH_MS, 0)
        if ms > self._last_ms:
            self._last_ms, self._sequence = ms, 0
        else:
            self._sequence += 1
            if self._sequence >> _SEQUENCE_BITS:
                self._last_ms, self._sequence = self._last_ms + 1, 0
        return self._last_ms << _TIME_SHIFT | self._node | self._sequence


def at(number: int) -> datetime:
    """When the click happened, to the millisecond."""
    return EPOCH + (number >> _TIME_SHIFT) * _MILLISECOND


def floor(moment: datetime) -> int:
    """The smallest number a click at `moment` or later can have."""
    return max((moment - EPOCH) // _MILLISECOND, 0) << _TIME_SHIFT


def day(number: int) -> int:
    """The UTC day of a click, as days since 1970."""
    return ((number >> _TIME_SHIFT) + _EPOCH_MS) // _DAY_MS


def token(ref: ClickRef) -> str:
    """The signed form that travels to the network."""
    return seal(ref.number, ref.link, ref.partner).decode()


def seal(number: int, link: int, partner: int) -> bytes:
    """The same for its parts, in ASCII."""
    keys = _keys(settings.current().secret_keys)[0]
    plain = _packed(number, link, partner)
    mac = _hashed(keys.mac, plain.to_bytes(_HIDDEN_BYTES))
    return _written(keys.mark << 176 | int.from_bytes(mac + _hashed(keys.stream, mac)) ^ plain)


def read(text: str) -> ClickRef | None:
    """What the token says, or nothing when it is not one that we signed."""
    bits = _parsed(text)
    if bits is None:
        return None
    mac = (bits >> 128 & ((1 << 48) - 1)).to_bytes(_MAC_BYTES)
    hidden = bits & ((1 << 128) - 1)
    for keys in _keys(settings.current().secret_keys):
        if keys.mark != bits >> 176:
            continue
        plain = hidden ^ int.from_bytes(_hashed(keys.stream, mac))
        if compare_digest(_hashed(keys.mac, plain.to_bytes(_HIDDEN_BYTES)), mac):
            return _unpacked(plain)
    return None


class _Keys(NamedTuple):
    """What one key of the ring gives for tokens: two hashes before anything is put into them.

    Four bits tell the keys apart, mostly: they only save a useless check.
    """

    mac: blake2b
    stream: blake2b
    mark: int


@lru_cache(maxsize=4)
def _keys(ring: tuple[str, ...]) -> list[_Keys]:
    assert ring == settings.current().secret_keys
    purposes = ("click", "click.stream", "click.mark")
    found = zip(*(crypto.derived(purpose) for purpose in purposes), strict=True)
    return [
        _Keys(
            blake2b(key=mac, digest_size=_MAC_BYTES),
            blake2b(key=stream, digest_size=_HIDDEN_BYTES),
            mark[0] >> 4,
        )
        for mac, stream, mark in found
    ]


def _hashed(keyed: blake2b, message: bytes) -> bytes:
    """The keyed hash of a message: a copy costs half of a new one."""
    hashing = keyed.copy()
    hashing.update(message)
    return hashing.digest()


def _packed(number: int, link: int, partner: int) -> int:
    assert number >> 63 == 0, "a click number has 63 bits"
    assert link >> _LINK_BITS == 0
    assert partner >> _PARTNER_BITS == 0
    return number << _LINK_BITS + _PARTNER_BITS | link << _PARTNER_BITS | partner


def _unpacked(bits: int) -> ClickRef:
    return ClickRef(
        number=bits >> _LINK_BITS + _PARTNER_BITS,
        link=bits >> _PARTNER_BITS & ((1 << _LINK_BITS) - 1),
        partner=bits & ((1 << _PARTNER_BITS) - 1),
    )


@cache
def _triples() -> list[bytes]:
    """Three letters for each 15 bits: twelve look-ups a token instead of 36."""
    letters = [bytes([letter]) for letter in _ALPHABET.encode()]
    return [a + b + c for a in letters for b in letters for c in letters]


def _written(bits: int) -> bytes:
    triples, high, low = _triples(), bits >> 90, bits & _HALF
    return b"".join(
        [
            triples[high >> 75],
            triples[high >> 60 & _TRIPLE],
            triples[high >> 45 & _TRIPLE],
            triples[high >> 30 & _TRIPLE],
            triples[high >> 15 & _TRIPLE],
            triples[high & _TRIPLE],
            triples[low >> 75],
            triples[low >> 60 & _TRIPLE],
            triples[low >> 45 & _TRIPLE],
            triples[low >> 30 & _TRIPLE],
            triples[low >> 15 & _TRIPLE],
            triples[low & _TRIPLE],
        ]
    )


def _parsed(text: str) -> int | None:
    if _TOKEN.fullmatch(text) is None:
        return None
    return int(text.lower().translate(_PYTHONS), 32)
