"""A click as the journal holds it: a few numbers and two words, and no address.

Whoever clicked is there as the day's salted hash alone: a journal may lie on a disk for days.
"""

import struct
from datetime import datetime

from flowlink.tracking import clickid
from flowlink.tracking.clicks import Row

_VERSION = 1
_FIXED = struct.Struct("<BBqqqihqHH")
_WORD_BYTES_MAX = 4096


class Unreadable(ValueError):
    """The record is no click of a version that we know."""


def pack(row: Row) -> bytes:
    """The record of a click; what is too long of its words is cut."""
    return packed(
        reason=row.reason,
        number=row.number,
        visitor=row.visitor,
        link=row.link,
        partner=row.partner,
        country=row.country,
        origin=row.origin,
        agent=row.agent.encode("utf-8", "replace")[:_WORD_BYTES_MAX],
        referrer=row.referrer.encode("utf-8", "replace")[:_WORD_BYTES_MAX],
    )


def packed(
    *,
    reason: int,
    number: int,
    visitor: int,
    link: int,
    partner: int,
    country: int,
    origin: int,
    agent: bytes,
    referrer: bytes,
) -> bytes:
    """The same from its parts; the words are UTF-8 and short enough."""
    fixed = _FIXED.pack(
        _VERSION,
        reason,
        number,
        visitor,
        link,
        partner,
        country,
        origin,
        len(agent),
        len(referrer),
    )
    return fixed + agent + referrer


def unpack(record: bytes) -> Row:
    """The click of a record.

    :raises Unreadable: it is something else.
    """
    try:
        version, reason, number, visitor, link, partner, country, origin, agent, referrer = (
            _FIXED.unpack_from(record)
        )
    except struct.error as problem:
        raise Unreadable(f"{len(record)} bytes are no click") from problem
    middle, end = _FIXED.size + agent, _FIXED.size + agent + referrer
    if version != _VERSION or len(record) != end:
        raise Unreadable(f"a record of version {version} and {len(record)} bytes")
    return Row(
        number,
        visitor,
        link,
        partner,
        reason,
        country,
        origin,
        record[_FIXED.size : middle].decode("utf-8", "replace"),
        record[middle:end].decode("utf-8", "replace"),
    )


def moment(record: bytes) -> datetime:
    """When the click happened: its number says it.

    :raises Unreadable: it is something else.
    """
    return clickid.at(unpack(record).number)
