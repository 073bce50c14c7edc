"""The proof finds each kind of damage and names the account and the figures."""

from uuid import uuid4

import pytest
from sqlalchemy import text
from sqlalchemy.orm import Session

from flowlink.ledger import check, service as ledger
from flowlink.ledger.accounts import Account, AccountKind, account
from tests.ledger.makers import (
    NOW,
    available,
    entry,
    move,
    partner_with,
    receivable,
    withdrawing,
)

OWNER = uuid4()
DEBT = account(AccountKind.DEBT, OWNER)
REVENUE = account(AccountKind.REVENUE)


@pytest.fixture
def damaged(session: Session) -> Session:
    """A ledger with a little history, open to a superuser who goes past every guard."""
    network = receivable(uuid4())
    for transfer in (
        move(network, available(OWNER), "10.00"),
        move(network, available(OWNER), "5.00"),
        move(network, REVENUE, "2.00"),
        move(DEBT, network, "1.00"),
    ):
        ledger.post(session, entry(transfer), NOW)
    paid = entry(move(available(OWNER), withdrawing(OWNER), "4.00"), source="test:paid")
    ledger.post(session, paid, NOW)
    session.execute(text("SET LOCAL ROLE NONE"))
    session.execute(text("SET LOCAL session_replication_role = replica"))
    assert check.problems(session) == []
    return session


def number(session: Session, place: Account) -> int:
    opened = text("SELECT number FROM ledger_account WHERE owner = :owner AND kind = :kind")
    found = session.scalar(opened, {"owner": place.owner, "kind": place.kind.value})
    assert isinstance(found, int)
    return found


def damage(session: Session, statement: str, *, place: Account | None = None) -> list[str]:
    """What the proof says after a statement that may name an account's `:number`."""
    values = {"number": number(session, place or available(OWNER))}
    session.execute(text(statement), values)
    return check.problems(session)


def test_a_true_ledger_has_no_problems(session: Session) -> None:
    partner_with(session, "10.00")

    assert check.problems(session) == []


def test_a_changed_balance_is_named(damaged: Session) -> None:
    found = damage(
        damaged, "UPDATE ledger_balance SET balance = balance + 1 WHERE account = :number"
    )

    assert found == [
        f"available:{OWNER}:EUR: the balance is 11.000001 EUR, its transfers sum to 11.000000 EUR",
        "EUR: all balances together are 0.000001 EUR, not zero",
    ]


def test_a_lost_balance_is_named(damaged: Session) -> None:
    found = damage(damaged, "DELETE FROM ledger_balance WHERE account = :number")

    assert found == [
        f"available:{OWNER}:EUR: the balance is missing, its transfers sum to 11.000000 EUR",
        "EUR: all balances together are -11.000000 EUR, not zero",
    ]


def test_a_lost_transfer_is_named(damaged: Session) -> None:
    found = damage(
        damaged, "DELETE FROM ledger_transfer WHERE credit = :number AND amount = 5000000"
    )

    name = f"available:{OWNER}:EUR"
    assert f"{name}: the balance is 11.000000 EUR, its transfers sum to 6.000000 EUR" in found
    assert any(
        line.startswith(f"{name}: transfer ")
        and line.endswith(
            "moves -4.000000 EUR from 10.000000 EUR, and says 11.000000 EUR is there after it"
        )
        for line in found
    )


def test_a_changed_amount_is_named(damaged: Session) -> None:
    found = damage(
        damaged,
        "UPDATE ledger_transfer SET amount = 9000000 WHERE credit = :number AND amount = 10000000",
    )

    broken = [line for line in found if line.startswith(f"available:{OWNER}:EUR: transfer ")]
    assert [line.partition(" moves ")[2] for line in broken] == [
        "9.000000 EUR from 0.000000 EUR, and says 10.000000 EUR is there after it"
    ]


def test_a_changed_running_balance_is_named(damaged: Session) -> None:
    found = damage(
        damaged,
        "UPDATE ledger_transfer SET credit_after = 0 WHERE credit = :number AND amount = 5000000",
    )

    assert [line.partition(" moves ")[2] for line in found] == [
        "5.000000 EUR from 10.000000 EUR, and says 0.000000 EUR is there after it",
        "-4.000000 EUR from 0.000000 EUR, and says 11.000000 EUR is there after it",
    ]


def test_a_balance_below_its_floor_is_named(damaged: Session) -> None:
    found = damage(
        damaged,
        "UPDATE ledger_balance SET floor = NULL, balance = -1000000 WHERE account = :number",
    )

    assert f"available:{OWNER}:EUR: the balance is -1.000000 EUR, below 0.000000 EUR" in found


def test_a_balance_above_its_ceiling_is_named(damaged: Session) -> None:
    found = damage(
        damaged,
        "UPDATE ledger_balance SET ceiling = NULL, balance = 500000 WHERE account = :number",
        place=DEBT,
    )

    assert f"debt:{OWNER}:EUR: the balance is 0.500000 EUR, above 0.000000 EUR" in found


@pytest.mark.parametrize(
    ("leg", "told"), [(2, "entry test:both: 2 transfers are there of 3"), (3, None)]
)
def test_an_entry_that_lost_a_transfer_is_named(
    session: Session, leg: int, told: str | None
) -> None:
    """The last one leaves no gap behind: the balances tell."""
    lose_a_leg(session, leg)

    found = check.problems(session)

    assert found
    assert told is None or told in found


def test_a_transfer_without_an_entry_is_named(session: Session) -> None:
    lose_a_leg(session, 1)

    found = [line.partition(": ")[2] for line in check.problems(session)]

    assert "there is no such entry" in found


def lose_a_leg(session: Session, leg: int) -> None:
    """One of three transfers of an entry, after another that has only one."""
    network = receivable(uuid4())
    lines = [move(network, place, "1.00") for place in (available(OWNER), REVENUE, REVENUE)]
    both = [entry(lines[0]), entry(*lines, source="test:both")]
    ledger.post_many(session, both, NOW)
    session.execute(text("SET LOCAL ROLE NONE"))
    session.execute(text("SET LOCAL session_replication_role = replica"))
    assert check.problems(session) == []
    session.execute(
        text(
            "DELETE FROM ledger_transfer WHERE leg = :leg AND entry_id ="
            " (SELECT id FROM ledger_entry WHERE source = 'test:both')"
        ),
        {"leg": leg},
    )


def test_a_transfer_of_an_unknown_account_is_named(damaged: Session) -> None:
    found = damage(
        damaged,
        "UPDATE ledger_transfer SET credit = 999999978, credit_shard = 3 WHERE debit = :number",
    )

    assert (
        "unknown account 999999978, shard 3: the balance is missing,"
        " its transfers sum to 4.000000" in found
    )


def test_the_shard_of_a_spread_account_is_named(damaged: Session) -> None:
    shard = damaged.scalar(
        text("SELECT max(shard) FROM ledger_balance WHERE account = :number AND balance = 0"),
        {"number": number(damaged, REVENUE)},
    )

    found = damage(
        damaged,
        f"UPDATE ledger_balance SET balance = 7 WHERE account = :number AND shard = {shard:d}",  # noqa: S608
        place=REVENUE,
    )

    name = f"revenue:EUR, shard {shard}"
    assert f"{name}: the balance is 0.000007 EUR, its transfers sum to 0.000000 EUR" in found
