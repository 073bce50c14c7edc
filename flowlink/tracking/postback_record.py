"""A postback as the journal of an edge without a database holds it: sealed, for the key in it opens
doors, and neither a disk nor a broker on the way has to know it.
"""

import struct
from datetime import UTC, datetime, timedelta

from cryptography.fernet import InvalidToken

from flowlink.kernel import crypto
from flowlink.tracking.postbacks import PostbackIn, Taken

_VERSION = b"\x02"  # clicks have 1
_AT = struct.Struct("<q")
_SIZES = struct.Struct("<HHHH")
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


class Unreadable(ValueError):
    """The record is no postback that we can open."""


def is_one(record: bytes) -> bool:
    """Whether it says that it is a postback."""
    return record[:1] == _VERSION


def pack(taken: Taken) -> bytes:
    """The record of a postback."""
    one = taken.request
    words = [
        word.encode("utf-8", "surrogatepass")
        for word in (one.method, one.query, one.content_type, one.address)
    ]
    plain = b"".join([_SIZES.pack(*map(len, words)), *words, one.body])
    at_ms = (taken.at - _EPOCH) // timedelta(milliseconds=1)
    return _VERSION + _AT.pack(at_ms) + crypto.encrypt(plain)


def unpack(record: bytes) -> Taken:
    """The postback of a record.

    :raises Unreadable: damaged, or sealed with a key that we do not have.
    """
    at = moment(record)
    try:
        plain = crypto.decrypt(record[len(_VERSION) + _AT.size :])
    except InvalidToken:
        raise Unreadable("a postback that our keys do not open") from None
    sizes = _SIZES.unpack_from(plain)
    words, start = [], _SIZES.size
    for size in sizes:
        words.append(plain[start : start + size].decode("utf-8", "surrogatepass"))
        start += size
    method, query, content_type, address = words
    return Taken(PostbackIn(method, query, content_type, plain[start:], address), at)


def moment(record: bytes) -> datetime:
    """When the edge took it.

    :raises Unreadable: it is something else.
    """
    try:
        (at_ms,) = _AT.unpack_from(record, len(_VERSION))
        return _EPOCH + timedelta(milliseconds=at_ms)
    except (struct.error, OverflowError) as problem:
        raise Unreadable(f"{len(record)} bytes are no postback") from problem
