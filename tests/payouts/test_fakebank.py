"""The fake bank: what it takes, refuses and books, and how the product reads it."""

import re
from collections.abc import Iterator
from itertools import permutations

import pytest
from sqlalchemy import select
from sqlalchemy.orm import Session

from flowlink.kernel import policy as policies
from flowlink.kernel.money import Money
from flowlink.payouts import bank_answers, bank_files, run_files, service as payouts
from flowlink.payouts.fakebank import answers, orders
from flowlink.payouts.models import Withdrawal
from flowlink.payouts.xml_schemas import BadXml
from tests.factories import Person, balance, make_operator, make_partner
from tests.payouts.makers import DAY, IBAN, assert_clean
from tests.payouts.run_acts import propose, release, set_up

NAMES = ("Ada Lovelace", "Bob Rejected", "Cleo Returned", "Dan Waiting")
ENDS = ("settled", "failed", "returned", "sent")


@pytest.fixture(autouse=True)
def both_rails() -> Iterator[None]:
    with set_up():
        yield


def withdraw(session: Session, holder: str) -> Person:
    """A partner whose account's holder this is, and 20.00 of their 50.00 on the way."""
    person = make_partner(session, available="50.00")
    payouts.request_withdrawal(
        session,
        partner_id=person.partner_id,
        amount=Money.parse("20.00"),
        rail="bank",
        details=IBAN,
        holder=holder,
        policy=policies.at(session, DAY),
        now=DAY,
    )
    return person


@pytest.fixture
def file(session: Session) -> bytes:
    """A released run with one order for each name."""
    for name in NAMES:
        withdraw(session, name)
    run = propose(session)
    release(session, run, make_operator(session))
    return run_files.released(session, run).body


def answered(file: bytes, *, known: bool = False) -> list[bytes]:
    return [one.body for one in answers.of(orders.read(file), known=known, now=DAY)]


def refusals(report: bytes) -> list[tuple[str, str]]:
    """The code of each reason, beside what the product reads there."""
    codes = re.findall(r"<Cd>(\w{4})</Cd>", report.decode())
    refused = [line for line in bank_files.read(report).lines if line.reason]
    assert [line.reason for line in refused] == [bank_files.REASONS[code] for code in codes]
    return [(line.says, code) for line, code in zip(refused, codes, strict=True)]


def take_in(session: Session, files: list[bytes]) -> list[str]:
    for body in files:
        bank_answers.take_in(session, body=body, name="b.xml", actor="secret", now=DAY)
        session.flush()
    session.expire_all()
    return [one.state for one in session.scalars(select(Withdrawal).order_by(Withdrawal.id))]


@pytest.mark.parametrize("order", list(permutations(range(3))))
def test_each_name_ends_as_it_says_in_whatever_order_the_files_come(
    session: Session, file: bytes, order: tuple[int, ...]
) -> None:
    files = answered(file)

    ends = take_in(session, [files[place] for place in (*order, *order)])

    assert tuple(ends) == ENDS
    assert_clean(session)


def test_a_file_that_came_before_is_refused_whole(session: Session, file: bytes) -> None:
    take_in(session, answered(file))

    (again,) = answered(file, known=True)

    assert refusals(again) == [("RJCT", "AM05")]


@pytest.mark.parametrize(
    ("before", "after", "reason"),
    [
        (b"<NbOfTxs>4<", b"<NbOfTxs>5<", "AM18"),
        (b"<CtrlSum>80.00<", b"<CtrlSum>81.00<", "AM10"),
        (b"<IBAN>FR7630006000011234567890189<", b"<IBAN>FR7630006000011234567890188<", "AC01"),
    ],
)
def test_a_message_that_contradicts_itself_is_refused_whole(
    file: bytes, before: bytes, after: bytes, reason: str
) -> None:
    assert before in file

    (report,) = answered(file.replace(before, after))

    assert refusals(report) == [("RJCT", reason)]


@pytest.mark.parametrize(
    ("before", "after", "reason"),
    [
        (f"<IBAN>{IBAN}<".encode(), f"<IBAN>{IBAN[:-1]}0<".encode(), "AC01"),
        (b'Ccy="EUR"', b'Ccy="USD"', "AM03"),
        (b"Ada Lovelace", b"Ada_Lovelace", "FF01"),
        (b"Ada Lovelace", b"A" * 71, "FF01"),
    ],
)
def test_an_order_that_the_scheme_does_not_carry_is_refused(
    file: bytes, before: bytes, after: bytes, reason: str
) -> None:
    assert before in file

    report, *_ = answered(file.replace(before, after, 1))

    assert refusals(report)[0] == ("RJCT", reason)


def test_a_day_that_has_passed_is_refused(file: bytes) -> None:
    message = orders.read(file)
    late = DAY.replace(year=DAY.year + 1)

    (report,) = answers.of(message, known=False, now=late)

    assert refusals(report.body) == [("RJCT", "DT01")]


def test_what_is_no_file_of_orders_is_not_taken(file: bytes) -> None:
    report, *_ = answered(file)

    for body in (b"", b"<a/>", report, file.replace(b"<ChrgBr>SLEV</ChrgBr>", b"<Odd/>")):
        with pytest.raises(BadXml):
            orders.read(body)


def test_money_that_comes_back_is_the_partners_again(session: Session) -> None:
    person = withdraw(session, "Cleo Returned")
    run = propose(session)
    release(session, run, make_operator(session))

    take_in(session, answered(run_files.released(session, run).body))

    assert balance(session, person, "available") == "50.00 EUR"
