"""Whatever is kept has a name that people read in their language: no page fails over a new kind."""

from datetime import datetime
from enum import StrEnum

import pytest

from flowlink.app import registry
from flowlink.insights import accounting, kept
from flowlink.kernel import jobs
from flowlink.ledger.accounts import AccountKind
from flowlink.ledger.entries import Code, EntryKind
from flowlink.web import i18n, render
from tests.insights.acts import acts


@pytest.mark.parametrize(
    ("name", "words"), [("accounts", AccountKind), ("codes", Code), ("kinds", EntryKind)]
)
def test_every_word_of_the_ledger_is_told(name: str, words: type[StrEnum]) -> None:
    told = render.environment("en").get_template("insights/_words.html").module

    assert set(map(str, words)) <= set(getattr(told, name))


def test_an_accountant_has_a_name_for_each_account() -> None:
    assert set(AccountKind) == set(accounting.NAMES)


def test_the_catalogue_has_every_act_of_the_audit_log() -> None:
    assert acts() == set(kept.ACTS)


@pytest.mark.usefixtures("database")
def test_every_job_says_in_french_how_it_ended(now: datetime) -> None:
    registry.load()

    endings = {name: jobs.run(name, now) for name in sorted(jobs.JOBS)}

    assert {name: said for name, said in endings.items() if i18n.kept("fr", said) == said} == {}


@pytest.mark.parametrize(
    ("said", "french"),
    [
        ("2 holds placed, 0 clicks watched, 3 overdue", "blocages posés : 2, "),
        ("40 clicks within ten minutes; the limit is 40.", "40 clics en dix minutes"),
        ("gaps vary by 35%", "les écarts varient de 35 %"),
        ("bank: 3 withdrawals, 120.00 EUR", "banque : retraits : 3, 120.00 EUR"),
        ("what nobody knows, 7 times", "what nobody knows, 7 times"),
    ],
)
def test_numbers_are_places_of_what_is_kept(said: str, french: str) -> None:
    assert i18n.kept("fr", said).replace("\u00a0", " ").startswith(french)
    assert i18n.kept("en", said) == said
