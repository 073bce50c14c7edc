"""Papers come to be whatever people are called and whatever they write."""

from dataclasses import replace
from datetime import UTC, datetime
from io import BytesIO

import pytest
from pypdf import PdfReader

from flowlink.papers import drawing, letters, parties
from flowlink.papers.drawing import Sheet, Table
from flowlink.papers.parties import Party

AT = datetime(2026, 11, 21, tzinfo=UTC)
SHEET = Sheet(
    lang="fr",
    title="Relevé",
    facts=[],
    sender_label="De",
    sender=["Flowlink"],
    receiver_label="Pour",
    receiver=["Ada"],
    tables=[],
)


def read(sheet: Sheet) -> str:
    return "".join(
        page.extract_text() for page in PdfReader(BytesIO(drawing.pdf(sheet, at=AT))).pages
    )


@pytest.mark.parametrize(
    ("written", "shown"),
    [
        ("Zoë Łukasz Ærø", "Zoë Łukasz Ærø"),
        ("Ελένη Иванова", "Ελένη Иванова"),
        ("李明", "??"),
        ("ﬁn ①②", "fin 12"),
        ("a\u202eb\u200bc\x00", "abc"),
        ("paid 🎉 ✓", "paid ? ?"),
        ("e\u0301t\u0301", "ét\u0301"),
    ],
)
def test_what_has_no_shape_is_said_plainly(written: str, shown: str) -> None:
    assert letters.shown(written) == shown
    assert letters.shows(shown)


def test_every_text_of_a_sheet_can_be_drawn() -> None:
    odd = "李明 🎉 \u202e عربي ไทย \u0378 \x07"
    sheet = replace(
        SHEET,
        title=odd,
        facts=[(odd, odd)],
        sender=[odd, odd],
        tables=[Table(odd, [odd], [[odd]])],
        totals=[(odd, odd)],
        notes=[odd],
        page_label=odd,
    )

    assert "??" in read(sheet)


def test_whatever_we_take_for_drawable_is() -> None:
    every = "".join(chr(one) for first, last in letters._RANGES for one in range(first, last + 1))

    assert drawing.pdf(replace(SHEET, sender=[letters.shown(every)]), at=AT)


@pytest.mark.parametrize(
    "party",
    [
        Party("李明", "2 rue de l'Été", "69001", "Lyon", "FR"),
        Party("Ada", "李明", "69001", "Lyon", "FR"),
        Party("Ada", "2 rue de l'Été", "69001", "🎉", "FR"),
        Party("Ada", "2 rue de l'Été", "69001", "Lyon", "FR", registration="李明"),
    ],
)
def test_who_gives_details_writes_them_in_letters_of_ours(party: Party) -> None:
    with pytest.raises(parties.OtherLetters):
        parties.checked(party)
