"""Balances, lines and entries read back what was posted."""

from dataclasses import replace
from uuid import uuid4

import pytest
from sqlalchemy.orm import Session

from flowlink.kernel.errors import NotFound
from flowlink.kernel.money import Money
from flowlink.ledger import queries, service as ledger
from flowlink.ledger.accounts import PARTNER_KINDS, AccountKind, account
from flowlink.ledger.entries import Code, EntryKind, Transfer
from tests.ledger.makers import (
    NOW,
    available,
    entry,
    euros,
    has,
    move,
    partner_with,
    receivable,
    withdrawing,
)


def test_an_unused_account_has_nothing(session: Session) -> None:
    assert queries.balance(session, available(uuid4())) == Money.zero()
    assert queries.lines(session, [available(uuid4())]).items == ()


def test_an_owner_has_every_kind_a_partner_can_have(session: Session) -> None:
    owner = partner_with(session, "10.00")
    ledger.post(session, entry(move(available(owner), withdrawing(owner), "4.00")), NOW)

    found = queries.balances(session, owner)

    expected = dict.fromkeys(PARTNER_KINDS, Money.zero())
    expected |= {AccountKind.AVAILABLE: euros("6.00"), AccountKind.WITHDRAWING: euros("4.00")}
    assert found == expected


def test_currencies_are_told_apart(session: Session) -> None:
    owner = partner_with(session, "10.00")
    dollars = account(AccountKind.AVAILABLE, owner, "USD")
    bank = account(AccountKind.BANK, currency="USD")
    one = Transfer(bank, dollars, Money.from_cents(100, "USD"), Code.CORRECTION)
    ledger.post(session, entry(one), NOW)

    found = queries.balances(session, owner, "USD")

    assert found[AccountKind.AVAILABLE] == Money.from_cents(100, "USD")
    assert has(session, available(owner)) == "10.00 EUR"


def test_shards_are_one_balance(session: Session) -> None:
    network = uuid4()
    for _ in range(2):
        ledger.post(session, entry(move(receivable(network), available(uuid4()), "1.00")), NOW)

    assert has(session, receivable(network)) == "-2.00 EUR"
    assert queries.balances(session, network)[AccountKind.NETWORK_RECEIVABLE] == euros("-2.00")


def test_lines_run_from_the_newest_back(session: Session) -> None:
    owner = partner_with(session, "10.00")
    asked = replace(
        entry(move(available(owner), withdrawing(owner), "4.00", Code.WITHDRAWAL)),
        kind=EntryKind.WITHDRAWAL,
        ref={"withdrawal": "pay_1"},
    )
    posted = ledger.post(session, asked, NOW)

    found = queries.lines(session, [available(owner), withdrawing(owner)])

    assert found.next is None
    assert [(line.account.kind, str(line.amount)) for line in found.items] == [
        (AccountKind.WITHDRAWING, "4.00 EUR"),
        (AccountKind.AVAILABLE, "-4.00 EUR"),
        (AccountKind.AVAILABLE, "10.00 EUR"),
    ]
    assert [str(line.balance_after) for line in found.items] == [
        "4.00 EUR",
        "6.00 EUR",
        "10.00 EUR",
    ]
    newest = found.items[0]
    assert (newest.entry_id, newest.kind, newest.code) == (
        posted.entry_id,
        EntryKind.WITHDRAWAL,
        Code.WITHDRAWAL,
    )
    assert (newest.source, newest.at, newest.effective_at) == (asked.source, NOW, NOW)
    assert newest.ref == {"withdrawal": "pay_1"}


@pytest.mark.parametrize("limit", [1, 2, 3, 5, 6])
def test_pages_of_lines_neither_miss_nor_repeat(session: Session, limit: int) -> None:
    owner = partner_with(session, "10.00")
    for _ in range(2):
        ledger.post(session, entry(move(available(owner), withdrawing(owner), "1.00")), NOW)
    places = [available(owner), withdrawing(owner)]
    whole = queries.lines(session, places).items

    found: list[queries.Line] = []
    page = queries.lines(session, places, None, limit)
    found += page.items
    while page.next is not None:
        page = queries.lines(session, places, page.next, limit)
        found += page.items

    assert tuple(found) == whole
    assert len(whole) == 5


def test_lines_of_a_spread_account_have_no_running_balance(session: Session) -> None:
    network = uuid4()
    ledger.post(session, entry(move(receivable(network), available(uuid4()), "1.00")), NOW)

    (line,) = queries.lines(session, [receivable(network)]).items

    assert (str(line.amount), line.balance_after) == ("-1.00 EUR", None)


def test_an_entry_is_found_by_id_and_by_source(session: Session) -> None:
    owner = partner_with(session, "10.00")
    both = entry(
        move(available(owner), withdrawing(owner), "4.00", Code.WITHDRAWAL),
        move(withdrawing(owner), available(owner), "1.00", Code.WITHDRAWAL_BACK),
        source="test:both",
    )
    posted = ledger.post(session, both, NOW)

    found = queries.entry(session, posted.entry_id)

    assert queries.find_by_source(session, "test:both") == found
    assert (found.id, found.source, found.kind) == (posted.entry_id, "test:both", both.kind)
    assert (found.at, found.effective_at, found.ref) == (NOW, NOW, {})
    assert [
        Transfer(line.debit, line.credit, line.amount, line.code) for line in found.transfers
    ] == list(both.transfers)
    assert [str(line.debit_after) for line in found.transfers] == ["6.00 EUR", "3.00 EUR"]
    assert [str(line.credit_after) for line in found.transfers] == ["4.00 EUR", "7.00 EUR"]


def test_what_was_never_posted_is_not_found(session: Session) -> None:
    assert queries.find_by_source(session, "test:never") is None
    with pytest.raises(NotFound):
        queries.entry(session, uuid4())


def test_an_account_is_named_by_kind_owner_and_currency() -> None:
    assert str(account(AccountKind.AVAILABLE, "ada")) == "available:ada:EUR"
    assert str(account(AccountKind.BANK, currency="USD")) == "bank:USD"
