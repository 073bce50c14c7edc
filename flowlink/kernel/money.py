"""Money: whole millionths of a currency unit. Never a float; `Decimal` only while parsing."""

from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal, InvalidOperation
from typing import Self

from flowlink.kernel.errors import Invalid

MICRO = 1_000_000
MICRO_PER_CENT = 10_000
FULL_BPS = 10_000
LARGEST_MICRO = 10**15  # a billion: what a person can have meant, far below BIGINT


class BadAmount(Invalid):
    message = "Please enter an amount such as 12.34."
    field = "amount"


def _half_even(number: int, divisor: int) -> int:
    """`number / divisor` rounded to the nearest whole, halves to the even one."""
    quotient, rest = divmod(number, divisor)
    doubled = rest * 2
    return quotient + (doubled > divisor or (doubled == divisor and quotient % 2 == 1))


@dataclass(frozen=True, slots=True)
class Money:
    """An exact amount of one currency. Amounts of two currencies never mix."""

    micro: int
    currency: str = "EUR"

    @classmethod
    def zero(cls, currency: str = "EUR") -> Self:
        return cls(0, currency)

    @classmethod
    def from_cents(cls, cents: int, currency: str = "EUR") -> Self:
        return cls(cents * MICRO_PER_CENT, currency)

    @classmethod
    def parse(cls, text: str, currency: str = "EUR") -> Self:
        """What a person typed: at most two decimals, after a point or a comma.

        :raises BadAmount: no such number, more than two decimals, or beyond a billion.
        """
        plain = text.strip().replace("\u202f", "").replace("\xa0", "").replace(",", ".")
        try:
            number = Decimal(plain)
        except InvalidOperation:
            raise BadAmount from None
        if not number.is_finite() or abs(number) > LARGEST_MICRO // MICRO:
            raise BadAmount
        cents = number * 100
        if cents != int(cents) or "e" in plain.lower() or "_" in plain:
            raise BadAmount
        return cls.from_cents(int(cents), currency)

    @classmethod
    def exact(cls, number: Decimal, currency: str = "EUR") -> Self:
        """A number that a machine sent, rounded half even to the millionth.

        :raises BadAmount: not finite, or beyond a billion.
        """
        if not number.is_finite() or abs(number) > LARGEST_MICRO // MICRO:
            raise BadAmount
        return cls(int((number * MICRO).to_integral_value(rounding="ROUND_HALF_EVEN")), currency)

    @property
    def cents(self) -> int:
        assert self.micro % MICRO_PER_CENT == 0, "not a whole number of cents"
        return self.micro // MICRO_PER_CENT

    def decimal(self) -> Decimal:
        """The number of currency units, exact."""
        return Decimal(self.micro).scaleb(-6)

    def round_cents(self) -> Self:
        """The nearest whole cents, halves to the even cent: what is shown and sent (spec 7)."""
        return type(self)(_half_even(self.micro, MICRO_PER_CENT) * MICRO_PER_CENT, self.currency)

    def floor_cents(self) -> Self:
        """The whole cents in it: what can be paid out. The remainder stays with its owner."""
        return type(self)(self.micro // MICRO_PER_CENT * MICRO_PER_CENT, self.currency)

    def share(self, bps: int) -> Self:
        """`bps` ten-thousandths of it, rounded half even to the millionth."""
        return type(self)(_half_even(self.micro * bps, FULL_BPS), self.currency)

    def in_proportion(self, part: Self, whole: Self) -> Self:
        """This amount times `part / whole`, rounded half even to the millionth."""
        assert part.currency == whole.currency
        assert whole.micro > 0
        return type(self)(_half_even(self.micro * part.micro, whole.micro), self.currency)

    def __str__(self) -> str:
        """Whole cents and the currency, as in `12.34 EUR`."""
        return f"{self.round_cents().decimal():.2f} {self.currency}"

    def __bool__(self) -> bool:
        return self.micro != 0

    def __add__(self, other: Self) -> Self:
        return type(self)(self.micro + self._same(other), self.currency)

    def __sub__(self, other: Self) -> Self:
        return type(self)(self.micro - self._same(other), self.currency)

    def __neg__(self) -> Self:
        return type(self)(-self.micro, self.currency)

    def __mul__(self, count: int) -> Self:
        return type(self)(self.micro * count, self.currency)

    def __lt__(self, other: Self) -> bool:
        return self.micro < self._same(other)

    def __le__(self, other: Self) -> bool:
        return self.micro <= self._same(other)

    def __gt__(self, other: Self) -> bool:
        return self.micro > self._same(other)

    def __ge__(self, other: Self) -> bool:
        return self.micro >= self._same(other)

    def _same(self, other: Self) -> int:
        assert self.currency == other.currency, "two currencies never mix"
        return other.micro


def parse_exact(text: str) -> Money:
    """Euros to the millionth, as for prices of clicks.

    :raises BadAmount: no such number, finer than a millionth, or beyond a billion.
    """
    try:
        number = Decimal(text.strip().replace(",", "."))
    except InvalidOperation:
        raise BadAmount from None
    amount = Money.exact(number)
    if amount.decimal() != number:
        raise BadAmount
    return amount


def parse_share(text: str) -> int:
    """A fraction of one such as `0.30`, as basis points (3000).

    :raises BadAmount: below zero, above one, or finer than four decimals.
    """
    micro = parse_exact(text).micro
    if micro % 100 or not 0 <= micro <= MICRO:
        raise BadAmount
    return micro // 100


def split(total: Money, weights: Sequence[int]) -> list[Money]:
    """Divide by weight and lose nothing: leftover millionths go to the largest remainders first."""
    whole = sum(weights)
    assert whole > 0
    assert total.micro >= 0
    assert min(weights) >= 0
    parts = [divmod(total.micro * weight, whole) for weight in weights]
    leftover = total.micro - sum(part for part, _ in parts)
    order = sorted(range(len(parts)), key=lambda i: (-parts[i][1], i))
    lucky = set(order[:leftover])
    return [Money(part + (i in lucky), total.currency) for i, (part, _) in enumerate(parts)]
