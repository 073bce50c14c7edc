"""Many links at once: rows of a table, each with what is wrong with it, made together.

A row that cannot be made says why and stops no other. The same rows twice make the same links
when they name their codes.
"""

import csv
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, date, datetime
from io import StringIO

from sqlalchemy.orm import Session

from flowlink.kernel import clock
from flowlink.kernel.errors import FlowlinkError, Invalid
from flowlink.partners.ids import PartnerId
from flowlink.tracking import domains, names, offers, service, wishes
from flowlink.tracking.ids import OfferId
from flowlink.tracking.models import Link
from flowlink.tracking.wishes import Wishes

ROWS_MAX = 1000
HEADER = ("slug", "destination", "offer", "domain", "tags", "note", "expires_at")
_DELIMITERS = ",;\t"
_LONGEST_FIELD = 8000


class TooManyRows(Invalid):
    message = "At most %(limit)s links at once, please."
    field = "csv"


class NoRows(Invalid):
    message = "There is no row in this table."
    field = "csv"


class NotATable(Invalid):
    message = "This is not a CSV table with a line of column names."
    field = "csv"


class MissingColumn(Invalid):
    message = "The column “%(name)s” is missing."
    field = "csv"


class BadCode(Invalid):
    message = (
        "A code of up to 64 letters, digits, hyphens or underscores can be kept, not this one."
    )
    field = "slug"


class TwiceInTable(Invalid):
    message = "This short name stands in the table twice."
    field = "slug"


class BadDate(Invalid):
    message = "“%(text)s” is not a day such as 2026-12-31."
    field = "expires_at"


@dataclass(frozen=True, slots=True)
class Row:
    """A link to make. `kept`: its code comes from elsewhere and may look as it does there."""

    line: int
    destination: str = ""
    slug: str = ""
    offer: str = ""
    domain: str = ""
    tags: Sequence[str] = ()
    note: str = ""
    expires_at: str = ""
    kept: bool = False


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of a row, or would: a link, or the reason why not."""

    row: Row
    error: FlowlinkError | None = None
    link: Link | None = None
    address: str = ""


@dataclass(slots=True)
class _Seen:
    """The codes of one table."""

    codes: set[tuple[str, str]] = field(default_factory=set)


def table(text: str) -> Iterator[tuple[int, Mapping[str, str]]]:
    """The rows of a CSV text by their line, columns by their small names.

    :raises NotATable: :raises TooManyRows: :raises NoRows:
    """
    plain = text.removeprefix("\ufeff").strip()
    first = next(iter(plain.splitlines()), "")
    delimiter = max(_DELIMITERS, key=first.count)
    reader = csv.reader(StringIO(plain, newline=None), delimiter=delimiter)
    try:
        rows = [(reader.line_num, cells) for cells in reader if any(map(str.strip, cells))]
    except csv.Error:
        raise NotATable from None
    if not rows or "\x00" in plain:
        raise NotATable
    if len(rows) == 1:
        raise NoRows
    if len(rows) > ROWS_MAX + 1:
        raise TooManyRows(limit=ROWS_MAX)
    columns = [name.strip().lower() for name in rows[0][1]]
    return (
        (line, {name: cell.strip()[:_LONGEST_FIELD] for name, cell in zip(columns, cells)})  # noqa: B905
        for line, cells in rows[1:]
    )


def read(text: str) -> list[Row]:
    """The rows of our own form of CSV (`HEADER`; only the destination's column is needed).

    :raises NotATable: :raises TooManyRows: :raises NoRows: :raises MissingColumn:
    """
    found = []
    for line, cells in table(text):
        if "destination" not in cells and "slug" not in cells:
            raise MissingColumn(name="destination")
        found.append(
            Row(
                line=line,
                destination=cells.get("destination", ""),
                slug=cells.get("slug", ""),
                offer=cells.get("offer", ""),
                domain=cells.get("domain", ""),
                tags=wishes.split_tags(cells.get("tags", "")),
                note=cells.get("note", ""),
                expires_at=cells.get("expires_at", ""),
            )
        )
    return found


def preview(
    session: Session, *, partner_id: PartnerId, rows: Sequence[Row], now: datetime
) -> list[Outcome]:
    """What `create` would do with these rows; nothing is written.

    :raises TooManyRows:
    """
    return _each(session, rows, partner_id=partner_id, now=now, try_only=True)


def create(
    session: Session, *, partner_id: PartnerId, rows: Sequence[Row], now: datetime
) -> list[Outcome]:
    """Make the links of all rows that can be made.

    :raises TooManyRows:
    """
    return _each(session, rows, partner_id=partner_id, now=now, try_only=False)


def _each(
    session: Session,
    rows: Sequence[Row],
    *,
    partner_id: PartnerId,
    now: datetime,
    try_only: bool,
) -> list[Outcome]:
    if len(rows) > ROWS_MAX:
        raise TooManyRows(limit=ROWS_MAX)
    seen = _Seen()
    outcomes = []
    for row in rows:
        try:
            link = _one(session, row, seen, partner_id=partner_id, now=now, try_only=try_only)
        except FlowlinkError as error:  # nothing of the row is written: the next one may be
            outcomes.append(Outcome(row, error))
        else:
            place = "" if link is None else service.address(session, link)
            outcomes.append(Outcome(row, link=link, address=place))
    return outcomes


def _one(
    session: Session,
    row: Row,
    seen: _Seen,
    *,
    partner_id: PartnerId,
    now: datetime,
    try_only: bool,
) -> Link | None:
    code = _code(row)
    if code:
        if (row.domain.lower(), code) in seen.codes:
            raise TwiceInTable
        seen.codes.add((row.domain.lower(), code))
    wanted = service.prepare(
        session,
        offer_id=OfferId(offers.named(session, row.offer).id) if row.offer else None,
        host=row.domain,
        wished=Wishes(
            destination=row.destination or None,
            expires_at=_until(row.expires_at),
            note=row.note,
            tags=row.tags,
        ),
        now=now,
    )
    if try_only:
        if code:
            service.check_free(session, partner_id=partner_id, code=code, wanted=wanted)
        return None
    if code:
        return service.keep_link(session, partner_id=partner_id, code=code, wanted=wanted)
    return service.new_link(session, partner_id=partner_id, wanted=wanted)


def _code(row: Row) -> str:
    if not row.kept:
        return names.check_slug(row.slug) if row.slug else ""
    if names.KEPT_CODE.fullmatch(row.slug) is None:
        raise BadCode
    return names.check_kept(row.slug, own_host=row.domain.lower() in {"", domains.own_host()})


def _until(text: str) -> datetime | None:
    """The end of that day in UTC, or that moment."""
    if not text:
        return None
    try:
        if len(text) == len("2026-12-31"):
            day = date.fromisoformat(text)
            return datetime(day.year, day.month, day.day, 23, 59, 59, tzinfo=UTC)
        return clock.in_utc(datetime.fromisoformat(text))
    except ValueError:
        raise BadDate(text=text[:40]) from None
