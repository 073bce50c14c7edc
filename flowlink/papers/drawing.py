"""Papers as PDF/A-3b files: one layout for all of them, drawn by Typst from plain data."""

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any

from flowlink.papers import letters

_LAYOUT = Path(__file__).parent / "typst" / "paper.typ"


@dataclass(frozen=True, slots=True)
class Table:
    """Rows of text under their headings; a column named in `numbers` is set to the right."""

    title: str
    columns: Sequence[str]
    rows: Sequence[Sequence[str]]
    numbers: Sequence[int] = ()


@dataclass(frozen=True, slots=True)
class Sheet:
    """Everything that stands on a paper, as text in its reader's language."""

    lang: str
    title: str
    facts: Sequence[tuple[str, str]]
    sender_label: str
    sender: Sequence[str]
    receiver_label: str
    receiver: Sequence[str]
    tables: Sequence[Table]
    totals: Sequence[tuple[str, str]] = field(default_factory=tuple)
    notes: Sequence[str] = field(default_factory=tuple)
    page_label: str = ""


def pdf(sheet: Sheet, *, at: datetime) -> bytes:
    """The file. The same sheet at the same moment gives the same bytes.

    What no font of ours can show is shown as `letters.shown` says.
    """
    import typst  # noqa: PLC0415  # a large library that few processes need

    drawn = typst.compile(
        _LAYOUT,
        format="pdf",
        sys_inputs={"sheet": json.dumps(_shown(asdict(sheet)))},
        pdf_standards="a-3b",
        ignore_system_fonts=True,
        timestamp=int(at.timestamp()),
    )
    assert isinstance(drawn, bytes)
    return drawn


def _shown(value: Any) -> Any:
    """The same data with every text in letters that can be drawn."""
    if isinstance(value, str):
        return letters.shown(value)
    if isinstance(value, dict):
        return {key: _shown(each) for key, each in value.items()}
    if isinstance(value, list | tuple):
        return [_shown(each) for each in value]
    return value
