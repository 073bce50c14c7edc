"""Lists: cursors, CSV, and amounts as JSON."""

import base64
from datetime import UTC, datetime

import pytest

from flowlink.kernel.money import Money
from flowlink.web import amounts, csv, paging


@pytest.mark.parametrize("parts", [("a", 1), (), (2**63, "é|,")])
def test_a_cursor_comes_back_as_it_went(parts: tuple[str | int, ...]) -> None:
    assert paging.cursor_decode(paging.cursor_encode(*parts)) == list(parts)


@pytest.mark.parametrize(
    "cursor",
    [
        "x",
        "%%%",
        "é",
        "W",
        base64.urlsafe_b64encode(b'{"a":1}').decode(),
        base64.urlsafe_b64encode(b"[1.5]").decode(),
        base64.urlsafe_b64encode(b"[true]").decode(),
        base64.urlsafe_b64encode(b"[" * 300).decode(),
        "A" * 600,
    ],
)
def test_a_cursor_of_somebody_elses_making_is_refused(cursor: str) -> None:
    with pytest.raises(paging.BadCursor):
        paging.cursor_decode(cursor)


def lines(*rows: tuple[object, ...]) -> list[str]:
    return "".join(csv._lines(["what", "amount"], rows)).splitlines()


def test_a_file_starts_with_its_header_even_when_empty() -> None:
    assert lines() == ["\ufeffwhat,amount"]


def test_amounts_times_and_nothing_read_as_machines_expect() -> None:
    at = datetime(2026, 11, 21, 8, 5, tzinfo=UTC)

    assert lines((at, Money(12_345_000)), (None, 3))[1:] == ["2026-11-21T08:05:00Z,12.34", ",3"]


@pytest.mark.parametrize("text", ["=1+1", "+1", "-1", "@SUM(A1)", "\t=1"])
def test_a_spreadsheet_never_runs_what_a_person_wrote(text: str) -> None:
    assert lines((text, 1))[1].startswith("'")


def test_an_amount_leaves_as_text() -> None:
    assert amounts.money_json(Money(12_345_000)) == {"amount": "12.34", "currency": "EUR"}
