"""French is complete and sound; amounts and dates read as their reader expects."""

import re
from datetime import UTC, date, datetime
from pathlib import Path

import pytest

from flowlink.kernel.errors import FlowlinkError, Invalid
from flowlink.kernel.money import Money
from flowlink.web import i18n
from tools import catalogues

PLACE = re.compile(r"%\(\w+\)[sd]")
NBSP = "\u00a0"
NARROW = "\u202f"


class Short(Invalid):
    message = "Only %(amount)s is there."


def texts(found: object) -> list[str]:
    return [str(text) for text in found] if isinstance(found, (list, tuple)) else [str(found)]


@pytest.mark.parametrize("lang", ["fr", "en"])
def test_of_an_empty_text_nothing_is_said(lang: str) -> None:
    assert i18n.translate(lang, "") == ""
    assert i18n.kept(lang, "") == ""
    assert i18n.message_of(lang, Short(amount="")) == "Only  is there."


def test_everything_that_is_said_has_its_french() -> None:
    assert catalogues.missing() == {}


def test_no_translation_is_left_behind_by_its_text() -> None:
    said = {text for msgid in catalogues.msgids() for text in texts(msgid)}
    unused = {
        f"{path.parent.parent.name}: {message.id}"
        for path in catalogues.sources()
        for message in catalogues.read(path)
        if message.id and texts(message.id)[0] not in said
    }

    assert unused == set()


@pytest.mark.parametrize("path", catalogues.sources(), ids=lambda path: path.parent.parent.name)
def test_translations_keep_the_places_for_values(path: Path) -> None:
    for message in catalogues.read(path):
        if message.id:
            # French counts nothing with the singular, which then needs the plural's number.
            known = set(PLACE.findall(" ".join(texts(message.id))))
            for said, meant in zip(texts(message.string), texts(message.id), strict=True):
                assert set(PLACE.findall(meant)) <= set(PLACE.findall(said)) <= known, said


@pytest.mark.parametrize("path", list(catalogues.sources()), ids=lambda path: path.parts[-3])
def test_no_file_says_a_text_twice(path: Path) -> None:
    said = re.findall(r'^msgid (.+(?:\n".*")*)', path.read_text(), re.MULTILINE)

    assert sorted(said) == sorted(set(said))


def test_modules_agree_about_shared_words() -> None:
    first: dict[str, tuple[str, str]] = {}
    quarrels = []
    for path in catalogues.sources():
        for message in catalogues.read(path):
            if not message.id:
                continue
            key = texts(message.id)[0]
            said = " ".join(texts(catalogues.typeset_all(message.string)))
            owner, kept = first.setdefault(key, (path.parent.parent.name, said))
            if kept != said:
                quarrels.append(f"{key!r}: {owner} {kept!r}, {path.parent.parent.name} {said!r}")

    assert quarrels == []


def test_french_is_set_as_printers_do() -> None:
    assert (
        catalogues.typeset("L'heure : « 8 h » ?") == f"L\u2019heure{NBSP}: «{NBSP}8 h{NBSP}»{NBSP}?"
    )


@pytest.mark.parametrize(
    ("cents", "french", "english"),
    [
        (1234, f"12,34{NBSP}€", "€12.34"),
        (128450, f"1{NARROW}284,50{NBSP}€", "€1,284.50"),
        (-50, f"-0,50{NBSP}€", "-€0.50"),
        (0, f"0,00{NBSP}€", "€0.00"),
    ],
)
def test_amounts_read_as_in_their_language(cents: int, french: str, english: str) -> None:
    amount = Money.from_cents(cents)

    assert (i18n.money(amount, "fr"), i18n.money(amount, "en")) == (french, english)


@pytest.mark.parametrize(
    ("micro", "shown"), [(5_000, "€0.00"), (15_000, "€0.02"), (25_000, "€0.02")]
)
def test_half_cents_are_shown_half_even(micro: int, shown: str) -> None:
    assert i18n.money(Money(micro), "en") == shown


def test_numbers_shares_and_days_read_as_in_their_language() -> None:
    assert i18n.number(1505, "fr") == f"1{NARROW}505"
    assert (i18n.percent(3000, "fr"), i18n.percent(3000, "en")) == (f"30{NBSP}%", "30%")
    assert i18n.percent(1250, "en") == "12.5%"
    assert i18n.day(date(2026, 11, 21), "fr") == "21 nov. 2026"
    assert i18n.moment(datetime(2026, 11, 21, 8, 5, tzinfo=UTC), "en") == "21 Nov 2026, 08:05 UTC"


def test_a_refusals_amounts_are_told_in_the_readers_language() -> None:
    error: FlowlinkError = Short(amount=Money.from_cents(1234))

    assert i18n.message_of("en", error) == "Only €12.34 is there."
    assert i18n.message_of("fr", error) == f"Only 12,34{NBSP}€ is there."
