"""What a bank answers: matched by end-to-end id, harmless when repeated, late or hostile."""

from collections.abc import Iterator
from itertools import permutations

import pytest
from sqlalchemy import select
from sqlalchemy.orm import Session

from flowlink.payouts import bank_answers, bank_files, run_queries
from flowlink.payouts.bank_answers import TakenIn
from flowlink.payouts.models import Withdrawal
from flowlink.payouts.run_models import BankLine, LineOutcome, Run
from flowlink.payouts.xml_schemas import BadXml
from tests.factories import Person, balance, make_operator, make_partner
from tests.payouts.acts import ask
from tests.payouts.bank_says import Booking, report, statement, summed
from tests.payouts.makers import DAY, IBAN, assert_clean
from tests.payouts.run_acts import item_of, propose, release, set_up

Sent = tuple[Person, Withdrawal, Run]


@pytest.fixture(autouse=True)
def both_rails() -> Iterator[None]:
    with set_up():
        yield


@pytest.fixture
def sent(session: Session) -> Sent:
    ada = make_partner(session, available="50.00")
    withdrawal = ask(session, ada, rail="bank", details=IBAN)
    return ada, withdrawal, release(session, propose(session), make_operator(session))


def take(session: Session, body: bytes) -> TakenIn:
    taken = bank_answers.take_in(session, body=body, name="b.xml", actor="secret", now=DAY)
    session.flush()
    return taken


def name_of(session: Session, sent: Sent) -> str:
    return item_of(session, sent[1]).end_to_end_id


@pytest.mark.parametrize("version", ["02", "08"])
def test_a_booked_debit_settles(session: Session, sent: Sent, version: str) -> None:
    taken = take(session, statement(Booking(name_of(session, sent)), version=version))

    assert dict(taken.became) == {"applied": 1}
    assert (sent[1].state, sent[1].reference) == ("settled", "REF1")
    assert_clean(session)


@pytest.mark.parametrize("version", ["03", "10", "12"])
def test_a_rejected_order_gives_the_money_back(session: Session, sent: Sent, version: str) -> None:
    orders = [(name_of(session, sent), "RJCT", "AC04")]

    take(session, report(str(sent[2].message_id), group="PART", orders=orders, version=version))

    assert (sent[1].state, sent[1].reason) == ("failed", "The account is closed.")
    assert balance(session, sent[0], "available") == "50.00 EUR"
    assert_clean(session)


@pytest.mark.parametrize("level", ["group", "block"])
def test_a_rejected_message_fails_all_its_orders(session: Session, sent: Sent, level: str) -> None:
    take(session, report(str(sent[2].message_id), **{level: "RJCT"}))  # type: ignore[arg-type]

    assert sent[1].state == "failed"
    assert_clean(session)


def test_an_accepted_order_is_noted_and_stays_sent(session: Session, sent: Sent) -> None:
    orders = [(name_of(session, sent), "ACSP", "")]

    taken = take(session, report(str(sent[2].message_id), group="ACCP", orders=orders))

    assert dict(taken.became) == {"noted": 2}
    assert sent[1].state == "sent"
    (item,) = run_queries.items(session, sent[2].id)
    assert item.shown == "sent"
    assert item.answer == "ACSP"


def test_a_return_comes_with_its_reason(session: Session, sent: Sent) -> None:
    name = name_of(session, sent)
    take(session, statement(Booking(name)))

    back = Booking(name, says="CRDT", reference="REF2", reason="AC06")
    take(session, statement(back, name="STATEMENT9"))

    assert (sent[1].state, sent[1].reason) == ("returned", "The account is blocked.")
    assert_clean(session)


def test_any_order_any_number_of_times_ends_the_same(session: Session) -> None:
    for order in permutations(range(3)):
        ada = make_partner(session, available="50.00")
        withdrawal = ask(session, ada, rail="bank", details=IBAN)
        run = release(session, propose(session), make_operator(session))
        name = item_of(session, withdrawal).end_to_end_id
        files = [
            report(str(run.message_id), orders=[(name, "ACSP", "")], name=f"R-{name}"),
            statement(Booking(name, reference=f"D-{name}")),
            statement(Booking(name, says="CRDT", reference=f"C-{name}", reason="AC04")),
        ]

        for place in (*order, *order, *reversed(order)):
            take(session, files[place])

        assert withdrawal.state == "returned", order
        assert balance(session, ada, "available") == "50.00 EUR"
    assert run_queries.bank_lines(session) == []
    assert_clean(session)


def test_the_same_file_again_is_known(session: Session, sent: Sent) -> None:
    body = statement(Booking(name_of(session, sent)))
    first = take(session, body)

    again = take(session, body)

    assert (first.repeated, again.repeated, again.file_id) == (0, 1, first.file_id)


def test_a_line_in_another_file_is_the_same_line(session: Session, sent: Sent) -> None:
    booking = Booking(name_of(session, sent))
    take(session, statement(booking))

    again = take(session, statement(booking, name="MONTHLY"))

    assert again.repeated == 1


def test_a_sum_for_the_whole_message_settles_all_of_it(session: Session, sent: Sent) -> None:
    take(session, summed(str(sent[2].message_id), 1, "20.00"))

    assert sent[1].state == "settled"


@pytest.mark.parametrize(("count", "amount"), [(2, "20.00"), (1, "20.01")])
def test_a_sum_that_does_not_fit_settles_nothing(
    session: Session, sent: Sent, count: int, amount: str
) -> None:
    take(session, summed(str(sent[2].message_id), count, amount))

    assert sent[1].state == "sent"
    assert [line.outcome for line in run_queries.bank_lines(session)] == ["unmatched"]


@pytest.mark.parametrize(
    "change",
    [{"amount": "19.99"}, {"currency": "USD"}, {"name": "NOT-OURS"}, {"amount": "20.005"}],
)
def test_what_does_not_match_is_shown_to_a_person(
    session: Session, sent: Sent, change: dict[str, str]
) -> None:
    take(session, statement(Booking(**({"name": name_of(session, sent)} | change))))

    (line,) = run_queries.bank_lines(session)
    assert (line.outcome, sent[1].state) == (LineOutcome.UNMATCHED, "sent")
    bank_answers.look_at(session, line_id=line.id, note="Rent.", actor="secret", now=DAY)
    session.flush()
    assert run_queries.bank_lines(session) == []


def test_a_contradiction_moves_nothing_and_is_shown(session: Session, sent: Sent) -> None:
    name = name_of(session, sent)
    take(session, report(str(sent[2].message_id), orders=[(name, "RJCT", "AC01")]))

    take(session, statement(Booking(name)))

    (line,) = run_queries.bank_lines(session)
    assert (line.outcome, sent[1].state) == (LineOutcome.CONTRADICTION, "failed")
    assert_clean(session)


def test_what_is_not_booked_yet_is_not_read(session: Session, sent: Sent) -> None:
    taken = take(session, statement(Booking(name_of(session, sent), status="PDNG")))

    assert taken.lines == 0
    assert sent[1].state == "sent"


def test_seeing_to_a_line_needs_a_note(session: Session, sent: Sent) -> None:
    take(session, statement(Booking("NOT-OURS")))
    line = session.scalars(select(BankLine)).one()

    with pytest.raises(bank_answers.NoteMissing):
        bank_answers.look_at(session, line_id=line.id, note=" ", actor="secret", now=DAY)


BOMB = b"""<?xml version="1.0"?><!DOCTYPE d [<!ENTITY a "aaaaaaaaaa"><!ENTITY b "&a;&a;&a;&a;">
<!ENTITY c "&b;&b;&b;&b;">]>
<Document xmlns="urn:iso:std:iso:20022:tech:xsd:camt.053.001.08">&c;</Document>"""
READER = b"""<?xml version="1.0"?><!DOCTYPE d [<!ENTITY x SYSTEM "file:///etc/passwd">]>
<Document xmlns="urn:iso:std:iso:20022:tech:xsd:camt.053.001.08">&x;</Document>"""


@pytest.mark.parametrize(
    "body",
    [
        b"not xml at all",
        BOMB,
        READER,
        b"<Document/>",
        b'<Document xmlns="urn:iso:std:iso:20022:tech:xsd:pacs.008.001.08"/>',
        b'<Document xmlns="urn:iso:std:iso:20022:tech:xsd:camt.053.001.08"><X/></Document>',
        b"<a>" * 5000 + b"</a>" * 5000,
        READER.decode().encode("utf-16"),
    ],
)
def test_hostile_and_foreign_files_are_refused(session: Session, body: bytes) -> None:
    with pytest.raises(BadXml):
        take(session, body)


def test_an_empty_upload_is_refused(session: Session) -> None:
    with pytest.raises(bank_answers.NoFile):
        take(session, b"  ")


def test_a_file_is_bounded() -> None:
    with pytest.raises(BadXml, match="10 MB"):
        bank_files.read(b" " * (10 * 1024 * 1024 + 1))
