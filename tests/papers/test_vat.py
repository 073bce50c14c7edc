"""What a service bears, and how a total splits."""

from datetime import date

import pytest
from hypothesis import given, strategies as st

from flowlink.kernel.money import Money
from flowlink.papers import parties, vat
from flowlink.papers.parties import BadVatNumber, MissingDetail, Party, UnknownCountry
from flowlink.papers.vat import Case, Treatment

DAY = date(2026, 11, 21)
US = Party("Flowlink SAS", "1 rue du Port", "75001", "Paris", "FR", "FR40303265045")


def supplier(country: str, vat_number: str = "", *, business: bool = True) -> Party:
    return Party("Ada", "1 rue", "1000", "Ville", country, vat_number, business=business)


@pytest.mark.parametrize(
    ("party", "case", "rate"),
    [
        (supplier("FR", "FR83404833048"), Case.DOMESTIC, 2000),
        (supplier("FR"), Case.FRANCHISE, 0),
        (supplier("FR", business=False), Case.PRIVATE, 0),
        (supplier("DE", "DE136695976"), Case.EU_REVERSE_CHARGE, 0),
        (supplier("DE"), Case.EU_EXEMPT, 0),
        (supplier("CH"), Case.OUTSIDE_EU, 0),
        (supplier("US", "12-3456789"), Case.OUTSIDE_EU, 0),
        (supplier("GB", business=False), Case.PRIVATE, 0),
    ],
)
def test_what_a_service_to_us_bears(party: Party, case: Case, rate: int) -> None:
    assert vat.of_supply(party, US, on=DAY) == Treatment(case, rate)


def test_a_rate_counts_from_its_day_on() -> None:
    assert vat.standard_rate("EE", date(2025, 6, 30)) == 2200
    assert vat.standard_rate("EE", date(2025, 7, 1)) == 2400
    assert vat.standard_rate("US", DAY) == 0
    assert vat.standard_rate("FR", date(1990, 1, 1)) == 0


def test_every_member_state_has_a_rate() -> None:
    assert all(vat.standard_rate(country, DAY) >= 1500 for country in parties.EU)


@given(st.integers(1, 10**12), st.sampled_from([0, 1700, 2000, 2550, 2700]))
def test_net_and_tax_make_the_total(cents: int, rate: int) -> None:
    total = Money.from_cents(cents)

    taxed = vat.split(total, rate)

    assert taxed.net + taxed.vat == taxed.total == total
    assert abs(taxed.net.cents * (10_000 + rate) - cents * 10_000) * 2 <= 10_000 + rate
    assert taxed.vat.micro >= 0


@pytest.mark.parametrize(
    ("number", "country", "kept"),
    [
        ("fr 40 303 265 045", "FR", "FR40303265045"),
        ("40303265045", "FR", "FR40303265045"),
        ("DE136695976", "DE", "DE136695976"),
        ("094259216", "GR", "EL094259216"),
        ("gb 980 7806 84", "GB", "GB980780684"),
        ("XI980780684", "GB", "XI980780684"),
        ("anything", "CH", "ANYTHING"),
        ("", "FR", ""),
    ],
)
def test_a_vat_number_is_kept_in_its_normal_form(number: str, country: str, kept: str) -> None:
    assert parties.checked(supplier(country, number)).vat_number == kept


@pytest.mark.parametrize(
    ("party", "refusal"),
    [
        (supplier("FR", "FR40303265046"), BadVatNumber),
        (supplier("FR", "DE136695976"), BadVatNumber),
        (supplier("GB", "FR123"), BadVatNumber),
        (supplier("GB", "FR40303265045"), BadVatNumber),
        (supplier("GB", "802311781"), BadVatNumber),
        (supplier("FR", "x" * 300), BadVatNumber),
        (supplier("XX"), UnknownCountry),
        (supplier("EU"), UnknownCountry),
        (Party("", "1 rue", "", "Paris", "FR"), MissingDetail),
        (Party("A" * 121, "1 rue", "", "Paris", "FR"), MissingDetail),
    ],
)
def test_what_cannot_stand_on_a_paper_is_refused(party: Party, refusal: type[Exception]) -> None:
    with pytest.raises(refusal):
        parties.checked(party)


def test_countries_are_named_in_the_readers_language() -> None:
    assert parties.countries("fr")["DE"] == "Allemagne"
    assert parties.countries("en")["DE"] == "Germany"
    assert parties.country_name("??", "fr") == "??"
