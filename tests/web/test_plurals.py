"""In French nothing is singular, as one is: a singular that says "un" would claim one of none."""

from pathlib import Path

import pytest
from babel.messages.pofile import read_po

from flowlink.web import i18n
from tools import catalogues


@pytest.mark.parametrize("path", catalogues.sources(), ids=lambda path: path.parts[-3])
def test_no_french_singular_says_one(path: Path) -> None:
    with path.open("rb") as file:
        catalogue = read_po(file, locale="fr")

    wrong = []
    for message in catalogue:
        if isinstance(message.id, tuple) and message.string:
            many, one = message.id[1], message.string[0]
            if "%(num)s" in many and one.startswith(("Un ", "Une ")):
                wrong.append(one)
    assert wrong == []


def test_no_click_is_not_one_click() -> None:
    said = i18n.catalogue("fr").ngettext(
        "One valid click today.", "%(num)s valid clicks today.", 0
    ) % {"num": 0}

    assert said.startswith("0 clic valide")
