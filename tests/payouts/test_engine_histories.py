"""A few of the seeded histories; `make histories` runs them all."""

from sqlalchemy.orm import Session

from tests.payouts.engine_histories import run


def test_seeded_histories_end_as_the_model_says(session: Session) -> None:
    run(session, range(6))
