"""Links from other shorteners, out of the CSV files that they export; old codes stay.

Columns are found by name, whatever their case and order. Where a maker has called them several
things over time, all of them are known; docs/links.md says where each was read.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from urllib.parse import unquote, urlsplit

from flowlink.tracking import bulk, wishes
from flowlink.tracking.bulk import MissingColumn, Row


class Format(StrEnum):
    """Where a file comes from."""

    FLOWLINK = "flowlink"
    BITLY = "bitly"
    SHLINK = "shlink"
    KUTT = "kutt"
    YOURLS = "yourls"
    DUB = "dub"


def _last(address: str) -> str:
    """The code in a short address such as `https://bit.ly/3xY`, or one that is alone."""
    path = urlsplit(address if "://" in address else f"//{address}").path
    if not path and "." not in address:
        return address
    return unquote(path.strip("/"))


def _between_slashes(source: str) -> str:
    return source.strip("/")


def _as_it_is(code: str) -> str:
    return code


@dataclass(frozen=True, slots=True)
class _Layout:
    """Names of columns, the first that holds something counts; and how the code is read."""

    code: Sequence[str]
    destination: Sequence[str]
    title: Sequence[str] = ("title",)
    tags: Sequence[str] = ("tags",)
    expires: Sequence[str] = ()
    read_code: Callable[[str], str] = _as_it_is


_LAYOUTS: Mapping[Format, _Layout] = {
    Format.BITLY: _Layout(
        code=("custom link", "custom_link", "custom_bitlinks", "link", "bitlink", "short link"),
        destination=("destination url", "long_url", "long url", "destination"),
        read_code=_last,
    ),
    Format.SHLINK: _Layout(
        code=("shortcode", "short code", "short_code"),
        destination=("longurl", "long url", "long_url"),
    ),
    Format.KUTT: _Layout(
        code=("address", "short address", "link"),
        destination=("target", "original url"),
        title=("description",),
        expires=("expire_in",),
        read_code=_last,
    ),
    Format.YOURLS: _Layout(
        code=("keyword", "source"),
        destination=("url", "target"),
        read_code=_between_slashes,
    ),
    Format.DUB: _Layout(
        code=("short link", "shortlink", "link", "key"),
        destination=("destination url", "url"),
        title=("title", "comments"),
        expires=("expiresat", "expires at"),
        read_code=_last,
    ),
}


def read(text: str, *, form: Format, domain: str = "") -> list[Row]:
    """The rows of a file of that form, to be made on `domain` (empty: our own host).

    :raises bulk.NotATable: :raises bulk.NoRows: :raises bulk.TooManyRows:
    :raises bulk.MissingColumn: not a file of that form.
    """
    if form == Format.FLOWLINK:
        return bulk.read(text)
    layout = _LAYOUTS[form]
    found = []
    for line, cells in bulk.table(text):
        _check_columns(layout, cells)
        found.append(
            Row(
                line=line,
                slug=layout.read_code(_first(cells, layout.code)),
                destination=_first(cells, layout.destination),
                domain=domain,
                note=_first(cells, layout.title)[: wishes.NOTE_MAX],
                tags=_tags(_first(cells, layout.tags)),
                expires_at=_first(cells, layout.expires),
                kept=True,
            )
        )
    return found


def _check_columns(layout: _Layout, cells: Mapping[str, str]) -> None:
    for names in (layout.code, layout.destination):
        if not any(name in cells for name in names):
            raise MissingColumn(name=names[0])


def _first(cells: Mapping[str, str], names: Sequence[str]) -> str:
    found = next((cells[name] for name in names if cells.get(name)), "")
    return "" if found in {"null", "undefined"} else found


def _tags(text: str) -> list[str]:
    """Tags as `a|b`, `a, b` or `["a", "b"]`."""
    return [word.strip(" \"'[]") for word in wishes.split_tags(text)]
