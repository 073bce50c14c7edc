"""The journal for the accountant: every transfer of some days, with its accounts' names."""

import csv
from collections.abc import Iterable, Iterator
from datetime import datetime, timedelta
from pathlib import Path

from sqlalchemy import select
from sqlalchemy.orm import Session, aliased

from flowlink.kernel import ids
from flowlink.kernel.money import Money
from flowlink.ledger.accounts import AccountKind
from flowlink.ledger.models import AccountRow, EntryRow, TransferRow

HEADER = ("entry", "posted_at", "effective_at", "kind", "code", "source", "debit_account",
          "debit_name", "debit_owner", "credit_account", "credit_name", "credit_owner", "amount",
          "currency")  # fmt: skip
# What an accountant calls each kind of account.
NAMES = {
    AccountKind.PENDING: "Partners: pending commissions",
    AccountKind.RESERVE: "Partners: reserve",
    AccountKind.HELD: "Partners: held while reviewed",
    AccountKind.AVAILABLE: "Partners: payable",
    AccountKind.WITHDRAWING: "Partners: payouts under way",
    AccountKind.DEBT: "Partners: owed to us",
    AccountKind.NETWORK_RECEIVABLE: "Networks: receivable",
    AccountKind.NETWORK_UNCONFIRMED: "Networks: unconfirmed",
    AccountKind.CLICK_BUDGET: "Budgets for clicks",
    AccountKind.REVENUE: "Affiliate revenue",
    AccountKind.UNEARNED: "Revenue not earned yet",
    AccountKind.BANK: "Bank",
    AccountKind.PAYPAL: "PayPal",
    AccountKind.COMMISSION_EXPENSE: "Commission expense",
    AccountKind.PROVIDER_FEES: "Payment providers: fees",
    AccountKind.CLEARING: "Payment providers: receivable",
    AccountKind.DISPUTED: "Payment providers: disputed",
    AccountKind.DEFERRED: "Customers: service still owed",
    AccountKind.SALES: "Subscription revenue",
    AccountKind.VAT: "VAT payable",
}
_BATCH = 2000


def journal(
    session: Session, *, since: datetime | None, until: datetime | None
) -> Iterator[tuple[object, ...]]:
    """One row a transfer in the order of posting; `since` and `until` are whole days (UTC).

    Amounts are exact, to the millionth: what is rounded does not add up.
    """
    debit, credit = aliased(AccountRow), aliased(AccountRow)
    rows = (
        select(TransferRow, EntryRow, debit, credit)
        .join(EntryRow, EntryRow.id == TransferRow.entry_id)
        .join(debit, debit.number == TransferRow.debit)
        .join(credit, credit.number == TransferRow.credit)
        .order_by(TransferRow.number)
    )
    if since is not None:
        rows = rows.where(EntryRow.at >= since)
    if until is not None:
        rows = rows.where(EntryRow.at < until + timedelta(days=1))
    found = session.execute(rows.execution_options(yield_per=_BATCH))
    for transfer, entry, source, target in found:
        yield (
            ids.public("ent", entry.id),
            _time(entry.at),
            _time(entry.effective_at),
            str(entry.kind),
            str(transfer.code),
            entry.source,
            source.kind,
            _name(source.kind),
            source.owner,
            target.kind,
            _name(target.kind),
            target.owner,
            f"{Money(transfer.amount, source.currency).decimal():.6f}",
            source.currency,
        )


def write(out: Path, rows: Iterable[tuple[object, ...]]) -> int:
    """Write the journal to a file; returns how many transfers. Nothing is left half-written."""
    scratch, count = out.with_name(f"{out.name}.part"), 0
    with scratch.open("w", newline="", encoding="utf-8-sig") as file:
        writer = csv.writer(file)
        writer.writerow(HEADER)
        for row in rows:
            writer.writerow(row)
            count += 1
    scratch.replace(out)
    return count


def _name(kind: str) -> str:
    """The account's name; a kind that is newer than this table is its own name."""
    named = {str(each): name for each, name in NAMES.items()}
    return named.get(str(kind), str(kind))


def _time(at: datetime) -> str:
    return f"{at:%Y-%m-%dT%H:%M:%SZ}"
