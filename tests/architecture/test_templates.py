"""Pages keep the strict content policy: no inline style or script, nothing unescaped."""

import re
from pathlib import Path

from jinja2 import Environment, nodes

from tests.architecture.tree import name, tracked

INLINE = re.compile(r"<[^>]*\s(style|on[a-z]+)\s*=", re.IGNORECASE)
UNSAFE = re.compile(r"\|\s*safe\b|autoescape\s+false", re.IGNORECASE)
TABLE = re.compile(r"{% call\(\w+\) table\((?:(?!%}).)*%}")
# Where a table is a part of one thing that is shown whole, what is about to be done, or the head
# of a list that has its own page.
NO_FILE = {
    "billing/templates/billing.html",
    "insights/templates/_case.html",
    "insights/templates/ledger_entry.html",
    "insights/templates/network.html",
    "insights/templates/partner_terms.html",
    "insights/templates/partners_preview.html",
    "insights/templates/portal.html",
    "insights/templates/postback.html",
    "insights/templates/quarantine.html",
    "insights/templates/report.html",
    "insights/templates/trail_accrual.html",
    "insights/templates/trail_entry.html",
    "insights/templates/trail_release.html",
    "payouts/templates/watches_preview.html",
    "risk/templates/holds_preview.html",
    "tracking/templates/bulk.html",
}
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


def test_every_list_can_be_taken_along() -> None:
    """Everything a person sees exports to CSV (spec 7)."""
    without = {
        name(path).removeprefix("flowlink/")
        for path in templates()
        if "/ui/" not in name(path)
        and any("csv=" not in table for table in TABLE.findall(path.read_text()))
    }

    assert without == NO_FILE
