"""The short way of posting comes to what the exact one comes to, and leaves to it what it must."""

from dataclasses import replace
from uuid import UUID, uuid4

import pytest
from sqlalchemy import text
from sqlalchemy.exc import DataError, ProgrammingError
from sqlalchemy.orm import Session

from flowlink.ledger import check, queries, service as ledger
from flowlink.ledger.entries import Entry
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

SIZE = 100


def earnings(count: int = SIZE) -> tuple[list[UUID], list[Entry]]:
    """As many partners, each with an entry of one euro from one network."""
    network, owners = receivable(uuid4()), [uuid4() for _ in range(count)]
    return owners, [entry(move(network, available(owner), "1.00")) for owner in owners]


def statuses(session: Session, entries: list[Entry]) -> list[Status]:
    return [outcome.status for outcome in ledger.post_many(session, entries, NOW)]


def in_place(session: Session, owners: list[UUID]) -> set[str]:
    assert check.problems(session) == []
    return {has(session, available(owner)) for owner in owners}


def test_replays_among_new_entries_change_nothing(session: Session) -> None:
    owners, entries = earnings()
    first = ledger.post_many(session, entries[:5], NOW)

    outcomes = ledger.post_many(session, entries, NOW)

    assert [outcome.status for outcome in outcomes] == [Status.REPLAY] * 5 + [Status.CREATED] * 95
    assert [outcome.entry_id for outcome in outcomes[:5]] == [each.entry_id for each in first]
    assert len({outcome.entry_id for outcome in outcomes}) == SIZE
    assert in_place(session, owners) == {"1.00 EUR"}


def test_a_replay_of_several_transfers_is_skipped_as_a_whole(session: Session) -> None:
    owner, network = uuid4(), receivable(uuid4())
    earned, more = (
        entry(move(network, available(owner), "1.00"), move(network, available(owner), "2.00"))
        for _ in range(2)
    )
    statuses(session, [earned])

    assert statuses(session, [earned, more]) == [Status.REPLAY, Status.CREATED]
    posted = queries.find_by_source(session, more.source)
    assert posted is not None
    assert [str(each.credit_after) for each in posted.transfers] == ["4.00 EUR", "6.00 EUR"]
    assert in_place(session, [owner]) == {"6.00 EUR"}


def test_one_reused_source_sinks_nobody_else(session: Session) -> None:
    owners, entries = earnings()
    statuses(session, entries[:1])
    other = replace(entries[0], transfers=(move(receivable(uuid4()), available(uuid4()), "1.00"),))

    found = statuses(session, [other, *entries[1:]])

    assert found == [Status.REUSED] + [Status.CREATED] * 99
    assert in_place(session, owners) == {"1.00 EUR"}


def test_the_last_that_cannot_be_afforded_sinks_nobody_else(session: Session) -> None:
    owners, entries = earnings()
    poor = partner_with(session, "1.00")
    statuses(session, [entry(move(available(poor), withdrawing(poor), "0.50"))])  # opens both
    too_much = entry(move(available(poor), withdrawing(poor), "0.60"))

    assert statuses(session, [*entries, too_much]) == [Status.CREATED] * SIZE + [Status.NO_FUNDS]
    assert in_place(session, owners) == {"1.00 EUR"}
    assert has(session, available(poor)) == "0.50 EUR"


def test_a_malformed_transfer_sinks_nobody_else(session: Session) -> None:
    """Only the table sees this one on the short way: everything before it has been written."""
    owners, entries = earnings()
    nowhere = available(owners[0])

    found = statuses(session, [*entries, entry(move(nowhere, nowhere, "1.00"))])

    assert found == [Status.CREATED] * SIZE + [Status.MALFORMED]
    assert in_place(session, owners) == {"1.00 EUR"}


def test_an_entry_without_transfers_sinks_nobody_else(session: Session) -> None:
    owners, entries = earnings(3)

    found = statuses(session, [entries[0], entry(), *entries[1:], entry()])

    assert found == [Status.CREATED, Status.MALFORMED, *[Status.CREATED] * 2, Status.MALFORMED]
    assert in_place(session, owners) == {"1.00 EUR"}


def test_only_the_short_way_is_open_to_the_product(session: Session) -> None:
    with pytest.raises(ProgrammingError, match="permission denied"), session.begin_nested():
        session.execute(
            text(
                "SELECT * FROM ledger_post_exactly(now(), '{}', '{}', '{}', '{}', '{}', '{}',"
                " '{}', '{}', '{}', '{}', '{}', '{}')"
            )
        )


@pytest.mark.parametrize("name", ['"', "\\", '\\"', "{a,b}", " a\n", "NULL", "é", "'"])
def test_names_arrive_as_they_were_written(session: Session, name: str) -> None:
    earned = replace(
        entry(move(receivable(uuid4()), available(uuid4()), "1.00"), source=name),
        ref={name: name},
    )

    ledger.post(session, earned, NOW)

    posted = queries.find_by_source(session, name)
    assert posted is not None
    assert posted.ref == {name: name}


def test_a_name_cannot_become_two(session: Session) -> None:
    earned = entry(move(receivable(uuid4()), available(uuid4()), "1.00"), source="a\0b")

    with pytest.raises(DataError, match="NUL"), session.begin_nested():
        ledger.post(session, earned, NOW)


@pytest.mark.parametrize("count", [4096, 4097])
def test_every_entry_of_the_longest_call_has_an_id_of_its_own(session: Session, count: int) -> None:
    network, owner = receivable(uuid4()), uuid4()
    ledger.post(session, entry(move(network, available(owner), "1.00")), NOW)
    entries = [entry(move(network, available(owner), "1.00")) for _ in range(count)]

    outcomes = ledger.post_many(session, entries, NOW)

    found = {outcome.entry_id for outcome in outcomes}
    assert len(found) == count
    assert {each.version for each in found if each is not None} == {7}
    assert in_place(session, [owner]) == {f"{count + 1}.00 EUR"}
