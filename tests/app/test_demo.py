"""The demonstration month: the same each time, sound to the last cent, and never over real data."""

from collections.abc import Iterator
from datetime import UTC, datetime

import pytest
from sqlalchemy import func, select

from flowlink.app import checks, demo
from flowlink.kernel import db
from flowlink.ledger.models import BalanceRow
from flowlink.payouts.models import Withdrawal
from flowlink.tracking.models import Click, Conversion
from tests.cluster import Cluster

NOW = datetime(2026, 11, 20, 15, 30, tzinfo=UTC)
DAYS = 9  # long enough for a withdrawal to be asked for and paid

Figures = dict[str, object]


def figures() -> Figures:
    """What two runs have to agree about: counts by state and amounts to the millionth."""
    with db.read() as session:
        states = select(Conversion.status, func.count(), func.sum(Conversion.amount_micro))
        balances = select(func.sum(BalanceRow.balance)).group_by(BalanceRow.account)
        return {
            "clicks": session.scalar(select(func.count()).select_from(Click)),
            "conversions": sorted(map(tuple, session.execute(states.group_by(Conversion.status)))),
            "withdrawals": sorted(session.scalars(select(Withdrawal.amount_minor))),
            "balances": sorted(session.scalars(balances)),
        }


@pytest.fixture
def another_database(cluster: Cluster, database: str) -> Iterator[str]:
    cluster.create("demo_again")
    yield cluster.url("demo_again")
    db.connect(database)
    cluster.drop("demo_again")


def test_two_runs_give_the_same_month_with_sound_books(another_database: str) -> None:
    demo.fill(now=NOW, days=DAYS)
    first = figures()
    with db.read() as session:
        assert checks.problems(session) == []

    db.connect(another_database)
    demo.fill(now=NOW, days=DAYS)

    assert figures() == first
    assert {state for state, *_ in first["conversions"]} >= {"approved", "pending"}  # type: ignore[attr-defined]
    assert first["withdrawals"]


def test_what_is_not_empty_is_left_alone(database: str) -> None:
    demo.fill(now=NOW, days=1)
    before = figures()

    with pytest.raises(demo.NotEmpty):
        demo.fill(now=NOW, days=1)

    assert figures() == before
