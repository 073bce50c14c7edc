"""The payout worker killed between any two steps: each item is paid once or given back."""

from collections.abc import Iterator

import pytest

from flowlink.kernel import db
from tests.cluster import Cluster
from tests.payouts import chaos
from tests.payouts.run_acts import set_up

ITEMS = 40  # `make chaos` does 500, at every step
POINTS = (8, 14, 20)


@pytest.fixture(scope="module")
def prepared(cluster: Cluster, shared: str) -> Iterator[Cluster]:
    with set_up():
        chaos.prepare(cluster, ITEMS)
        yield cluster
    cluster.drop(chaos.TEMPLATE)
    db.connect(shared)


@pytest.mark.timeout(900)
def test_killed_anywhere_each_item_is_paid_once_or_given_back(prepared: Cluster) -> None:
    results = [chaos.once(prepared, seed, [step]) for seed, step in enumerate(POINTS)]

    assert [result.problems for result in results] == [[]] * len(POINTS)
    assert sum(result.kills for result in results) >= len(POINTS) - 1


@pytest.mark.timeout(900)
def test_killed_again_and_again_it_still_ends_well(prepared: Cluster) -> None:
    result = chaos.once(prepared, 99, [], more=6)

    assert result.problems == []
    assert result.kills >= 3
