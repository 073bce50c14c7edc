"""Clicks as a file: the same rows in each form, typed where the form can be."""

import csv
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from pyarrow import parquet  # type: ignore[import-untyped]
from sqlalchemy.orm import Session

from flowlink.app import clicks_export
from flowlink.partners import ids as partner_ids
from flowlink.tracking import clicks, service as tracking
from flowlink.tracking.clicks import Visit
from flowlink.tracking.models import Reason
from tests.factories import make_partner

NOON = datetime(2026, 11, 20, 12, 0, tzinfo=UTC)
AGENT = "Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0"


@pytest.fixture
def code(session: Session) -> str:
    """A link with a counted click, and an hour later one of a bot."""
    person = make_partner(session)
    link = tracking.create_link(session, partner_id=person.partner_id, now=NOON)
    visits = [
        Visit(link.code, NOON, "192.0.2.1", AGENT, "a.test", Reason.VALID),
        Visit(link.code, NOON + timedelta(hours=1), "192.0.2.2", "Googlebot", "", Reason.BOT),
    ]
    clicks.store(session, visits=visits)
    return f"{link.code} {partner_ids.public(person.partner_id)}"


def test_both_forms_hold_the_same_clicks(code: str, tmp_path: Path) -> None:
    link, partner = code.split()

    written = [
        clicks_export.write(tmp_path / f"clicks{form}", since=NOON, until=None)
        for form in clicks_export.FORMS
    ]

    with (tmp_path / "clicks.csv").open(newline="") as file:
        plain = list(csv.DictReader(file))
    typed = parquet.read_table(tmp_path / "clicks.parquet").to_pylist()
    assert written == [2, 2]
    assert list(plain[0]) == list(typed[0]) == list(clicks_export.HEADER)
    assert [row["click_id"] for row in plain] == [row["click_id"] for row in typed]
    assert (plain[0]["link"], plain[0]["partner"], plain[0]["at"]) == (
        link,
        partner,
        "2026-11-20T12:00:00.000Z",
    )
    assert [(row["valid"], row["reason"], row["referrer"]) for row in typed] == [
        (True, None, "a.test"),
        (False, "bot", None),
    ]
    assert typed[0]["at"] == NOON


def test_an_end_leaves_later_clicks_out(code: str, tmp_path: Path) -> None:
    out = tmp_path / "clicks.parquet"

    assert clicks_export.write(out, since=NOON, until=NOON + timedelta(minutes=30)) == 1


def test_without_clicks_the_file_has_its_columns(session: Session, tmp_path: Path) -> None:
    out = tmp_path / "clicks.parquet"

    assert clicks_export.write(out, since=NOON + timedelta(days=900), until=None) == 0

    assert parquet.read_table(out).column_names == list(clicks_export.HEADER)


@pytest.mark.parametrize("form", clicks_export.FORMS)
def test_what_cannot_be_written_leaves_nothing(session: Session, tmp_path: Path, form: str) -> None:
    with pytest.raises(OSError, match="No such file"):
        clicks_export.write(tmp_path / "nowhere" / f"clicks{form}", since=NOON, until=None)

    assert list(tmp_path.iterdir()) == []
