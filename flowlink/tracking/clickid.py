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
from functools import lru_cache
from hmac import compare_digest

from flowlink.kernel import crypto, settings

EPOCH = datetime(2024, 1, 1, tzinfo=UTC)
LENGTH = 36
_ALPHABET = "0123456789abcdefghjkmnpqrstvwxyz"
_PAIRS = tuple(a + b for a in _ALPHABET for b in _ALPHABET)
_PYTHONS = str.maketrans(_ALPHABET, "0123456789abcdefghijklmnopqrstuv")
_TOKEN = re.compile(f"[{_ALPHABET}]{{36}}", re.ASCII | re.IGNORECASE)
_NODE_BITS, _SEQUENCE_BITS = 10, 12
_TIME_SHIFT = _NODE_BITS + _SEQUENCE_BITS
_LINK_BITS, _PARTNER_BITS, _MAC_BYTES = 36, 29, 6
_HIDDEN_BYTES = 16
_MILLISECOND = timedelta(milliseconds=1)


@dataclass(frozen=True, slots=True)
class ClickRef:
    """What a token says: the click's number, its link's and its partner's."""

    number: int
    link: int
    partner: int


class Maker:
    """Makes ever-growing numbers for one process. `node` is held by no other process."""

    def __init__(self, node: int) -> None:
        self._node = (node & ((1 << _NODE_BITS) - 1)) << _SEQUENCE_BITS
        self._last_ms = -1
        self._sequence = 0

    def next(self, now: datetime) -> int:
        """A number for `now`; it never goes back, even when the clock does."""
        ms = max((now - EPOCH) // _MILLISECOND, 0)
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


def token(ref: ClickRef) -> str:
    """The signed form that travels to the network."""
    plain = _packed(ref)
    mac = crypto.keyed_hash("click", plain)[:_MAC_BYTES]
    stream = crypto.keyed_hash("click.stream", mac)
    hidden = int.from_bytes(plain) ^ int.from_bytes(stream[:_HIDDEN_BYTES])
    bits = _marks(settings.current().secret_keys)[0] << 48 | int.from_bytes(mac)
    return _written(bits << 128 | hidden)


def read(text: str) -> ClickRef | None:
    """What the token says, or nothing when it is not one that we signed."""
    bits = _parsed(text)
    if bits is None:
        return None
    mac = (bits >> 128 & ((1 << 48) - 1)).to_bytes(_MAC_BYTES)
    hidden = bits & ((1 << 128) - 1)
    marks = _marks(settings.current().secret_keys)
    streams = crypto.keyed_hashes("click.stream", mac)
    for index, (mark, stream) in enumerate(zip(marks, streams, strict=True)):
        if mark != bits >> 176:
            continue
        plain = (hidden ^ int.from_bytes(stream[:_HIDDEN_BYTES])).to_bytes(_HIDDEN_BYTES)
        if compare_digest(crypto.keyed_hashes("click", plain)[index][:_MAC_BYTES], mac):
            return _unpacked(plain)
    return None


@lru_cache(maxsize=4)
def _marks(keys: tuple[str, ...]) -> list[int]:
    """Four bits that tell the keys of the ring apart, mostly: they only save a useless check."""
    assert keys == settings.current().secret_keys
    return [key[0] >> 4 for key in crypto.keyed_hashes("click.mark")]


def _packed(ref: ClickRef) -> bytes:
    assert ref.number >> 63 == 0, "a click number has 63 bits"
    assert ref.link >> _LINK_BITS == 0
    assert ref.partner >> _PARTNER_BITS == 0
    bits = ref.number << _LINK_BITS + _PARTNER_BITS | ref.link << _PARTNER_BITS | ref.partner
    return bits.to_bytes(_HIDDEN_BYTES)


def _unpacked(plain: bytes) -> ClickRef:
    bits = int.from_bytes(plain)
    return ClickRef(
        number=bits >> _LINK_BITS + _PARTNER_BITS,
        link=bits >> _PARTNER_BITS & ((1 << _LINK_BITS) - 1),
        partner=bits & ((1 << _PARTNER_BITS) - 1),
    )


def _written(bits: int) -> str:
    pairs = []
    for _ in range(LENGTH // 2):
        pairs.append(_PAIRS[bits & 1023])
        bits >>= 10
    return "".join(reversed(pairs))


def _parsed(text: str) -> int | None:
    if _TOKEN.fullmatch(text) is None:
        return None
    return int(text.lower().translate(_PYTHONS), 32)
