"""Who takes the money: what we ask of a payment provider, whichever it is.

A charge is known by our own name for it, `ref`. A provider may be asked the same twice: the same
ref is the same charge. `Away` means that nobody knows what happened: ask for the state later.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Protocol

from flowlink.kernel import settings
from flowlink.kernel.errors import Refused
from flowlink.kernel.money import Money

CURRENCY = "EUR"
# Stripe's smallest charge in euros, by its documentation of currencies.
_SMALLEST = {"stripe": Money.from_cents(50)}


class PaymentsNotSetUp(Refused):
    message = "Payments are not set up here. Please tell the operator."


class TooLittleToCharge(Refused):
    message = (
        "This costs %(amount)s now, and less than %(smallest)s cannot be charged. "
        "Choose more pieces, or wait for the next period."
    )


class ProviderAway(Refused):
    message = (
        "The payment provider does not answer. Nothing was charged; "
        "try again in a moment, or pay later from the billing page."
    )


class Away(Exception):
    """The provider did not answer, or answered nonsense: what it did is not known."""


class NotGenuine(Exception):
    """A webhook that the provider did not send."""


class Charge(StrEnum):
    """Where a charge is at the provider."""

    OPEN = "open"
    ACTION = "action"
    PAID = "paid"
    FAILED = "failed"
    CLOSED = "closed"


@dataclass(frozen=True, slots=True)
class Order:
    """What is to be charged. `payer` is our name for the customer; `title` is shown to them."""

    ref: str
    payer: str
    amount_minor: int
    currency: str
    title: str
    back_url: str


@dataclass(frozen=True, slots=True)
class Seen:
    """A charge as it is at the provider now. `refunded_minor` counts all that went back."""

    ref: str
    status: Charge
    amount_minor: int
    currency: str
    refunded_minor: int = 0
    dispute: str = "none"
    failure: str = ""


@dataclass(frozen=True, slots=True)
class Told:
    """A webhook whose signature was checked."""

    event_id: str
    kind: str
    ref: str


class Provider(Protocol):
    """Every method may raise `Away`; none is called while a transaction is open."""

    name: str

    def checkout(self, order: Order, *, now: datetime) -> str:
        """The address where the customer pays this."""

    def charge(self, order: Order, *, now: datetime) -> Seen:
        """Charge the customer who is away, by what they paid with before."""

    def state(self, ref: str) -> Seen | None:
        """The charge now; None if there is none of this name."""

    def close(self, ref: str, *, now: datetime) -> Seen | None:
        """Let a charge that is not paid never be paid; what it is after that."""

    def refund(self, ref: str, total_minor: int, *, now: datetime) -> Seen:
        """Give back until `total_minor` has gone back in all; the same again does nothing."""

    def read(self, headers: Mapping[str, str], body: bytes, *, now: datetime) -> Told:
        """:raises NotGenuine: not signed by the provider."""


_known: dict[str, Provider] = {}


def register(provider: Provider) -> Provider:
    """Let `PAYMENT_PROVIDER` name this provider; registering the name again replaces it."""
    _known[provider.name] = provider
    return provider


def named(name: str) -> Provider:
    """:raises PaymentsNotSetUp: there is none of this name in this installation."""
    if name not in _known:
        raise PaymentsNotSetUp
    return _known[name]


def current() -> Provider:
    """Who takes new payments. The sandbox takes none in production: its money is not real.

    :raises PaymentsNotSetUp:
    """
    chosen = settings.current()
    if chosen.in_production and chosen.payment_provider == "sandbox":
        raise PaymentsNotSetUp
    if chosen.payment_provider == "stripe" and not chosen.stripe_secret_key:
        raise PaymentsNotSetUp
    return named(chosen.payment_provider)


def check(amount: Money) -> None:
    """Whether who takes new payments can charge this.

    :raises TooLittleToCharge:
    """
    smallest = _SMALLEST.get(settings.current().payment_provider)
    if smallest is not None and 0 < amount.micro < smallest.micro:
        raise TooLittleToCharge(amount=amount, smallest=smallest)
