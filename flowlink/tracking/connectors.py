"""Where networks' events come from besides their calls: connectors, behind one interface.

A connector yields what a network says in our own field names. Whatever it is, a file or some day
a network's API, its events take the way of every postback: `postbacks.process`.
"""

import csv
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from io import StringIO
from typing import Protocol

from flowlink.kernel import clock
from flowlink.kernel.errors import Invalid
from flowlink.tracking import table_text
from flowlink.tracking.networks import FIELDS

HAPPENED_AT = "happened_at"
COLUMNS = (*FIELDS, HAPPENED_AT)
ROWS_MAX = 50_000
_COLUMNS_MAX = 200
_CELL_MAX = 500
_DELIMITERS = ",;\t|"
_DATES = ("%Y-%m-%d", "%Y-%m-%d %H:%M:%S", "%Y-%m-%d %H:%M", "%d/%m/%Y", "%d/%m/%Y %H:%M:%S")
_USUAL: Mapping[str, tuple[str, ...]] = {
    "subid": ("subid", "sub_id", "subid1", "sub1", "clickref", "click_id", "clickid", "sid", "s2"),
    "amount": ("amount", "commission", "payout", "commission_amount", "earnings", "sum", "profit"),
    "currency": ("currency", "commission_currency", "transaction_currency"),
    "status": ("status", "state", "commission_status", "action_state", "conversion_status"),
    "txn_id": ("txn_id", "transaction_id", "order_id", "action_id", "conversion_id", "id"),
    "goal": ("goal", "event", "goal_id", "event_name"),
    HAPPENED_AT: ("happened_at", "date", "transaction_date", "event_date", "conversion_date"),
}


class UnreadableReport(Invalid):
    message = "This is not a CSV file with a line of column names and at least one row."
    field = "file"


class TooManyRows(Invalid):
    message = "A report has at most %(most)s rows. Please split the file."
    field = "file"


class BadColumns(Invalid):
    message = "Choose a column for the click id or the transaction, and each column only once."
    field = "columns"


class BadRow(Exception):
    """This row cannot become an event; `reason` is the machine's word for why."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


@dataclass(frozen=True, slots=True)
class Event:
    """What a network says of one conversion, in our field names, and when it says it happened."""

    fields: Mapping[str, str]
    happened_at: datetime | None


class Connector(Protocol):
    """A source of a network's events."""

    def events(self) -> Iterator[Event | BadRow]:
        """Every event, in the order in which the source tells it."""


@dataclass(frozen=True, slots=True)
class CsvRows:
    """Rows of a report read through its columns: our field -> number of the column."""

    columns: Mapping[str, int]
    rows: Sequence[Sequence[str]]

    def events(self) -> Iterator[Event | BadRow]:
        for cells in self.rows:
            try:
                yield self._event(cells)
            except BadRow as error:
                yield error

    def _event(self, cells: Sequence[str]) -> Event:
        if len(cells) <= max(self.columns.values()):
            raise BadRow("missing_cells")
        values = {name: cells[place].strip() for name, place in self.columns.items()}
        happened_at = _moment(values.pop(HAPPENED_AT, ""))
        return Event({name: value for name, value in values.items() if value}, happened_at)


def read_csv(content: bytes) -> tuple[list[str], list[list[str]]]:
    """Column names and rows of a file, whatever its delimiter and encoding are.

    :raises UnreadableReport: :raises TooManyRows:
    """
    text = (table_text.decoded(content) or "").replace("\x00", "")
    try:
        found = list(csv.reader(StringIO(text, newline=None), delimiter=_delimiter(text)))
    except csv.Error:
        raise UnreadableReport from None
    lines = [line for line in found if any(cell.strip() for cell in line)]
    if len(lines) < 2 or len(lines[0]) > _COLUMNS_MAX:  # a header and a row
        raise UnreadableReport
    if len(lines) - 1 > ROWS_MAX:
        raise TooManyRows(most=ROWS_MAX)
    header = [cell.strip()[:_CELL_MAX] for cell in lines[0]]
    return header, [[cell[:_CELL_MAX] for cell in line[: len(header)]] for line in lines[1:]]


def guess(header: Sequence[str], fields: Mapping[str, str]) -> dict[str, int]:
    """Which column is which of our fields: by the network's own names, then by the usual ones."""
    places = {_plain(name): place for place, name in reversed(list(enumerate(header)))}
    found: dict[str, int] = {}
    for ours in COLUMNS:
        for name in (fields.get(ours, ours), *_USUAL[ours]):
            place = places.get(_plain(name))
            if place is not None and place not in found.values():
                found[ours] = place
                break
    return found


def check_columns(columns: Mapping[str, int], *, width: int) -> dict[str, int]:
    """:raises BadColumns: unknown, outside the file, one twice, or nothing that names the event."""
    known = all(name in COLUMNS and 0 <= place < width for name, place in columns.items())
    unique = len(set(columns.values())) == len(columns)
    if not known or not unique or not {"subid", "txn_id"} & columns.keys():
        raise BadColumns
    return dict(columns)


def _delimiter(text: str) -> str:
    """The one that stands most often in the first line."""
    first = text.lstrip().partition("\n")[0]
    return max(_DELIMITERS, key=first.count)


def _plain(name: str) -> str:
    return "_".join(name.lower().replace("-", " ").replace("_", " ").split())


def _moment(text: str) -> datetime | None:
    """A date as reports write it; one without a zone is UTC.

    :raises BadRow: text that is not a date.
    """
    if not text:
        return None
    try:
        found = datetime.fromisoformat(text)
    except ValueError:
        found = _by_format(text)
    try:
        return clock.in_utc(found)
    except ValueError:
        raise BadRow("unreadable_date") from None


def _by_format(text: str) -> datetime:
    for form in _DATES:
        try:
            return datetime.strptime(text, form)  # noqa: DTZ007  (its caller adds the zone)
        except ValueError:
            continue
    raise BadRow("unreadable_date")
