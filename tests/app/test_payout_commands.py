"""Bank files and the accountant's journal from the shell."""

import csv
import json
import subprocess
from argparse import Namespace
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import httpx2
import pytest

from flowlink.app import opening
from flowlink.app.cli import parser, payouts
from flowlink.app.outcome import Failed
from flowlink.kernel import clock, db
from flowlink.payouts import sepa
from flowlink.payouts.models import Withdrawal
from flowlink.payouts.run_models import RunItem
from tests.app.product import FLOWLINK, environment
from tests.conftest import chosen_settings
from tests.factories import free_port, make_operator, make_partner
from tests.patience import LONG_S
from tests.payouts.acts import ask
from tests.payouts.bank_says import Booking, statement
from tests.payouts.makers import IBAN
from tests.payouts.run_acts import OWNER_IBAN, propose, release, set_up


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
    assert build.parse_args(["fakebank", "a.xml"]).run == "payouts:fakebank"
    assert build.parse_args(["fakepay", "--lost", "20"]).lost == 20
    assert build.parse_args(["ledger", "export", "a.csv"]).run == "payouts:export_journal"


def test_the_fake_bank_answers_beside_the_file_and_knows_it_again(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(opening, "configure", lambda _: tmp_path)
    orders, out = tmp_path / "orders.xml", tmp_path / "answers"
    debtor = sepa.Debtor("Flowlink", OWNER_IBAN, "")
    order = sepa.Transfer("E1", 2000, "Ada Returned", IBAN, "Thanks")
    orders.write_bytes(
        sepa.document(
            message_id="M1",
            made_at=clock.now(),
            execute_on=clock.now().date(),
            debtor=debtor,
            transfers=[order],
        )
    )
    asked = Namespace(file=orders, out=out)

    payouts.fakebank(asked)
    first = capsys.readouterr().out.split()
    payouts.fakebank(asked)
    second = capsys.readouterr().out.split()

    names = ["M1-report.xml", "M1-statement.xml", "M1-returns.xml"]
    assert first == [str(out / name) for name in names]
    assert second == [str(out / "M1-again-report.xml")]
    orders.write_bytes(b"<a/>")
    with pytest.raises(Failed, match="not an ISO 20022 message"):
        payouts.fakebank(asked)
    with chosen_settings(flowlink_env="production"), pytest.raises(Failed, match="no place"):
        payouts.fakebank(asked)


class Listener(BaseHTTPRequestHandler):
    """Where the fake's webhooks go in place of the product."""

    def do_POST(self) -> None:
        length = int(self.headers["content-length"])
        told.append(json.loads(self.rfile.read(length))["event_type"])
        self.send_response(200)
        self.end_headers()


told: list[str] = []


@contextmanager
def fakepay(data: Path) -> Iterator[str]:
    """`flowlink fakepay` as a process of its own; its address, once it listens."""
    port = free_port()
    started = subprocess.Popen(
        [*FLOWLINK, "fakepay", "--data", str(data), "--port", str(port)],
        cwd=data.parent,
        env=environment(data.parent),
        stdout=subprocess.PIPE,
        text=True,
    )
    assert started.stdout is not None
    try:
        while "PAYPAL_WEBHOOK_ID" not in started.stdout.readline():
            assert started.poll() is None
        yield f"http://127.0.0.1:{port}"
    finally:
        started.terminate()
        started.wait(LONG_S)
        started.stdout.close()


def test_the_fake_paypal_pays_and_tells_the_product_that_runs_on_the_same_data(
    tmp_path: Path,
) -> None:
    told.clear()
    listener = HTTPServer(("127.0.0.1", 0), Listener)
    data = tmp_path / "data"
    data.mkdir()
    (data / "port").write_text(f"{listener.server_port}\n")
    item = {"recipient_type": "EMAIL", "amount": {"currency": "EUR", "value": "10.00"}}
    batch = {
        "sender_batch_header": {"sender_batch_id": "A"},
        "items": [item | {"receiver": "ada@example.org", "sender_item_id": "A1"}],
    }

    until_it_listens = httpx2.HTTPTransport(retries=10)
    with listener, fakepay(data) as url, httpx2.Client(transport=until_it_listens) as paypal:
        paypal.base_url = url
        granted = paypal.post(
            "/v1/oauth2/token",
            data={"grant_type": "client_credentials"},
            auth=("fake-client", "fake-secret"),
        )
        paypal.headers["authorization"] = f"Bearer {granted.json()['access_token']}"
        assert paypal.post("/v1/payments/payouts", json=batch).status_code == 201
        listener.timeout = 20
        for _ in range(3):
            listener.handle_request()

    assert "PAYMENT.PAYOUTS-ITEM.SUCCEEDED" in told
