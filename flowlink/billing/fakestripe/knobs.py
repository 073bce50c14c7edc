"""How the fake Stripe misbehaves, and what its test cards do."""

import random
from dataclasses import dataclass, field


@dataclass
class Knobs:
    """Each number is how often in a hundred, but for `slow_s`. The same seed does the same."""

    seed: int = 0
    duplicated: int = 0
    delayed: int = 0
    lost: int = 0
    reordered: int = 0
    unanswered: int = 0  # carried out, but the connection ends before the answer
    server_errors: int = 0  # 503, nothing is done
    late_errors: int = 0  # carried out, then 500, and the same 500 again for the same key
    nonsense: int = 0  # an answer that is none
    slow_s: int = 0  # how long each answer takes
    chance: random.Random = field(init=False)

    def __post_init__(self) -> None:
        self.chance = random.Random(self.seed)  # noqa: S311  (no secret: it repeats on purpose)

    def hits(self, percent: int) -> bool:
        return self.chance.randrange(100) < percent


@dataclass(frozen=True, slots=True)
class Card:
    """A test card: what it does on the page, and while its owner is away (codes of a decline)."""

    number: str
    on_page: str = ""
    away: str = ""
    second_step: bool = False
    disputed: bool = False

    @property
    def last4(self) -> str:
        return self.number[-4:]


_EVERY = (
    Card("4242424242424242"),
    Card("4000000000000002", on_page="generic_decline", away="generic_decline"),
    Card("4000000000009995", on_page="insufficient_funds", away="insufficient_funds"),
    Card("4000002500003155", second_step=True),
    Card("4000002760003184", second_step=True, away="authentication_required"),
    Card("4000000000000341", away="generic_decline"),
    Card("4000000000000259", disputed=True),
)
CARDS = {card.last4: card for card in _EVERY}
