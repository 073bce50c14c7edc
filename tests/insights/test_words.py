"""Whatever the ledger can hold has a name that people read: no page fails over a new kind."""

from enum import StrEnum

import pytest

from flowlink.insights import accounting
from flowlink.ledger.accounts import AccountKind
from flowlink.ledger.entries import Code, EntryKind
from flowlink.web import render


@pytest.mark.parametrize(
    ("name", "words"), [("accounts", AccountKind), ("codes", Code), ("kinds", EntryKind)]
)
def test_every_word_of_the_ledger_is_told(name: str, words: type[StrEnum]) -> None:
    told = render.environment("en").get_template("insights/_words.html").module

    assert set(map(str, words)) <= set(getattr(told, name))


def test_an_accountant_has_a_name_for_each_account() -> None:
    assert set(AccountKind) == set(accounting.NAMES)
