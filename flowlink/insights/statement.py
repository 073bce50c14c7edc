"""A partner's ledger lines: what stands behind each amount on their pages and in their CSV."""

from collections.abc import Iterator, Sequence
from uuid import UUID

from sqlalchemy.orm import Session

from flowlink.insights.earnings import Sale
from flowlink.insights.trends import PartnerTrends
from flowlink.kernel import ids
from flowlink.kernel.money import Money
from flowlink.ledger import queries as ledger
from flowlink.ledger.accounts import PARTNER_KINDS, AccountKind, account
from flowlink.ledger.queries import Line, Lines
from flowlink.payouts import ids as payout_ids
from flowlink.payouts.click_queries import AccrualLine
from flowlink.payouts.ids import ACCRUAL
from flowlink.payouts.queries import WithdrawalLine
from flowlink.tracking.ids import CONVERSION
from flowlink.web import lists
from flowlink.web.paging import Page, cursor_encode

ALL = "all"
_KINDS = {"reserved": AccountKind.RESERVE}  # the others are called alike on page and in ledger
ACCRUAL_HEADER = [
    "accrual",
    "hour",
    "offer",
    "version",
    "price_eur",
    "paid_clicks",
    "amount_eur",
    "unpaid_clicks",
    "reasons",
    "posted_at",
]
SALE_HEADER = ["conversion", "at", "offer", "status", "sale_eur", "share_eur"]
WITHDRAWAL_HEADER = [
    "withdrawal",
    "at",
    "amount",
    "currency",
    "method",
    "to",
    "state",
    "reason",
]
LINE_HEADER = ["entry", "at", "account", "what", "amount", "currency", "balance_after", "source"]


def lines(
    session: Session, *, partner_id: UUID, purse: str, cursor: str | None = None, size: int = 50
) -> Page[Line]:
    """The newest first. `purse` is a word of the earnings page, or `all`.

    :raises BadCursor: not a cursor of this list.
    """
    kinds = PARTNER_KINDS if purse == ALL else (_KINDS.get(purse) or AccountKind(purse),)
    accounts = [account(kind, partner_id) for kind in kinds]
    found: Lines = ledger.lines(session, accounts, lists.position(cursor), size)
    return Page(found.items, cursor_encode(found.next) if found.next is not None else None)


def line_cells(line: Line) -> Sequence[object]:
    """A line as a row of the CSV."""
    return (
        ids.public("ent", line.entry_id),
        line.at,
        str(line.account.kind),
        str(line.code),
        line.amount,
        line.amount.currency,
        line.balance_after,
        line.source,
    )


def sale_cells(sale: Sale) -> Sequence[object]:
    """A sale as a row of the CSV."""
    return (
        ids.public(CONVERSION, sale.conversion.id),
        sale.conversion.occurred_at,
        sale.offer,
        str(sale.conversion.status),
        sale.conversion.amount,
        sale.share,
    )


def withdrawal_cells(line: WithdrawalLine) -> Sequence[object]:
    """A withdrawal as a row of the CSV."""
    return (
        payout_ids.public(line.id),
        line.created_at,
        line.amount,
        line.amount.currency,
        str(line.rail),
        line.destination,
        str(line.state),
        line.reason,
    )


def accrual_cells(line: AccrualLine) -> Sequence[object]:
    """Paid clicks as a row of the CSV."""
    return (
        ids.public(ACCRUAL, line.accrual.id),
        line.accrual.hour,
        line.offer,
        line.accrual.version,
        line.price.decimal(),
        line.paid,
        line.accrual.amount.decimal(),
        line.unpaid,
        refused(line),
        line.accrual.posted_at,
    )


def refused(line: AccrualLine) -> str:
    """How many clicks earned nothing and why, in the words of the CSV."""
    return " ".join(f"{reason}:{number}" for reason, number in sorted(line.zeros.items()))


def days(trends: PartnerTrends) -> Iterator[Sequence[object]]:
    """A row of the CSV for each day."""
    clicks, earned = trends.clicks, trends.earned
    for place, day in enumerate(clicks.days):
        valid, flagged = clicks.values["valid"][place], clicks.values["flagged"][place]
        yield day.isoformat(), valid, flagged, Money(earned.values["earned"][place])
