"""The one way in which an amount leaves as JSON."""

from typing import Annotated

from pydantic import PlainSerializer, WithJsonSchema
from typing_extensions import TypedDict  # pydantic reads it on Python 3.11

from flowlink.kernel.money import Money


class Amount(TypedDict):
    """Whole cents as a decimal number in a string: JSON numbers are floats to too many readers."""

    amount: str
    currency: str


def money_json(money: Money) -> Amount:
    """`{"amount": "12.34", "currency": "EUR"}`, rounded half even to cents (spec 7)."""
    return {"amount": f"{money.round_cents().decimal():.2f}", "currency": money.currency}


def _plain(money: Money) -> float:
    return float(money.round_cents().decimal())


# A plain JSON number of euros, where the contract gives it so (spec 8); nobody reckons with it.
Euros = Annotated[
    Money,
    PlainSerializer(_plain, return_type=float),
    WithJsonSchema({"type": "number", "examples": [1.5]}),
]
