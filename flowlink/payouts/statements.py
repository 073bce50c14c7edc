"""Statements and payout advices: what a partner's money did, drawn from the ledger on demand."""

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime
from functools import partial

from sqlalchemy.orm import Session

from flowlink.kernel.errors import NotFound
from flowlink.kernel.money import Money
from flowlink.ledger.accounts import PARTNER_KINDS, AccountKind
from flowlink.ledger.entries import Code
from flowlink.ledger.statements import Movements, movements
from flowlink.papers import service as papers
from flowlink.papers.drawing import Sheet, Table
from flowlink.partners import queries as partners
from flowlink.partners.ids import PartnerId
from flowlink.payouts import ids, queries, tax
from flowlink.payouts.models import Rail, State
from flowlink.payouts.queries import WithdrawalLine
from flowlink.web import i18n
from flowlink.web.i18n import mark

# Money that is the partner's; what is only expected is not.
EARNED = tuple(kind for kind in PARTNER_KINDS if kind != AccountKind.PENDING)

WORDS = {
    Code.COMMISSION: mark("Commissions"),
    Code.RESERVE: mark("Commissions, kept in reserve at first"),
    Code.DEBT_REPAID: mark("Earnings that repaid a debt"),
    Code.CLAWBACK: mark("Commissions taken back"),
    Code.CLICKS: mark("Paid clicks"),
    Code.CLICKS_BACK: mark("Paid clicks taken back"),
    Code.REFERRAL: mark("Rewards for partners you brought"),
    Code.REFERRAL_BACK: mark("Rewards for partners you brought, taken back"),
    Code.ADJUSTMENT: mark("Missing sales, made good"),
    Code.PAYOUT: mark("Paid out"),
    Code.PAYOUT_BACK: mark("Payments that came back"),
}
_OTHER = mark("Corrections")
_RAILS = {Rail.BANK: mark("Bank transfer"), Rail.PAYPAL: mark("PayPal")}
_STATES = {
    State.SETTLED: mark("Payout advice"),
    State.RETURNED: mark("Payout advice: the money came back"),
}


class NoStatement(NotFound):
    message = "There is no statement for this time."


class NoAdvice(NotFound):
    message = "This withdrawal was not paid."


@dataclass(frozen=True, slots=True)
class Span:
    """Whole months in UTC; `until` is the first day after."""

    since: date
    until: date

    def bounds(self) -> tuple[datetime, datetime]:
        return _midnight(self.since), _midnight(self.until)


def month(year: int, number: int) -> Span:
    """:raises NoStatement: not a month."""
    if not (1 <= number <= 12 and 2000 <= year <= 2200):
        raise NoStatement
    return Span(date(year, number, 1), date(year + number // 12, number % 12 + 1, 1))


def year(number: int) -> Span:
    """:raises NoStatement: not a year of ours."""
    if not 2000 <= number <= 2200:
        raise NoStatement
    return Span(date(number, 1, 1), date(number + 1, 1, 1))


def months(session: Session, partner_id: PartnerId, *, now: datetime) -> Sequence[Span]:
    """Every month since the partner joined, this one first."""
    joined = partners.get(session, partner_id).created_at.astimezone(UTC)
    today = now.astimezone(UTC)
    last, first = today.year * 12 + today.month - 1, joined.year * 12 + joined.month - 1
    return [month(place // 12, place % 12 + 1) for place in range(last, first - 1, -1)]


def statement(
    session: Session, *, partner_id: PartnerId, span: Span, lang: str, now: datetime
) -> Sheet:
    """What was earned, taken back and paid out in a span, day by day for a month.

    :raises NoStatement: it lies wholly ahead.
    """
    since, until = span.bounds()
    if since > now:
        raise NoStatement
    found = movements(session, owner=partner_id, kinds=EARNED, since=since, until=until)
    say = partial(i18n.translate, lang)
    notes = [say("Reserve, money on its way and debt are part of the balance.")]
    if until > now:
        notes.append(say("This time is not over: later lines will follow."))
    yearly = span.until.year > span.since.year and span.since.month == 1 == span.until.month
    return Sheet(
        lang=lang,
        title=say(
            "Annual summary %(span)s" if yearly else "Statement %(span)s",
            {"span": span.since.strftime("%Y" if yearly else "%Y-%m")},
        ),
        facts=[
            (say("First day"), i18n.day(span.since, lang)),
            (say("Last day"), i18n.day(date.fromordinal(span.until.toordinal() - 1), lang)),
            (say("Made on"), i18n.moment(now, lang)),
        ],
        sender_label=say("From"),
        sender=_us(session, lang),
        receiver_label=say("For"),
        receiver=_them(session, partner_id, lang),
        tables=[_by_word(found, lang), (_by_month if yearly else _by_day)(found, lang)],
        totals=[
            (say("Balance before"), i18n.money(found.opening, lang)),
            (say("Balance after"), i18n.money(found.closing, lang)),
        ],
        notes=notes,
        page_label=say("Page"),
    )


def advice(session: Session, *, line: WithdrawalLine, lang: str) -> Sheet:
    """What was sent to the partner, where to, and under which reference.

    :raises NoAdvice: it was not paid.
    """
    if line.state not in _STATES:
        raise NoAdvice
    say = partial(i18n.translate, lang)
    facts = [
        (say("Withdrawal"), ids.public(line.id)),
        (say("Asked for"), i18n.moment(line.created_at, lang)),
        (say("Paid"), i18n.moment(line.updated_at, lang)),
        (say("Method"), say(_RAILS[line.rail])),
        (say("To"), line.destination),
        (say("Payment reference"), line.reference),
        (say("Reason"), line.reason),
    ]
    rows = [
        [i18n.moment(step.at, lang), say(_STEPS[step.state]), step.note]
        for step in queries.steps(session, line.id)
    ]
    return Sheet(
        lang=lang,
        title=say(_STATES[line.state]),
        facts=[(label, value) for label, value in facts if value],
        sender_label=say("From"),
        sender=_us(session, lang),
        receiver_label=say("For"),
        receiver=_them(session, line.partner_id, lang),
        tables=[Table("", [say("When"), say("What"), say("Note")], rows)],
        totals=[(say("Amount"), i18n.money(line.amount, lang))],
        page_label=say("Page"),
    )


_STEPS = {
    State.REQUESTED: mark("Asked for"),
    State.APPROVED: mark("Approved"),
    State.REJECTED: mark("Rejected"),
    State.IN_RUN: mark("In a payout run"),
    State.SENT: mark("Sent"),
    State.SETTLED: mark("Arrived"),
    State.FAILED: mark("Failed"),
    State.RETURNED: mark("Came back"),
}


def _by_word(found: Movements, lang: str) -> Table:
    sums: dict[str, Money] = {}
    for item in found.items:
        word = WORDS.get(item.code, _OTHER)
        sums[word] = sums.get(word, Money.zero()) + item.amount
    say = partial(i18n.translate, lang)
    rows = [
        [say(word), i18n.money(sums[word], lang)]
        for word in [*WORDS.values(), _OTHER]
        if word in sums
    ]
    return Table(say("Summary"), [say("What"), say("Amount")], rows, numbers=[1])


def _by_day(found: Movements, lang: str) -> Table:
    say = partial(i18n.translate, lang)
    rows = [
        [
            i18n.day(item.day, lang),
            say(WORDS.get(item.code, _OTHER)),
            i18n.money(item.amount, lang),
        ]
        for item in found.items
    ]
    return Table(say("Day by day"), [say("Day"), say("What"), say("Amount")], rows, numbers=[2])


def _by_month(found: Movements, lang: str) -> Table:
    say = partial(i18n.translate, lang)
    came: dict[str, Money] = defaultdict(Money.zero)
    paid: dict[str, Money] = defaultdict(Money.zero)
    for item in found.items:
        out = item.code in {Code.PAYOUT, Code.PAYOUT_BACK}
        (paid if out else came)[item.day.strftime("%Y-%m")] += item.amount
    rows = [
        [name, i18n.money(came[name], lang), i18n.money(-paid[name], lang)]
        for name in sorted({*came, *paid})
    ]
    columns = [say("Month"), say("Earned"), say("Paid out")]
    return Table(say("Month by month"), columns, rows, numbers=[1, 2])


def _us(session: Session, lang: str) -> Sequence[str]:
    company = papers.company(session)
    return company.lines(lang) if company else ["flowlink"]


def _them(session: Session, partner_id: PartnerId, lang: str) -> Sequence[str]:
    """Who they are, as far as they have said it."""
    profile = tax.current(session, partner_id)
    return [*(profile.party.lines(lang) if profile else ()), partners.email_of(session, partner_id)]


def _midnight(day: date) -> datetime:
    return datetime(day.year, day.month, day.day, tzinfo=UTC)
