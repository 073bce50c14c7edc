"""A short form of the simulation: fraud is kept out, honest people are paid.

`python -m bench.risk` plays the long one and prints its figures.
"""

import pytest

from bench import risk as simulation
from flowlink.app import registry
from flowlink.kernel import db
from tests.payouts.makers import assert_clean

pytestmark = pytest.mark.usefixtures("database")


def test_fraud_is_kept_out_and_honest_money_is_not() -> None:
    registry.load()

    found = simulation.figures(simulation.play(2, scaled=True, small=True))

    # One day of fraud: what comes before there is enough to judge weighs more than in the long one.
    assert found["kept out by signals"] >= 0.90
    assert found["honest delayed"] <= 0.01
    assert found["viral lost"] == 0
    with db.write() as session:
        assert_clean(session)
