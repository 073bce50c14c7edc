"""Files that a person brings in by mistake, and banks that write what no standard knows."""

from collections.abc import Iterator

import pytest
from sqlalchemy.orm import Session

from flowlink.payouts import bank_answers, bank_files, run_queries
from flowlink.payouts.bank_answers import TakenIn
from flowlink.payouts.models import Rail
from flowlink.payouts.xml_schemas import BadXml
from tests.factories import balance, make_operator, make_partner
from tests.payouts.acts import ask
from tests.payouts.bank_says import ACCOUNT, Booking, report, statement
from tests.payouts.makers import DAY, IBAN, assert_clean
from tests.payouts.run_acts import item_of, propose, release, set_up


@pytest.fixture(autouse=True)
def both_rails() -> Iterator[None]:
    with set_up():
        yield


def take(session: Session, body: bytes) -> TakenIn:
    taken = bank_answers.take_in(session, body=body, name="b.xml", actor="secret", now=DAY)
    session.flush()
    return taken


@pytest.mark.parametrize("level", ["order", "message"])
def test_no_bank_says_what_paypal_does(session: Session, level: str) -> None:
    ada = make_partner(session, available="50.00")
    withdrawal = ask(session, ada)
    run = release(session, propose(session, Rail.PAYPAL), make_operator(session))
    orders = [(item_of(session, withdrawal).end_to_end_id, "RJCT", "AC04")]
    message = str(run.message_id)

    taken = take(
        session,
        report(message, orders=orders) if level == "order" else report(message, group="RJCT"),
    )

    assert dict(taken.became) == {"unmatched": 1}
    assert (withdrawal.state, balance(session, ada, "withdrawing")) == ("sent", "20.00 EUR")


@pytest.mark.parametrize("says", ["CRDT", "DBIT"])
def test_the_receivers_statement_moves_nothing(session: Session, says: str) -> None:
    ada = make_partner(session, available="50.00")
    withdrawal = ask(session, ada, rail="bank", details=IBAN)
    release(session, propose(session), make_operator(session))
    theirs = statement(Booking(item_of(session, withdrawal).end_to_end_id, says=says))

    taken = take(session, theirs.replace(ACCOUNT.encode(), IBAN.encode()))

    assert dict(taken.became) == {"unmatched": 1}
    assert withdrawal.state == "sent"
    assert_clean(session)


@pytest.mark.parametrize(
    "change",
    [
        {"name": "RENT-2026-11", "amount": "800.00"},
        {"name": "NOTPROVIDED", "amount": "12.00"},
        {"name": "INVOICE 7", "amount": "90.00", "says": "CRDT"},
        {"name": "INVOICE 8", "amount": "20.00", "says": "CRDT"},
    ],
)
def test_other_business_of_the_account_waits_for_nobody(
    session: Session, change: dict[str, str]
) -> None:
    ada = make_partner(session, available="50.00")
    withdrawal = ask(session, ada, rail="bank", details=IBAN)
    release(session, propose(session), make_operator(session))

    taken = take(session, statement(Booking(**change)))

    assert dict(taken.became) == {"noted": 1}
    assert run_queries.bank_lines(session) == []
    assert withdrawal.state == "sent"


@pytest.mark.parametrize(
    "change",
    [
        {"name": "PAY" + "0" * 26},
        {"name": "PAY" + "0" * 26 + "-2"},
        {"name": "NOTPROVIDED", "amount": "20.00"},
        {"name": "NOTPROVIDED", "amount": "7.00", "says": "CRDT", "reason": "AC04"},
    ],
)
def test_what_may_be_a_payout_waits_for_a_person(session: Session, change: dict[str, str]) -> None:
    ada = make_partner(session, available="50.00")
    ask(session, ada, rail="bank", details=IBAN)
    release(session, propose(session), make_operator(session))

    taken = take(session, statement(Booking(**change)))

    assert dict(taken.became) == {"unmatched": 1}


def test_a_credit_that_names_our_order_is_a_return_also_without_a_reason(
    session: Session,
) -> None:
    ada = make_partner(session, available="50.00")
    withdrawal = ask(session, ada, rail="bank", details=IBAN)
    release(session, propose(session), make_operator(session))
    name = item_of(session, withdrawal).end_to_end_id

    take(session, statement(Booking(name, says="CRDT")))

    assert (withdrawal.state, withdrawal.reason) == ("returned", "The bank gave no reason.")
    assert_clean(session)


ORDER = [("PAY1", "RJCT", "AC01")]


@pytest.mark.parametrize("version", ["03", "10", "11", "12", "13"])
def test_a_status_is_four_capitals(version: str) -> None:
    with pytest.raises(BadXml, match=r"no status|TxSts': .*rjct"):
        bank_files.read(report("M", orders=[("PAY1", "rjct", "AC01")], version=version))


@pytest.mark.parametrize("version", ["03", "10", "11", "12"])
def test_what_the_schema_does_not_know_is_refused(version: str) -> None:
    body = report("M", orders=ORDER, version=version)

    with pytest.raises(BadXml, match="Foo"):
        bank_files.read(body.replace(b"<TxSts>", b"<Foo/><TxSts>"))


@pytest.mark.parametrize("version", ["10", "11", "13"])
def test_versions_without_a_file_of_their_own_are_read(version: str) -> None:
    (line,) = bank_files.read(report("M", orders=ORDER, version=version)).lines

    assert (line.end_to_end_id, line.says) == ("PAY1", "RJCT")


def test_an_order_without_a_status_is_refused_only_where_a_reason_is_given() -> None:
    silent = report("M", orders=[("PAY1", "", "")]).replace(b"<TxSts></TxSts>", b"")
    reasoned = report("M", orders=[("PAY1", "", "AC01")]).replace(b"<TxSts></TxSts>", b"")
    covered = report("M", block="ACSP", orders=[("PAY1", "", "")]).replace(b"<TxSts></TxSts>", b"")

    with pytest.raises(BadXml, match="without a status"):
        bank_files.read(silent)
    assert [line.says for line in bank_files.read(reasoned).lines] == ["RJCT"]
    assert [line.says for line in bank_files.read(covered).lines] == ["ACSP"]


def test_a_booking_goes_one_way_or_the_other() -> None:
    body = statement(Booking("PAY1", says="OUT"), version="13")

    with pytest.raises(BadXml, match="neither CRDT nor DBIT"):
        bank_files.read(body)


@pytest.mark.parametrize("message", ["pain.002.001.13", "camt.053.001.13"])
def test_a_message_without_its_body_is_refused(message: str) -> None:
    body = f'<Document xmlns="urn:iso:std:iso:20022:tech:xsd:{message}"><Other/></Document>'

    with pytest.raises(BadXml, match="without its"):
        bank_files.read(body.encode())
