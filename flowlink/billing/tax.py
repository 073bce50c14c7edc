"""VAT on what teams buy: electronic services, whose place is where the customer is.

Directive 2006/112/EC: a private customer in the EU pays the rate of their own country (art. 58), a
business of another country owes the tax itself (art. 44, 196), outside the EU there is none. As
long as the operator has not said who they are, the rate is that of `HOME`.
"""

from dataclasses import dataclass
from datetime import date
from enum import StrEnum

from flowlink.papers import vat
from flowlink.papers.parties import EU, Party
from flowlink.web.i18n import mark

HOME = "FR"


class Case(StrEnum):
    """Why a payment bears tax or none."""

    DOMESTIC = "domestic"
    FRANCHISE = "franchise"
    EU_CONSUMER = "eu_consumer"
    EU_REVERSE_CHARGE = "eu_reverse_charge"
    OUTSIDE_EU = "outside_eu"


MENTIONS = {
    Case.DOMESTIC: "",
    Case.EU_CONSUMER: "",
    Case.FRANCHISE: vat.MENTIONS[vat.Case.FRANCHISE],
    Case.EU_REVERSE_CHARGE: vat.MENTIONS[vat.Case.EU_REVERSE_CHARGE],
    Case.OUTSIDE_EU: mark(
        "Service supplied outside the European Union: no VAT, "
        "articles 44 and 59 of directive 2006/112/EC."
    ),
}


@dataclass(frozen=True, slots=True)
class Treatment:
    """How a payment is taxed: the country whose tax it is, and the rate in basis points."""

    case: Case
    country: str
    rate_bps: int


def treatment(customer: Party | None, seller: Party | None, *, on: date) -> Treatment:
    """What a sale bears on a day. A customer who has not said where they are is at home."""
    home = seller.country if seller else HOME
    country = customer.country if customer else home
    if country not in EU:
        return Treatment(Case.OUTSIDE_EU, country, 0)
    if seller is not None and not seller.vat_number:
        return Treatment(Case.FRANCHISE, home, 0)
    if country == home:
        return Treatment(Case.DOMESTIC, home, vat.standard_rate(home, on))
    if customer is not None and customer.business and customer.vat_number:
        return Treatment(Case.EU_REVERSE_CHARGE, country, 0)
    return Treatment(Case.EU_CONSUMER, country, vat.standard_rate(country, on))
