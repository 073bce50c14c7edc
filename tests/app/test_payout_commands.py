"""Bank files and the accountant's journal from the shell."""

import csv
from argparse import Namespace
from contextlib import nullcontext
from pathlib import Path

import pytest

from flowlink.app import opening
from flowlink.app.cli import parser, payouts
from flowlink.app.outcome import Failed
from flowlink.kernel import clock, db
from flowlink.payouts.models import Withdrawal
from flowlink.payouts.run_models import RunItem
from tests.factories import make_operator, make_partner
from tests.payouts.acts import ask
from tests.payouts.bank_says import Booking, statement
from tests.payouts.makers import IBAN
from tests.payouts.run_acts import propose, release, set_up


@pytest.fixture
def here(database: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """The commands find the test's database already open."""
    monkeypatch.setattr(opening, "database", lambda _: nullcontext())


@pytest.mark.usefixtures("here")
def test_a_statement_is_taken_in_once(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    now = clock.now()
    with set_up(), db.write() as session:
        ada = make_partner(session, available="50.00")
        withdrawal = ask(session, ada, rail="bank", details=IBAN, now=now)
        run = propose(session, now=now)
        release(session, run, make_operator(session), now=now)
        name = session.query(RunItem).one().end_to_end_id
    file = tmp_path / "statement.xml"
    file.write_bytes(statement(Booking(name)))

    for _ in range(2):
        payouts.take_in(Namespace(file=file))

    first, second = capsys.readouterr().out.splitlines()
    assert "1 applied" in first
    assert "1 known before" in second
    with db.read() as session:
        assert session.get_one(Withdrawal, withdrawal.id).state == "settled"


@pytest.mark.usefixtures("here")
def test_the_journal_is_one_row_a_transfer(tmp_path: Path) -> None:
    with db.write() as session:
        make_partner(session, available="12.34")
    out = tmp_path / "journal.csv"

    payouts.export_journal(Namespace(out=out, since=None, until=None))

    (row,) = csv.DictReader(out.read_text(encoding="utf-8-sig").splitlines())
    assert (row["debit_name"], row["credit_name"]) == ("Affiliate revenue", "Partners: payable")
    assert (row["amount"], row["currency"]) == ("12.340000", "EUR")


def test_a_file_that_is_not_there_is_said_so() -> None:
    with pytest.raises(Failed, match="cannot be read"):
        payouts.take_in(Namespace(file=Path("nowhere.xml")))


def test_a_day_that_is_none_is_said_so() -> None:
    with pytest.raises(Failed, match="not a day"):
        payouts.export_journal(Namespace(out=Path("x.csv"), since="May", until=None))


def test_the_commands_are_there() -> None:
    build = parser.build()

    assert build.parse_args(["bank", "take-in", "a.xml"]).run == "payouts:take_in"
    assert build.parse_args(["fakepay", "--lost", "20"]).lost == 20
    assert build.parse_args(["ledger", "export", "a.csv"]).run == "payouts:export_journal"
