"""Accounts: the places where money is, named by kind, owner and currency."""

from dataclasses import dataclass
from enum import StrEnum
from uuid import UUID


class AccountKind(StrEnum):
    """What the money in an account is."""

    PENDING = "pending"
    RESERVE = "reserve"
    HELD = "held"
    AVAILABLE = "available"
    WITHDRAWING = "withdrawing"
    DEBT = "debt"
    NETWORK_RECEIVABLE = "network_receivable"
    NETWORK_UNCONFIRMED = "network_unconfirmed"
    CLICK_BUDGET = "click_budget"
    REVENUE = "revenue"
    UNEARNED = "unearned"
    BANK = "bank"
    PAYPAL = "paypal"
    COMMISSION_EXPENSE = "commission_expense"
    PROVIDER_FEES = "provider_fees"
    CLEARING = "clearing"
    DISPUTED = "disputed"
    DEFERRED = "deferred"
    SALES = "sales"
    VAT = "vat"


PARTNER_KINDS = (
    AccountKind.PENDING,
    AccountKind.RESERVE,
    AccountKind.HELD,
    AccountKind.AVAILABLE,
    AccountKind.WITHDRAWING,
    AccountKind.DEBT,
)


@dataclass(frozen=True, slots=True)
class Account:
    """One account; `owner` is empty where the installation itself is the owner."""

    kind: AccountKind
    owner: str
    currency: str

    def __str__(self) -> str:
        """As in `available:0198…:EUR`."""
        return ":".join(part for part in (self.kind, self.owner, self.currency) if part)


def account(kind: AccountKind, owner: UUID | str | None = None, currency: str = "EUR") -> Account:
    """The account of that name, whether it has been opened yet or not."""
    return Account(kind=kind, owner="" if owner is None else str(owner), currency=currency)
