"""How the fake Stripe misbehaves, and what its test cards do."""

from dataclasses import dataclass

from flowlink.kernel.accidents import Accidents


@dataclass
class Knobs(Accidents):
    """What Stripe's fake can do besides; numbers are how often in a hundred, but for `slow_s`."""

    late_errors: int = 0  # carried out, then 500, and the same 500 again for the same key
    nonsense: int = 0  # an answer that is none
    slow_s: int = 0  # how long each answer takes


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
