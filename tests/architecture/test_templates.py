"""Pages keep the strict content policy: no inline style or script, nothing unescaped."""

import re
from pathlib import Path

from tests.architecture.tree import name, tracked

INLINE = re.compile(r"<[^>]*\s(style|on[a-z]+)\s*=", re.IGNORECASE)
UNSAFE = re.compile(r"\|\s*safe\b|autoescape\s+false", re.IGNORECASE)
SCRIPT = re.compile(r"<script(?![^>]*\b(src|nonce)\s*=)", re.IGNORECASE)


def templates() -> list[Path]:
    return [path for path in tracked() if path.suffix == ".html" and "flowlink" in name(path)]


def places(pattern: re.Pattern[str], *, outside: str = "\0") -> list[str]:
    return [
        f"{name(path)}: {found.group(0)}"
        for path in templates()
        if outside not in name(path)
        for found in pattern.finditer(path.read_text())
    ]


def test_there_are_templates() -> None:
    assert len(templates()) > 10


def test_no_style_and_no_handler_stands_in_a_tag() -> None:
    assert places(INLINE) == []


def test_every_script_has_a_source_or_a_nonce() -> None:
    assert places(SCRIPT) == []


def test_nothing_is_unescaped_outside_the_macros() -> None:
    assert places(UNSAFE, outside="/ui/") == []
