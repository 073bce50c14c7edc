"""Simultaneous postings: each source once, no deadlock, nothing spent twice."""

import random
from collections import Counter
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from threading import Barrier
from time import monotonic
from uuid import UUID, uuid4

import pytest
from sqlalchemy import text
from sqlalchemy.exc import DBAPIError
from sqlalchemy.orm import Session

from flowlink.kernel import db
from flowlink.ledger import check, queries, service as ledger
from flowlink.ledger.accounts import Account
from flowlink.ledger.entries import Entry
from flowlink.ledger.service import Outcome, Status
from tests.ledger.makers import (
    NOW,
    available,
    entry,
    euros,
    move,
    partner_with,
    receivable,
    withdrawing,
)
from tests.patience import LONG_S

CALLERS = 12

OWN_PROCESS = "SELECT pg_backend_pid()"
KILL = "SELECT pg_terminate_backend(:process)"
short_and_exact = pytest.mark.parametrize("short", [False, True])


def at_once(calls: Sequence[Sequence[Entry]]) -> list[list[Outcome]]:
    """Post each call in a thread and a transaction of its own, all let go at the same moment."""
    barrier = Barrier(len(calls))

    def caller(entries: Sequence[Entry]) -> list[Outcome]:
        with db.write() as session:
            session.execute(text("SELECT 1"))
            barrier.wait(LONG_S)
            return ledger.post_many(session, entries, NOW)

    with ThreadPoolExecutor(len(calls)) as pool:
        return list(pool.map(caller, calls))


def tally(outcomes: Sequence[Sequence[Outcome]]) -> Counter[Status]:
    return Counter(outcome.status for call in outcomes for outcome in call)


def committed(read: Callable[[Session], object]) -> object:
    with db.read() as session:
        assert check.problems(session) == []
        return read(session)


def opened(*pairs: tuple[Account, Account]) -> None:
    """Open accounts and leave them empty: calls on open accounts go the short way."""
    entries = [entry(move(*pair, "1.00"), move(*pair[::-1], "1.00")) for pair in pairs]
    with db.write() as session:
        ledger.post_many(session, entries, NOW)


def rich(amount: str) -> UUID:
    with db.write() as session:
        return partner_with(session, amount)


def balance(place: Account) -> str:
    return str(committed(lambda session: queries.balance(session, place)))


@short_and_exact
def test_duplicates_are_posted_once(database: str, *, short: bool) -> None:
    owner, network = uuid4(), receivable(uuid4())
    earned = entry(move(network, available(owner), "1.00"))
    if short:
        opened((network, available(owner)))

    outcomes = at_once([[earned]] * CALLERS)

    assert tally(outcomes) == {Status.CREATED: 1, Status.REPLAY: CALLERS - 1}
    assert len({outcome.entry_id for call in outcomes for outcome in call}) == 1
    assert balance(available(owner)) == "1.00 EUR"


def test_one_source_for_different_facts_is_posted_once(database: str) -> None:
    owners = [uuid4() for _ in range(CALLERS)]
    networks = [uuid4() for _ in range(CALLERS)]

    outcomes = at_once(
        [
            [entry(move(receivable(network), available(owner), "1.00"), source="test:one")]
            for owner, network in zip(owners, networks, strict=True)
        ]
    )

    assert tally(outcomes) == {Status.CREATED: 1, Status.REUSED: CALLERS - 1}
    found = [balance(available(owner)) for owner in owners]
    assert Counter(found) == {"1.00 EUR": 1, "0.00 EUR": CALLERS - 1}


@short_and_exact
def test_sources_are_claimed_in_one_order(database: str, *, short: bool) -> None:
    """Two callers share nothing but sources, and a third holds the first until both wait."""
    places = [(receivable(uuid4()), available(uuid4())) for _ in range(3)]
    if short:
        opened(*places)

    def call(pair: tuple[Account, Account], sources: str) -> list[Entry]:
        return [entry(move(*pair, amount="1.00"), source=f"test:{name}") for name in sources]

    def posted(entries: list[Entry]) -> list[Outcome]:
        with db.write() as session:
            return ledger.post_many(session, entries, NOW)

    with ThreadPoolExecutor(2) as pool:
        with db.engine().connect() as connection, Session(connection) as session:
            ledger.post_many(session, call(places[0], "a"), NOW)
            crossing = [call(places[1], "bac"), call(places[2], "cab")]
            running = [pool.submit(posted, entries) for entries in crossing]
            wait_for_waiters(session, 2)
            session.rollback()
        outcomes = [future.result(20) for future in running]

    assert tally(outcomes) == {Status.CREATED: 3, Status.REUSED: 3}
    found = Counter(balance(place) for _, place in places)
    assert found == {"3.00 EUR": 1, "0.00 EUR": 2}


def wait_for_waiters(session: Session, count: int) -> None:
    waiting = text("SELECT count(*) FROM pg_locks WHERE NOT granted")
    deadline = monotonic() + LONG_S
    while session.scalar(waiting) != count:
        assert monotonic() < deadline, "nobody waits"


def test_batches_that_share_sources_post_each_once(database: str) -> None:
    """The loser of the race has to undo its whole attempt and judge again, locks in order."""
    network = uuid4()
    owners = [uuid4() for _ in range(20)]
    common = [entry(move(receivable(network), available(owner), "1.00")) for owner in owners]
    shuffle = random.Random(7).sample  # noqa: S311
    calls = [
        [
            *(entry(move(receivable(uuid4()), available(owner), "0.10")) for owner in owners[:5]),
            *shuffle(common, len(common)),
        ]
        for _ in range(CALLERS)
    ]

    outcomes = at_once(calls)

    posted = len(common) + 5 * CALLERS
    assert tally(outcomes) == {
        Status.CREATED: posted,
        Status.REPLAY: len(common) * (CALLERS - 1),
    }
    assert [balance(available(owner)) for owner in owners] == ["2.20 EUR"] * 5 + ["1.00 EUR"] * 15


def test_a_lost_race_changes_what_can_be_afforded(database: str) -> None:
    """A credit that another call posted first must not be counted by this one as well."""
    owner = uuid4()
    earned = entry(move(receivable(uuid4()), available(owner), "1.00"))
    spends = [entry(move(available(owner), withdrawing(owner), "0.60")) for _ in range(CALLERS)]

    outcomes = at_once([[earned, spend] for spend in spends])

    assert tally(outcomes) == {
        Status.CREATED: 2,
        Status.REPLAY: CALLERS - 1,
        Status.NO_FUNDS: CALLERS - 1,
    }
    assert balance(available(owner)) == "0.40 EUR"


def test_crossing_transfers_do_not_deadlock(database: str) -> None:
    places = [available(rich("100.00")) for _ in range(6)]
    chance = random.Random(11)  # noqa: S311

    def crossing() -> Entry:
        debit, credit = chance.sample(places, 2)
        return entry(move(debit, credit, "0.01"))

    calls = [[crossing() for _ in range(40)] for _ in range(CALLERS * 4)]

    for start in range(0, len(calls), CALLERS):
        assert tally(at_once(calls[start : start + CALLERS])) == {Status.CREATED: 40 * CALLERS}

    total = committed(lambda session: [queries.balance(session, place) for place in places])
    assert isinstance(total, list)
    assert sum(money.micro for money in total) == 6 * euros("100.00").micro


def test_single_crossing_transfers_lock_in_one_order(database: str) -> None:
    """The first account is held until both wait for it: neither may hold the other meanwhile."""
    lower, higher = available(uuid4()), available(uuid4())
    network = receivable(uuid4())
    for place in (lower, higher):  # numbers are given in this order
        with db.write() as session:
            ledger.post(session, entry(move(network, place, "10.00")), NOW)
    there, back = entry(move(lower, higher, "1.00")), entry(move(higher, lower, "2.00"))

    with ThreadPoolExecutor(2) as pool:
        with db.engine().connect() as connection, Session(connection) as session:
            ledger.post(session, entry(move(network, lower, "1.00")), NOW)
            running = []
            for waiting, crossing in enumerate((there, back), 1):
                running.append(pool.submit(at_once, [[crossing]]))
                wait_for_waiters(session, waiting)
            session.rollback()
        outcomes = [future.result(20)[0] for future in running]

    assert tally(outcomes) == {Status.CREATED: 2}
    assert (balance(lower), balance(higher)) == ("11.00 EUR", "9.00 EUR")


def test_a_killed_caller_leaves_nothing_and_holds_nobody_up(database: str) -> None:
    """Its server process dies with all locks held and everything written but the commit."""
    owner, network = uuid4(), receivable(uuid4())
    opened((network, available(owner)))
    earned = [entry(move(network, available(owner), "1.00")) for _ in range(100)]

    with ThreadPoolExecutor(1) as pool:
        with db.engine().connect() as connection, Session(connection) as session:
            ledger.post_many(session, earned, NOW)
            waiting = pool.submit(at_once, [earned])
            with db.read() as other:
                wait_for_waiters(other, 1)
                other.execute(text("SET LOCAL ROLE NONE"))
                other.execute(text(KILL), {"process": session.scalar(text(OWN_PROCESS))})
            with pytest.raises(DBAPIError):
                session.execute(text("SELECT 1"))
            connection.invalidate()
        outcomes = waiting.result(20)

    assert tally(outcomes) == {Status.CREATED: 100}
    assert balance(available(owner)) == "100.00 EUR"


def test_crossing_batches_that_open_the_same_accounts_do_not_deadlock(database: str) -> None:
    networks, owners = [uuid4() for _ in range(100)], [uuid4() for _ in range(100)]
    shuffled = random.Random(3).sample  # noqa: S311
    calls = [
        [
            entry(move(receivable(network), available(owner), "1.00"))
            for network, owner in zip(shuffled(networks, 100), shuffled(owners, 100), strict=True)
        ]
        for _ in range(CALLERS)
    ]

    assert tally(at_once(calls)) == {Status.CREATED: 100 * CALLERS}
    assert {balance(available(owner)) for owner in owners} == {f"{CALLERS}.00 EUR"}


def test_a_balance_is_not_overdrawn_by_simultaneous_callers(database: str) -> None:
    owner = rich("10.00")
    takes = [[entry(move(available(owner), withdrawing(owner), "3.00"))] for _ in range(CALLERS)]

    outcomes = at_once(takes)

    assert tally(outcomes) == {Status.CREATED: 3, Status.NO_FUNDS: CALLERS - 3}
    assert balance(available(owner)) == "1.00 EUR"
    assert balance(withdrawing(owner)) == "9.00 EUR"


def test_what_is_rolled_back_was_never_posted(database: str) -> None:
    owner = uuid4()
    earned = entry(move(receivable(uuid4()), available(owner), "1.00"))

    with db.engine().connect() as connection, Session(connection) as session:
        ledger.post(session, earned, NOW)
        session.rollback()

    assert balance(available(owner)) == "0.00 EUR"
    with db.write() as session:
        assert not ledger.post(session, earned, NOW).replay
    assert balance(available(owner)) == "1.00 EUR"


def test_a_fixed_snapshot_cannot_hide_a_source(database: str) -> None:
    owner = uuid4()
    earned = entry(move(receivable(uuid4()), available(owner), "1.00"))
    other = replace(earned, transfers=(move(receivable(uuid4()), available(uuid4()), "1.00"),))
    engine = db.engine().execution_options(isolation_level="REPEATABLE READ")

    with engine.connect() as connection, Session(connection) as session:
        session.execute(text("SELECT count(*) FROM ledger_entry"))
        at_once([[earned]])
        with pytest.raises(DBAPIError, match="snapshot hides"):
            ledger.post(session, other, NOW)
    assert balance(available(owner)) == "1.00 EUR"
