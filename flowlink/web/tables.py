"""Tables that become cards on a phone: each cell is told its column's name and kind."""

import re
from collections.abc import Sequence
from itertools import count

from markupsafe import Markup, escape

Column = str | tuple[str, str]
_CELL = re.compile(r"<td(?=[\s>])")


def label_cells(row: Markup, columns: Sequence[Column]) -> Markup:
    """Add `data-label` and `data-kind` to the cells of one rendered `<tr>`, in column order."""
    position = count()

    def labelled(_: re.Match[str]) -> str:
        label, kind = named(columns[next(position)])
        return f'<td data-label="{escape(label)}" data-kind="{escape(kind)}"'

    return Markup(_CELL.sub(labelled, row))  # noqa: S704 - both parts are escaped already


def named(column: Column) -> tuple[str, str]:
    """A column's name and kind (`""`, `num`, `main` or `end`)."""
    return (column, "") if isinstance(column, str) else column
