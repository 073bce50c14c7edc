"""Provider events 1 to 5 times in any order end where they end in order, to the millionth."""

from collections.abc import Iterator

import pytest
from sqlalchemy.orm import Session

from flowlink.payouts.models import Rail
from tests.payouts import histories
from tests.payouts.makers import assert_clean
from tests.payouts.run_acts import set_up

COUNT = 60  # `make chaos` does 10,000


@pytest.fixture(autouse=True)
def both_rails() -> Iterator[None]:
    with set_up():
        yield


@pytest.mark.timeout(900)
def test_any_order_ends_as_in_order(session: Session) -> None:
    wrong = []
    for seed in range(COUNT):
        what, end, expected = histories.shuffled(session, seed)
        if end != expected:
            wrong.append((what, end, expected))

    assert wrong == []
    assert_clean(session)


def test_in_order_ends_where_the_words_say(session: Session) -> None:
    ends = {
        (rail, path): histories.in_order(session, rail, path).state
        for rail in Rail
        for path in histories.PATHS[rail]
    }

    assert {path[-1]: state for (_, path), state in ends.items()} == {
        "SUCCESS": "settled",
        "FAILED": "failed",
        "BLOCKED": "failed",
        "UNCLAIMED": "sent",
        "RETURNED": "returned",
        "REFUNDED": "returned",
        "REVERSED": "returned",
        "DBIT": "settled",
        "RJCT": "failed",
        "CRDT": "returned",
        "ACCP": "sent",
    }
