"""Money: what is read, split, rounded and compared, exactly."""

from decimal import Decimal

import pytest
from hypothesis import given, strategies as st

from flowlink.kernel.money import BadAmount, Money, parse_exact, parse_share, split

micros = st.integers(min_value=-(10**15), max_value=10**15)
amounts = st.integers(min_value=0, max_value=10**15)


@pytest.mark.parametrize(
    ("text", "cents"),
    [("12.34", 1234), ("12,3", 1230), (" 7 ", 700), ("-0.01", -1), ("1\u202f000,50", 100050)],
)
def test_an_amount_is_read_as_it_is_written(text: str, cents: int) -> None:
    assert Money.parse(text) == Money.from_cents(cents)


@pytest.mark.parametrize(
    "text",
    ["", "x", "1.001", "1e3", "1E-2", "nan", "inf", "-inf", "1_0", "1.2.3", "9" * 30, "12 34 €"],
)
def test_what_is_no_amount_is_refused(text: str) -> None:
    with pytest.raises(BadAmount):
        Money.parse(text)


def test_a_machine_may_send_more_decimals() -> None:
    assert Money.exact(Decimal("0.1234565")) == Money(123456)
    assert Money.exact(Decimal("0.1234575")) == Money(123458)


@pytest.mark.parametrize("number", [Decimal("NaN"), Decimal("Infinity"), Decimal(10**10)])
def test_a_machine_may_not_send_nonsense(number: Decimal) -> None:
    with pytest.raises(BadAmount):
        Money.exact(number)


@pytest.mark.parametrize(
    ("micro", "cents"),
    [(5_000, 0), (15_000, 2), (25_000, 2), (-5_000, 0), (-15_000, -2), (14_999, 1), (15_001, 2)],
)
def test_cents_are_rounded_half_even(micro: int, cents: int) -> None:
    assert Money(micro).round_cents() == Money.from_cents(cents)


def test_only_whole_cents_have_cents() -> None:
    assert Money.from_cents(12).cents == 12
    with pytest.raises(AssertionError):
        _ = Money(1).cents


@given(total=amounts, weights=st.lists(st.integers(0, 10_000), min_size=1, max_size=8))
def test_a_split_loses_nothing_and_is_fair(total: int, weights: list[int]) -> None:
    if not any(weights):
        weights = [1]

    parts = split(Money(total), weights)

    assert sum(part.micro for part in parts) == total
    whole = sum(weights)
    for part, weight in zip(parts, weights, strict=True):
        assert abs(part.micro * whole - total * weight) < whole


@given(micro=micros, bps=st.integers(0, 10_000))
def test_a_share_is_the_nearest_millionth(micro: int, bps: int) -> None:
    share = Money(micro).share(bps)

    assert abs(share.micro * 10_000 - micro * bps) * 2 <= 10_000


@given(micro=amounts)
def test_the_whole_cents_never_exceed_the_amount(micro: int) -> None:
    assert 0 <= micro - Money(micro).floor_cents().micro < 10_000


def test_a_proportion_is_taken_exactly() -> None:
    ten = Money.from_cents(1000)

    assert ten.in_proportion(Money(1), Money(3)) == Money(3_333_333)


def test_amounts_add_compare_and_count() -> None:
    one, two = Money.from_cents(1), Money.from_cents(2)

    assert (one + one, two - one, one * 2, -one) == (two, one, two, Money.from_cents(-1))
    assert one < two
    assert one <= two
    assert two > one
    assert two >= one
    assert not Money.zero()
    assert Money.zero("USD").currency == "USD"


def test_currencies_never_mix() -> None:
    with pytest.raises(AssertionError):
        Money(1, "EUR") + Money(1, "USD")


def test_an_amount_reads_as_cents_and_currency() -> None:
    assert str(Money(12_345_000)) == "12.34 EUR"
    assert Money(1_500_000).decimal() == Decimal("1.5")


@pytest.mark.parametrize(
    ("text", "bps"), [("0.30", 3000), ("0,333", 3330), ("1", 10_000), ("0", 0)]
)
def test_a_share_is_read_in_basis_points(text: str, bps: int) -> None:
    assert parse_share(text) == bps


@pytest.mark.parametrize("text", ["1.5", "-0.1", "0.12345", "half", ""])
def test_what_is_no_share_is_refused(text: str) -> None:
    with pytest.raises(BadAmount):
        parse_share(text)


def test_a_price_may_be_less_than_a_cent() -> None:
    assert parse_exact("0.125") == Money(125_000)
    with pytest.raises(BadAmount):
        parse_exact("0.0000001")
