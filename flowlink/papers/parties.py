"""Who stands on a paper: names, addresses and tax numbers, checked."""

from dataclasses import asdict, dataclass
from typing import Any, Self

from babel import Locale
from stdnum.eu import vat as eu_vat
from stdnum.exceptions import ValidationError
from stdnum.gb import vat as gb_vat

from flowlink.kernel.errors import Invalid
from flowlink.papers import letters
from flowlink.web import i18n
from flowlink.web.i18n import mark

LINE_MAX = 120
# VAT area of the EU (directive 2006/112/EC, art. 5). Greece's VAT numbers begin with EL.
EU = frozenset(
    {"AT", "BE", "BG", "CY", "CZ", "DE", "DK", "EE", "ES", "FI", "FR", "GR", "HR", "HU"}
    | {"IE", "IT", "LT", "LU", "LV", "MT", "NL", "PL", "PT", "RO", "SE", "SI", "SK"}
)
_VAT_NUMBER = mark("VAT number %(number)s")
_VAT_PREFIX = {"GR": "EL"}


class MissingDetail(Invalid):
    message = "Please fill in name, street, postcode, city and country."


class OtherLetters(Invalid):
    message = "Papers can show Latin, Greek, Cyrillic and Hebrew letters. Please use those."


class UnknownCountry(Invalid):
    message = "Please choose a country."
    field = "country"


class BadVatNumber(Invalid):
    message = "This is not a valid VAT number of this country."
    field = "vat_number"


@dataclass(frozen=True, slots=True)
class Party:
    """One side of a paper. `vat_number` is empty for who has none."""

    name: str
    street: str
    postcode: str
    city: str
    country: str
    vat_number: str = ""
    registration: str = ""
    business: bool = True

    @classmethod
    def of(cls, kept: dict[str, Any]) -> Self:
        """A party as it was kept."""
        return cls(**kept)

    def kept(self) -> dict[str, Any]:
        """As it is kept."""
        return asdict(self)

    def lines(self, lang: str) -> list[str]:
        """As it is printed."""
        return [
            line
            for line in (
                self.name,
                self.street,
                f"{self.postcode} {self.city}".strip(),
                country_name(self.country, lang),
                self.registration,
                self._printed_vat_number(lang),
            )
            if line
        ]

    def _printed_vat_number(self, lang: str) -> str:
        """Named where it is one; elsewhere people write their own country's number as it is."""
        if not self.vat_number or self.country not in {*EU, "GB"}:
            return self.vat_number
        return i18n.translate(lang, _VAT_NUMBER, {"number": self.vat_number})


def checked(party: Party) -> Party:
    """The party with its numbers in their normal form.

    :raises MissingDetail: :raises OtherLetters: :raises UnknownCountry:
    :raises BadVatNumber: wrong check digits, or of another country.
    """
    wanted = (party.name, party.street, party.city)
    if not all(wanted) or any(len(line) > LINE_MAX for line in wanted):
        raise MissingDetail
    if not all(map(letters.shows, (*wanted, party.postcode, party.registration))):
        raise OtherLetters
    if party.country not in countries("en"):
        raise UnknownCountry
    return Party(**{**party.kept(), "vat_number": _vat_number(party)})


def countries(lang: str) -> dict[str, str]:
    """Every country's name by its two letters (ISO 3166-1, as CLDR names them), in their order."""
    names = {str(code): str(name) for code, name in Locale(lang).territories.items()}
    real = [code for code in names if len(code) == 2 and code.isalpha() and code not in _NOT_ONE]
    return {code: names[code] for code in sorted(real, key=names.__getitem__)}


def country_name(country: str, lang: str) -> str:
    return str(Locale(lang).territories.get(country, country))


_NOT_ONE = frozenset({"EU", "EZ", "UN", "QO", "ZZ", "XA", "XB"})


def _vat_number(party: Party) -> str:
    """Normal form. Outside the EU and the United Kingdom a tax number is taken as it is."""
    given = party.vat_number.strip().upper()
    if not given or party.country not in {*EU, "GB"}:
        return given[:LINE_MAX]
    try:
        return _british(given) if party.country == "GB" else _european(given, party.country)
    except ValidationError:
        raise BadVatNumber from None


def _european(given: str, country: str) -> str:
    prefix = _VAT_PREFIX.get(country, country)
    number = str(eu_vat.validate(given if given[:2].isalpha() else prefix + given))
    if not number.startswith(prefix):
        raise BadVatNumber
    return number


def _british(given: str) -> str:
    """Numbers of Northern Ireland begin with XI instead, and are otherwise the same."""
    prefix = "XI" if given.startswith("XI") else "GB"
    return f"{prefix}{gb_vat.validate(given)}"
