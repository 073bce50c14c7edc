"""How often and how soon what died is started again."""

from flowlink.app.supervisor import Patience


def dies(patience: Patience, *, at: float) -> float:
    """One death; returns after how many seconds it may start again."""
    assert patience.note_death(at)
    waited = 0.0
    while not patience.may_restart(at + waited):
        waited += 0.25
    return waited


def test_the_first_death_is_mended_at_once_and_each_next_one_later() -> None:
    patience, at, waits = Patience(), 1000.0, []
    for _ in range(5):
        waits.append(dies(patience, at=at))
        at += waits[-1]

    assert waits == [0.0, 1.0, 2.0, 4.0, 8.0]
    assert patience.deaths == 5


def test_one_death_is_noted_once() -> None:
    patience = Patience()

    assert [patience.note_death(1000.0), patience.note_death(1000.1)] == [True, False]


def test_a_minute_of_peace_is_a_clean_slate() -> None:
    patience = Patience()
    dies(patience, at=1000.0)
    dies(patience, at=1001.0)

    again = dies(patience, at=1100.0)

    assert (again, patience.deaths) == (0.0, 1)
