"""Networks that say when they changed their mind: a late word changes nothing."""

import random
from datetime import UTC, datetime, timedelta
from urllib.parse import parse_qs, urlsplit

import pytest
from fastapi.testclient import TestClient
from hypothesis import given, strategies as st
from sqlalchemy import select
from sqlalchemy.orm import Session

from flowlink.kernel.money import Money
from flowlink.tracking import network_changes, networks, restating
from flowlink.tracking.ids import NetworkId
from flowlink.tracking.lifecycle import ALREADY_KNOWN, UNDATED, State, decide
from flowlink.tracking.models import Conversion, Network, Result, Status
from tests.tracking.makers import Send, Shop, conversions, make_click

ADMIN = {"x-admin-secret": "an-admin-secret-for-tests-only"}

FIRST = datetime(2026, 11, 20, 12, tzinfo=UTC)


def at(minutes: int) -> str:
    return (FIRST + timedelta(minutes=minutes)).isoformat()


@pytest.fixture
def send_at(session: Session, shop: Shop, send: Send, now: datetime) -> Send:
    """As `send`, of a network that dates its words by `when`."""
    dated(session, now)
    return send


def dated(session: Session, now: datetime) -> Network:
    network = networks.named(session, "direct")
    before = network_changes.map_of(network)
    to = network_changes.NetworkMap(
        **{name: getattr(before, name) for name in network_changes.NetworkMap.__dataclass_fields__}
        | {"fields": {**before.fields, "changed_at": "when"}}
    )
    key = NetworkId(network.id)
    return network_changes.change(session, network_id=key, to=to, actor="test", now=now)


def test_a_late_repeat_of_an_earlier_amount_changes_nothing(
    session: Session, click: str, send_at: Send
) -> None:
    send_at(subid=click, amount="100", txn_id="1", when=at(0))
    send_at(subid=click, amount="40", txn_id="1", when=at(5))

    assert send_at(subid=click, amount="100", txn_id="1", when=at(0)) == (
        "duplicate",
        "out_of_order",
    )
    assert send_at(subid=click, amount="70", txn_id="1", when=at(9)) == ("ok", None)
    assert conversions(session) == [("approved", 7000, 3)]


def test_a_network_that_says_no_time_is_believed_in_the_order_in_which_it_speaks(
    session: Session, click: str, send: Send
) -> None:
    for amount in ("100", "40", "100"):
        send(subid=click, amount=amount, txn_id="1")

    assert conversions(session) == [("approved", 10000, 3)]


def test_a_repeat_makes_what_stands_as_young_as_it_is(
    session: Session, click: str, send_at: Send
) -> None:
    send_at(subid=click, amount="100", txn_id="1", when=at(0))
    send_at(subid=click, amount="100", txn_id="1", when=at(9))

    assert send_at(subid=click, amount="40", txn_id="1", when=at(5))[1] == "out_of_order"
    assert conversions(session) == [("approved", 10000, 1)]


def test_an_approval_from_before_the_rejection_was_taken_back(
    session: Session, click: str, send_at: Send
) -> None:
    send_at(subid=click, amount="100", txn_id="1", status="rejected", when=at(5))

    assert send_at(subid=click, amount="100", txn_id="1", when=at(0)) == ("ok", None)
    assert conversions(session) == [("reversed", 10000, 2)]
    assert send_at(subid=click, amount="100", txn_id="1", when=at(9))[1] == "final"


def test_a_rejection_between_two_approvals_takes_both_back(
    session: Session, click: str, send_at: Send
) -> None:
    send_at(subid=click, amount="100", txn_id="1", status="rejected", when=at(5))
    send_at(subid=click, amount="100", txn_id="1", when=at(9))
    assert conversions(session)[0][0] == "approved"

    send_at(subid=click, amount="100", txn_id="1", when=at(0))

    assert conversions(session) == [("reversed", 10000, 3)]


def test_what_was_decided_before_it_was_called_pending_counts(
    session: Session, click: str, send_at: Send
) -> None:
    send_at(subid=click, amount="100", txn_id="1", status="pending", when=at(5))

    assert send_at(subid=click, amount="70", txn_id="1", when=at(0)) == ("ok", None)
    assert conversions(session) == [("approved", 7000, 2)]


def test_a_rejection_from_before_the_approval_takes_nothing_back(
    session: Session, click: str, send_at: Send
) -> None:
    send_at(subid=click, amount="100", txn_id="1", when=at(5))

    late = send_at(subid=click, amount="100", txn_id="1", status="rejected", when=at(0))

    assert late == ("duplicate", "out_of_order")
    assert conversions(session) == [("approved", 10000, 1)]


def test_what_was_reversed_stays_so_however_late_we_hear_of_it(
    session: Session, click: str, send_at: Send
) -> None:
    send_at(subid=click, amount="100", txn_id="1", when=at(5))

    assert send_at(subid=click, txn_id="1", status="reversed", when=at(0)) == ("ok", None)
    assert conversions(session) == [("reversed", 10000, 2)]


def test_a_clock_that_is_ahead_locks_nothing(
    session: Session, click: str, send_at: Send, now: datetime
) -> None:
    ahead = (now + timedelta(days=300)).isoformat()
    send_at(subid=click, amount="100", txn_id="1", when=ahead)

    later = now + timedelta(minutes=1)

    assert send_at(subid=click, amount="40", txn_id="1", when=later.isoformat(), at=later) == (
        "ok",
        None,
    )


def test_a_persons_word_stands_until_the_network_says_another_one(
    session: Session, click: str, send_at: Send, now: datetime
) -> None:
    send_at(subid=click, amount="100", txn_id="1", when=at(0))
    sale = session.scalars(select(Conversion)).one()
    restating.restate(
        session,
        conversion_id=sale.id,
        status=Status.APPROVED,
        amount=Money.parse("40"),
        actor="test",
        now=now,
    )

    assert send_at(subid=click, amount="100", txn_id="1", when=at(0))[0] == "duplicate"
    assert send_at(subid=click, amount="90", txn_id="1", when=at(5)) == ("ok", None)


@given(
    words=st.lists(st.tuples(st.sampled_from(Status), st.integers(0, 9)), min_size=1, max_size=6),
    copies=st.lists(st.integers(1, 5), min_size=6, max_size=6),
    chance=st.randoms(use_true_random=False),
)
def test_words_in_any_order_end_as_in_order(
    words: list[tuple[Status, int]], copies: list[int], chance: random.Random
) -> None:
    """Each told one to five times; words of one conversion, each with its moment and amount."""
    told = [(nth, *word) for nth, word in enumerate(words) for _ in range(copies[nth])]
    chance.shuffle(told)

    assert end_of(told) == end_of([(nth, *word) for nth, word in enumerate(words)])


def end_of(told: list[tuple[int, Status, int]]) -> tuple[Status, int]:
    """The status, and the amount as far as it is worth anything."""
    state: State | None = None
    for nth, status, amount in told:
        moment = FIRST + timedelta(minutes=nth)
        step = decide(state, status=status, amount_micro=amount, changed_at=moment)
        counts = step.result == Result.OK or step.reason == ALREADY_KNOWN
        moments = (state.moments if state else UNDATED).with_word(status, moment, counts=counts)
        state = State(step.status, step.amount_micro, moments=moments)
    assert state is not None
    worth = state.status in {Status.PENDING, Status.APPROVED}
    return state.status, state.amount_micro if worth else 0


@pytest.mark.parametrize("seed", range(20))
def test_postbacks_in_any_order_end_as_in_order(
    session: Session, shop: Shop, send_at: Send, now: datetime, seed: int
) -> None:
    """As they are stored: two sales with the same story, told in order and shuffled."""
    chance = random.Random(seed)  # noqa: S311
    words = [
        (nth, chance.choice(["pending", "approved", "approved", "rejected"]), chance.randint(1, 9))
        for nth in range(5)
    ]
    shuffled = [word for word in words for _ in range(chance.randint(1, 3))]
    chance.shuffle(shuffled)
    ends = []

    for told in (words, shuffled):
        click = make_click(session, shop, now)
        for nth, status, amount in told:
            send_at(subid=click, amount=str(amount), txn_id=click, status=status, when=at(nth))
        end, cents, _ = conversions(session)[-1]
        ends.append((end, cents if end in {"pending", "approved"} else 0))

    assert ends[0] == ends[1]


@pytest.mark.parametrize(
    "when",
    [
        "1763640000",
        "1763640000000",
        "2025-11-20T12:00:00Z",
        "2025-11-20 12:00:00",
        "2025-11-20T14:00:00 02:00",
    ],
)
def test_a_moment_is_read_as_networks_write_it(
    session: Session, click: str, send_at: Send, when: str
) -> None:
    assert send_at(subid=click, amount="5", when=when) == ("ok", None)

    assert session.scalars(select(Conversion)).one().changed_at == datetime(
        2025, 11, 20, 12, tzinfo=UTC
    )


NO_MOMENTS = [
    "yesterday",
    "99999999999999",
    "-1",
    "1e9",
    "2025-13-45",
    "0001-01-01T00:00:00+14:00",
    "9999-12-31T23:59:59-12:00",
]


@pytest.mark.parametrize("when", NO_MOMENTS)
def test_what_is_no_moment_is_quarantined(
    session: Session, click: str, send_at: Send, when: str
) -> None:
    found = send_at(subid=click, amount="5", when=when)

    assert found == ("quarantined", "unreadable_changed_at")
    assert conversions(session) == []


def test_its_address_asks_for_the_time_once_it_is_mapped(session: Session, now: datetime) -> None:
    network = networks.seed(session, now=now)
    assert "changed_at" not in networks.url_of(network)

    asked = parse_qs(urlsplit(networks.url_of(dated(session, now))).query)

    assert asked["when"] == ["{changed_at}"]


def test_a_network_is_made_with_it(client: TestClient, session: Session) -> None:
    body = {"name": "acme", "fields": {"changed_at": "ts"}}

    answer = client.post("/api/admin/networks", json=body, headers=ADMIN)

    assert (answer.status_code, answer.json()["fields"]["changed_at"]) == (201, "ts")
