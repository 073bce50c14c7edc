"""Lists to take along: CSV that spreadsheets open safely."""

import csv
from collections.abc import Generator, Iterable, Sequence
from datetime import UTC, datetime
from io import StringIO

from fastapi.responses import StreamingResponse

from flowlink.kernel.money import Money

_BOM = "\ufeff"  # without it Excel reads our UTF-8 as something else
_FORMULA = ("=", "+", "-", "@", "\t", "\r")


def response(
    filename: str, header: Sequence[str], rows: Iterable[Sequence[object]]
) -> StreamingResponse:
    """`rows` as a download named `filename`; amounts get a point, times UTC (RFC 3339)."""
    return StreamingResponse(
        _lines(header, rows),
        media_type="text/csv; charset=utf-8",
        headers={"content-disposition": f'attachment; filename="{filename}"'},
    )


def _lines(header: Sequence[str], rows: Iterable[Sequence[object]]) -> Generator[str]:
    buffer = StringIO()
    writer = csv.writer(buffer)
    buffer.write(_BOM)
    writer.writerow(header)
    for row in rows:
        writer.writerow([_cell(value) for value in row])
        yield buffer.getvalue()
        buffer.seek(0)
        buffer.truncate()
    yield buffer.getvalue()


def _cell(value: object) -> object:
    if isinstance(value, Money):
        return f"{value.round_cents().decimal():.2f}"
    if isinstance(value, datetime):
        return value.astimezone(UTC).isoformat(timespec="seconds").replace("+00:00", "Z")
    if isinstance(value, str) and value.startswith(_FORMULA):
        return f"'{value}"  # a spreadsheet would run it (OWASP, CSV injection)
    return "" if value is None else value
