"""Entries are posted once and wholly, or refused with a reason and without a trace."""

from dataclasses import replace
from uuid import uuid4

import pytest
from sqlalchemy import text
from sqlalchemy.orm import Session

from flowlink.kernel.errors import FlowlinkError
from flowlink.kernel.money import Money
from flowlink.ledger import check, service as ledger
from flowlink.ledger.accounts import Account, AccountKind, account
from flowlink.ledger.entries import Code, Entry, EntryKind, Transfer
from flowlink.ledger.service import Status
from tests.ledger.makers import (
    NOW,
    available,
    entry,
    has,
    move,
    partner_with,
    receivable,
    withdrawing,
)

PARTNER = uuid4()
NETWORK = uuid4()


def statuses(session: Session, *entries: Entry) -> list[Status]:
    return [outcome.status for outcome in ledger.post_many(session, entries, NOW)]


def trace(session: Session) -> tuple[object, ...]:
    """All that posting could leave behind."""
    found = session.execute(
        text("SELECT (SELECT count(*) FROM ledger_entry), (SELECT count(*) FROM ledger_transfer)")
    )
    return tuple(found.one())


def test_an_entry_moves_money_from_debit_to_credit(session: Session) -> None:
    earned = entry(move(receivable(NETWORK), available(PARTNER), "7.00", Code.COMMISSION))

    posted = ledger.post(session, earned, NOW)

    assert not posted.replay
    assert has(session, available(PARTNER)) == "7.00 EUR"
    assert has(session, receivable(NETWORK)) == "-7.00 EUR"
    assert check.problems(session) == []


def test_a_replay_changes_nothing_and_names_the_first(session: Session) -> None:
    earned = entry(move(receivable(NETWORK), available(PARTNER), "7.00"))
    first = ledger.post(session, earned, NOW)

    again = ledger.post(session, replace(earned, ref={"told": "otherwise"}), NOW)

    assert (again.entry_id, again.replay) == (first.entry_id, True)
    assert has(session, available(PARTNER)) == "7.00 EUR"


def other_amount(first: Entry) -> Entry:
    return replace(first, transfers=(move(receivable(NETWORK), available(PARTNER), "7.01"),))


def other_account(first: Entry) -> Entry:
    return replace(first, transfers=(move(receivable(NETWORK), withdrawing(PARTNER), "7.00"),))


def other_code(first: Entry) -> Entry:
    moved = move(receivable(NETWORK), available(PARTNER), "7.00", Code.COMMISSION)
    return replace(first, transfers=(moved,))


def other_kind(first: Entry) -> Entry:
    return replace(first, kind=EntryKind.CONVERSION)


def one_more(first: Entry) -> Entry:
    return replace(first, transfers=first.transfers * 2)


def none(first: Entry) -> Entry:
    return replace(first, transfers=())


@pytest.mark.parametrize(
    "change", [other_amount, other_account, other_code, other_kind, one_more, none]
)
def test_a_source_is_never_used_for_something_else(session: Session, change: object) -> None:
    assert callable(change)
    first = entry(move(receivable(NETWORK), available(PARTNER), "7.00"))
    ledger.post(session, first, NOW)
    before = trace(session)

    with pytest.raises(ledger.SourceReused):
        ledger.post(session, change(first), NOW)

    assert trace(session) == before
    assert has(session, available(PARTNER)) == "7.00 EUR"


def test_nobody_spends_what_is_not_there(session: Session) -> None:
    owner = partner_with(session, "10.00")
    before = trace(session)

    with pytest.raises(ledger.InsufficientFunds):
        ledger.post(session, entry(move(available(owner), withdrawing(owner), "10.01")), NOW)

    assert trace(session) == before
    assert has(session, available(owner)) == "10.00 EUR"
    assert has(session, withdrawing(owner)) == "0.00 EUR"


def test_debt_is_never_repaid_beyond_nothing(session: Session) -> None:
    debt = account(AccountKind.DEBT, PARTNER)
    ledger.post(session, entry(move(debt, receivable(NETWORK), "5.00", Code.CLAWBACK)), NOW)

    repaid = move(receivable(NETWORK), debt, "5.01", Code.DEBT_REPAID)

    assert statuses(session, entry(repaid)) == [Status.NO_FUNDS]
    assert has(session, debt) == "-5.00 EUR"


def test_an_entry_without_funds_for_its_last_transfer_leaves_none(session: Session) -> None:
    owner = partner_with(session, "10.00")
    before = trace(session)

    status = statuses(
        session,
        entry(
            move(receivable(NETWORK), available(owner), "1.00"),
            move(available(owner), withdrawing(owner), "11.01"),
        ),
    )

    assert status == [Status.NO_FUNDS]
    assert trace(session) == before
    assert has(session, available(owner)) == "10.00 EUR"
    assert check.problems(session) == []


def test_transfers_of_an_entry_happen_in_their_order(session: Session) -> None:
    owner = uuid4()
    earn = move(receivable(NETWORK), available(owner), "5.00")
    spend = move(available(owner), withdrawing(owner), "5.00")

    assert statuses(session, entry(spend, earn)) == [Status.NO_FUNDS]
    assert statuses(session, entry(earn, spend)) == [Status.CREATED]


def test_one_refused_entry_does_not_hinder_the_rest(session: Session) -> None:
    owner, other = partner_with(session, "10.00"), uuid4()
    earned = entry(move(receivable(NETWORK), available(other), "1.00"))
    ledger.post(session, earned, NOW)
    one = move(available(owner), withdrawing(owner), "4.00")

    outcomes = ledger.post_many(
        session,
        [
            entry(one),
            earned,
            replace(earned, kind=EntryKind.HOLD),
            entry(one),
            entry(one),
            entry(),
            entry(move(receivable(NETWORK), account(AccountKind.REVENUE, owner), "1.00")),
            entry(move(available(owner), withdrawing(owner), "2.00")),
        ],
        NOW,
    )

    assert [outcome.status for outcome in outcomes] == [
        Status.CREATED,
        Status.REPLAY,
        Status.REUSED,
        Status.CREATED,
        Status.NO_FUNDS,
        Status.MALFORMED,
        Status.UNKNOWN_ACCOUNT,
        Status.CREATED,
    ]
    assert [outcome.entry_id is None for outcome in outcomes] == [
        status not in {Status.CREATED, Status.REPLAY}
        for status in (outcome.status for outcome in outcomes)
    ]
    assert has(session, available(owner)) == "0.00 EUR"
    assert check.problems(session) == []


def test_a_source_named_twice_in_one_call_is_posted_once(session: Session) -> None:
    owner = uuid4()
    first = entry(move(receivable(NETWORK), available(owner), "3.00"))
    poor = entry(move(available(owner), withdrawing(owner), "4.00"))
    other = replace(first, transfers=first.transfers * 2)

    found = statuses(session, poor, first, first, other, replace(poor, transfers=first.transfers))

    expected = [Status.NO_FUNDS, Status.CREATED, Status.REPLAY, Status.REUSED, Status.CREATED]
    assert found == expected
    assert has(session, available(owner)) == "6.00 EUR"


@pytest.mark.parametrize("amount", ["0.00", "-1.00"])
def test_an_amount_is_positive(session: Session, amount: str) -> None:
    before = trace(session)

    with pytest.raises(ledger.MalformedEntry):
        ledger.post(session, entry(move(receivable(NETWORK), available(PARTNER), amount)), NOW)

    assert trace(session) == before


def test_an_amount_is_at_most_a_billion(session: Session) -> None:
    largest = Money(10**15)
    pair = (receivable(NETWORK), available(PARTNER))

    def of(amount: Money) -> Entry:
        return entry(Transfer(*pair, amount, Code.CORRECTION))

    found = statuses(session, of(largest), of(largest + Money(1)))

    assert found == [Status.CREATED, Status.MALFORMED]


def test_money_does_not_move_from_an_account_to_itself(session: Session) -> None:
    place = receivable(NETWORK)

    assert statuses(session, entry(move(place, place, "1.00"))) == [Status.MALFORMED]


def test_currencies_never_mix(session: Session) -> None:
    dollars = account(AccountKind.AVAILABLE, PARTNER, "USD")
    before = trace(session)

    assert statuses(session, entry(move(receivable(NETWORK), dollars, "1.00"))) == [
        Status.MALFORMED
    ]
    with pytest.raises(AssertionError):
        move(dollars, receivable(NETWORK), "1.00")
    assert trace(session) == before


def test_a_code_joins_only_the_kinds_of_its_rule(session: Session) -> None:
    backwards = move(available(PARTNER), receivable(NETWORK), "1.00", Code.COMMISSION)
    elsewhere = move(receivable(NETWORK), withdrawing(PARTNER), "1.00", Code.COMMISSION)

    found = statuses(session, entry(backwards), entry(elsewhere))

    assert found == [Status.MALFORMED, Status.MALFORMED]


def test_an_entry_needs_a_source(session: Session) -> None:
    sourceless = replace(entry(move(receivable(NETWORK), available(PARTNER), "1.00")), source="")

    assert statuses(session, sourceless) == [Status.MALFORMED]


@pytest.mark.parametrize(
    "nowhere",
    [
        account(AccountKind.AVAILABLE),
        account(AccountKind.REVENUE, PARTNER),
        account(AccountKind.NETWORK_RECEIVABLE),
    ],
)
def test_an_account_has_an_owner_where_one_belongs(session: Session, nowhere: Account) -> None:
    with pytest.raises(ledger.UnknownAccount):
        ledger.post(session, entry(move(nowhere, receivable(NETWORK), "1.00")), NOW)


def test_an_unknown_currency_has_no_accounts(session: Session) -> None:
    shells = account(AccountKind.AVAILABLE, PARTNER, "XXX")
    moved = Transfer(
        shells, account(AccountKind.BANK, currency="XXX"), Money(1, "XXX"), Code.CORRECTION
    )

    with pytest.raises(ledger.UnknownAccount):
        ledger.post(session, entry(moved), NOW)


def test_nothing_to_post_is_nothing(session: Session) -> None:
    assert ledger.post_many(session, [], NOW) == []


def test_every_refusal_is_one_of_ours() -> None:
    refusals = [
        ledger.InsufficientFunds,
        ledger.SourceReused,
        ledger.UnknownAccount,
        ledger.MalformedEntry,
    ]

    assert all(issubclass(refusal, FlowlinkError) for refusal in refusals)


def test_python_and_database_know_the_same_kinds_and_codes(session: Session) -> None:
    kinds = session.scalars(text("SELECT kind FROM ledger_account_kind"))
    codes = session.scalars(text("SELECT code FROM ledger_posting_rule"))

    assert set(kinds) == {kind.value for kind in AccountKind}
    assert set(codes) == {code.value for code in Code}


def test_a_rule_names_only_kinds_that_exist(session: Session) -> None:
    named = session.scalars(
        text("SELECT DISTINCT unnest(debits || credits) FROM ledger_posting_rule")
    )

    assert set(named) == {kind.value for kind in AccountKind}
