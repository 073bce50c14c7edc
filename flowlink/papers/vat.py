"""Value added tax: rates by country and day, and what a self-billed service bears.

The service is promotion, supplied by a partner to us. Its place is where the customer is
established (directive 2006/112/EC, art. 44), so within one country the supplier's status decides,
across a border the customer owes the tax (art. 196). What a partner earns includes the tax.
"""

import json
from dataclasses import dataclass
from datetime import date
from enum import StrEnum
from functools import cache
from pathlib import Path

from flowlink.kernel.money import Money
from flowlink.papers.parties import EU, Party
from flowlink.web.i18n import mark

_RATES = Path(__file__).parent / "vat_rates.json"


class Case(StrEnum):
    """Why a paper bears tax or none."""

    DOMESTIC = "domestic"
    FRANCHISE = "franchise"
    PRIVATE = "private"
    EU_REVERSE_CHARGE = "eu_reverse_charge"
    EU_EXEMPT = "eu_exempt"
    OUTSIDE_EU = "outside_eu"


MENTIONS = {
    Case.DOMESTIC: "",
    Case.FRANCHISE: mark("VAT not applicable, article 293 B of the French tax code."),
    Case.PRIVATE: mark("Supplied by a private person who is not subject to VAT."),
    Case.EU_REVERSE_CHARGE: mark(
        "Reverse charge: VAT is due by the customer, articles 44 and 196 of directive 2006/112/EC."
    ),
    Case.EU_EXEMPT: mark(
        "VAT exempt: small enterprise, articles 282 to 292 of directive 2006/112/EC."
    ),
    Case.OUTSIDE_EU: mark(
        "Supplied from outside the European Union: VAT is due by the customer, "
        "article 44 of directive 2006/112/EC."
    ),
}


@dataclass(frozen=True, slots=True)
class Treatment:
    """How a paper is taxed. The rate is in basis points."""

    case: Case
    rate_bps: int


@dataclass(frozen=True, slots=True)
class Taxed:
    """A total in whole cents and what it consists of."""

    net: Money
    vat: Money
    total: Money


def of_supply(supplier: Party, customer: Party, *, on: date) -> Treatment:
    """What a partner's service to us bears on a day."""
    if not supplier.business:
        return Treatment(Case.PRIVATE, 0)
    if supplier.country == customer.country:
        if supplier.vat_number:
            return Treatment(Case.DOMESTIC, standard_rate(supplier.country, on))
        return Treatment(Case.FRANCHISE if supplier.country == "FR" else Case.EU_EXEMPT, 0)
    if supplier.country not in EU:
        return Treatment(Case.OUTSIDE_EU, 0)
    return Treatment(Case.EU_REVERSE_CHARGE if supplier.vat_number else Case.EU_EXEMPT, 0)


def split(total: Money, rate_bps: int) -> Taxed:
    """Take the tax out of an amount that includes it; the net is rounded half even to cents."""
    whole, rate = Money(10_000, total.currency), Money(rate_bps, total.currency)
    net = total.in_proportion(whole, whole + rate).round_cents()
    return Taxed(net, total - net, total)


def standard_rate(country: str, on: date) -> int:
    """A country's standard rate on a day in basis points; nought where there is none known."""
    steps = _standard().get(country, ())
    return next((rate for since, rate in reversed(steps) if since <= on), 0)


@cache
def _standard() -> dict[str, tuple[tuple[date, int], ...]]:
    table = json.loads(_RATES.read_text())["standard"]
    return {
        country: tuple((date.fromisoformat(since), rate) for since, rate in steps)
        for country, steps in table.items()
    }
