"""Lists that page: by the key of their last row, or by a place in a long line."""

from collections.abc import Callable, Sequence
from typing import Annotated, TypeVar
from uuid import UUID

from fastapi import Query

from flowlink.web.paging import BadCursor, Page, cursor_decode, cursor_encode

T = TypeVar("T")
SIZE = 50
CSV_SIZE = 100_000
_FURTHEST = 1 << 63

Cursor = Annotated[str | None, Query(max_length=500)]
Format = Annotated[str, Query(alias="format", max_length=8)]
Search = Annotated[str, Query(max_length=200)]


One = Annotated[str, Query(max_length=64)]  # the public id of the single thing that is asked for


def before(cursor: str | None) -> UUID | None:
    """The key that the page comes after; None for the first page.

    :raises BadCursor: not a cursor of ours.
    """
    if not cursor:
        return None
    try:
        (key,) = cursor_decode(cursor)
        return UUID(str(key))
    except ValueError:
        raise BadCursor from None


def position(cursor: str | None) -> int | None:
    """The place that the page comes after; None for the first page.

    :raises BadCursor: not a cursor of ours.
    """
    if not cursor:
        return None
    match cursor_decode(cursor):
        case [int(place)] if 0 <= place < _FURTHEST:
            return place
    raise BadCursor


def cut(rows: Sequence[T], key: Callable[[T], UUID], size: int = SIZE) -> Page[T]:
    """A page out of up to `size + 1` rows: the one too many only says that there are more."""
    if len(rows) <= size:
        return Page(rows)
    return Page(rows[:size], cursor_encode(str(key(rows[size - 1]))))


def stretch(rows: Sequence[T], cursor: str | None, size: int = SIZE) -> Page[T]:
    """A page out of all rows of a list that is short enough to be read whole.

    :raises BadCursor: not a cursor of ours.
    """
    start = position(cursor) or 0
    end = start + size
    return Page(rows[start:end], cursor_encode(end) if len(rows) > end else None)
