"""How the shipped fakes of outside providers misbehave: on demand, and the same again."""

import random
from collections import deque
from dataclasses import dataclass, field
from typing import TypeVar

T = TypeVar("T")


@dataclass
class Accidents:
    """Each number is how often in a hundred. The same seed does the same."""

    seed: int = 0
    duplicated: int = 0
    delayed: int = 0
    lost: int = 0
    reordered: int = 0
    unanswered: int = 0  # carried out, but the connection ends before the answer
    server_errors: int = 0  # nothing is done
    chance: random.Random = field(init=False)

    def __post_init__(self) -> None:
        self.chance = random.Random(self.seed)  # noqa: S311  (no secret: it repeats on purpose)

    def hits(self, percent: int) -> bool:
        return self.chance.randrange(100) < percent

    def deliver(self, owed: deque[T]) -> tuple[list[T], deque[T]]:
        """The events to deliver now, some twice, some never, some in another order; and those
        that come later.
        """
        ready: list[T] = []
        later: deque[T] = deque()
        for event in owed:
            if self.hits(self.lost):
                continue
            if self.hits(self.delayed):
                later.append(event)
                continue
            ready += [event] * (1 + self.hits(self.duplicated))
        if self.hits(self.reordered):
            self.chance.shuffle(ready)
        return ready, later
