"""Tables for the terminal."""

from collections.abc import Sequence


def table(title: str, header: Sequence[str], rows: Sequence[Sequence[object]]) -> None:
    """Print rows under a title, columns as wide as they need, the first to the left."""
    cells = [list(header), *([str(cell) for cell in row] for row in rows)]
    widths = [max(map(len, column)) for column in zip(*cells, strict=True)]
    print(f"\n{title}")
    for row in cells:
        first, *rest = (cell.ljust(width) for cell, width in zip(row, widths, strict=True))
        numbers = (cell.strip().rjust(width) for cell, width in zip(rest, widths[1:], strict=True))
        print("  " + "  ".join([first, *numbers]).rstrip(), flush=True)
