"""Lists in pages: a cursor names the last row shown, so that new rows never shift a page."""

import base64
import binascii
import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Generic, TypeVar

from flowlink.kernel.errors import Invalid

T = TypeVar("T")
_LONGEST = 500


class BadCursor(Invalid):
    message = "This page of the list does not exist any more. Start again from its beginning."
    field = "cursor"


@dataclass(frozen=True, slots=True)
class Page(Generic[T]):
    """Some rows, and the cursor of those after them; None at the end."""

    items: Sequence[T]
    next: str | None = None


def cursor_encode(*parts: str | int) -> str:
    """What the next page starts after, as text for an address."""
    packed = json.dumps(parts, separators=(",", ":")).encode()
    return base64.urlsafe_b64encode(packed).decode().rstrip("=")


def cursor_decode(cursor: str) -> list[str | int]:
    """The parts given to `cursor_encode`.

    :raises BadCursor: not one of ours; its parts still have to be checked for their meaning.
    """
    if len(cursor) > _LONGEST:
        raise BadCursor
    try:
        parts = json.loads(base64.urlsafe_b64decode(cursor + "=" * (-len(cursor) % 4)))
    except (binascii.Error, ValueError, RecursionError):
        raise BadCursor from None
    if not isinstance(parts, list) or not all(type(part) in {str, int} for part in parts):
        raise BadCursor
    return parts
