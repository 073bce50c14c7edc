"""Pages keep the strict content policy: no inline style or script, nothing unescaped."""

import re
from pathlib import Path

from jinja2 import Environment, nodes

from tests.architecture.tree import name, tracked

INLINE = re.compile(r"<[^>]*\s(style|on[a-z]+)\s*=", re.IGNORECASE)
UNSAFE = re.compile(r"\|\s*safe\b|autoescape\s+false", re.IGNORECASE)
SCRIPT = re.compile(r"<script(?![^>]*\b(src|nonce)\s*=)", re.IGNORECASE)


def templates(*suffixes: str) -> list[Path]:
    wanted = suffixes or (".html",)
    return [path for path in tracked() if path.suffix in wanted and "/templates/" in name(path)]


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


def test_only_texts_of_ours_are_given_to_gettext() -> None:
    """`_()` takes its text for markup and for a format: words of others go through `translated`."""
    parser = Environment(extensions=["jinja2.ext.i18n"])  # noqa: S701 - only parses

    found = [
        f"{name(path)}:{call.lineno}"
        for path in templates(".html", ".txt")
        for call in parser.parse(path.read_text()).find_all(nodes.Call)
        if isinstance(call.node, nodes.Name)
        and call.node.name == "_"
        and not isinstance(call.args[0], nodes.Const)
    ]

    assert found == []
