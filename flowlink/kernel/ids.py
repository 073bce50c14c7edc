"""Public ids: a prefix that says the kind, and the UUIDv7 key in 26 Crockford base32 characters."""

from uuid import UUID

from flowlink.kernel.errors import NotFound

_ALPHABET = "0123456789abcdefghjkmnpqrstvwxyz"
_VALUES = {letter: value for value, letter in enumerate(_ALPHABET)}
_LENGTH = 26


def public(prefix: str, key: UUID) -> str:
    """The form of `key` that leaves the house, such as `par_01jd…`."""
    rest = key.int
    letters = []
    for _ in range(_LENGTH):
        rest, digit = divmod(rest, 32)
        letters.append(_ALPHABET[digit])
    return f"{prefix}_{''.join(reversed(letters))}"


def parse(prefix: str, text: str) -> UUID:
    """The key behind a public id.

    :raises NotFound: another kind of id, or none at all: what it names cannot exist.
    """
    head, _, body = text.strip().partition("_")
    if head != prefix or len(body) != _LENGTH:
        raise NotFound
    number = 0
    for letter in body.lower():
        if letter not in _VALUES:
            raise NotFound
        number = number * 32 + _VALUES[letter]
    if number >= 1 << 128:
        raise NotFound
    return UUID(int=number)
