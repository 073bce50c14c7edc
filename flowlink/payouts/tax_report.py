"""The yearly report of what partners were paid, in the shape that DAC7 asks for.

Directive (EU) 2021/514, annex V, section III: for each seller who they are, where their money
goes, and per quarter the consideration paid and the number of activities. Amounts are euros.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from flowlink.kernel import audit
from flowlink.kernel.money import Money
from flowlink.partners import ids as partner_ids, queries as partners
from flowlink.partners.ids import PartnerId
from flowlink.payouts import methods, tax
from flowlink.payouts.models import Method, State, Withdrawal
from flowlink.payouts.statements import Span

HEADER = (
    "partner",
    "email",
    "name",
    "business",
    "street",
    "postcode",
    "city",
    "country",
    "tax_number",
    "vat_number",
    "birth_date",
    "paid_to",
    "q1_eur",
    "q1_payouts",
    "q2_eur",
    "q2_payouts",
    "q3_eur",
    "q3_payouts",
    "q4_eur",
    "q4_payouts",
    "total_eur",
    "total_payouts",
    "missing",
)


@dataclass(frozen=True, slots=True)
class Paid:
    """What a partner was paid in each quarter, and in how many payouts."""

    partner_id: PartnerId
    amounts: Sequence[Money]
    counts: Sequence[int]


def rows(
    session: Session, *, span: Span, actor: str, now: datetime, ip: str = ""
) -> Iterator[Sequence[object]]:
    """A row for each partner who was paid in the year. That somebody took it is written down."""
    audit.record(session, actor, "exported tax report", str(span.since.year), now, ip)
    found = paid(session, span=span)
    profiles = tax.profiles(session, [each.partner_id for each in found])
    for each in found:
        yield _row(session, each, profiles.get(each.partner_id))


def paid(session: Session, *, span: Span) -> Sequence[Paid]:
    """Settled payouts by partner and quarter of their last step, in UTC."""
    since, until = span.bounds()
    quarter = func.extract("quarter", func.timezone("UTC", Withdrawal.updated_at))
    found = session.execute(
        select(Withdrawal.partner_id, quarter, func.sum(Withdrawal.amount_minor), func.count())
        .where(Withdrawal.state == State.SETTLED, Withdrawal.currency == "EUR")
        .where(Withdrawal.updated_at >= since, Withdrawal.updated_at < until)
        .group_by(Withdrawal.partner_id, quarter)
        .order_by(Withdrawal.partner_id)
    )
    amounts: dict[PartnerId, list[Money]] = {}
    counts: dict[PartnerId, list[int]] = {}
    for partner_id, number, cents, count in found:
        key, place = PartnerId(partner_id), int(number) - 1
        amounts.setdefault(key, [Money.zero()] * 4)[place] = Money.from_cents(int(cents))
        counts.setdefault(key, [0] * 4)[place] = count
    return [Paid(key, amounts[key], counts[key]) for key in amounts]


def _row(session: Session, each: Paid, profile: tax.Profile | None) -> Sequence[object]:
    party = profile.party if profile else None
    quarters: list[object] = []
    for amount, count in zip(each.amounts, each.counts, strict=True):
        quarters += [amount, count]
    return (
        partner_ids.public(each.partner_id),
        partners.email_of(session, each.partner_id),
        party.name if party else "",
        "" if party is None else "yes" if party.business else "no",
        party.street if party else "",
        party.postcode if party else "",
        party.city if party else "",
        party.country if party else "",
        profile.tax_number if profile else "",
        party.vat_number if party else "",
        profile.birth_date.isoformat() if profile and profile.birth_date else "",
        _paid_to(session, each.partner_id),
        *quarters,
        sum(each.amounts, Money.zero()),
        sum(each.counts),
        " ".join(_missing(profile)),
    )


def _missing(profile: tax.Profile | None) -> Iterator[str]:
    """What the directive asks for and the partner has not said."""
    if profile is None:
        yield "details"
        return
    if not profile.tax_number:
        yield "tax_number"
    if not profile.party.business and profile.birth_date is None:
        yield "birth_date"


def _paid_to(session: Session, partner_id: PartnerId) -> str:
    """The account used last, in clear: the directive asks for it."""
    last = session.scalar(
        select(Method)
        .where(Method.partner_id == partner_id)
        .order_by(Method.used_at.desc())
        .limit(1)
    )
    return methods.details_of(last) if last else ""


def this_year(now: datetime) -> int:
    return now.astimezone(UTC).year
