"""Entries: business facts as transfers between accounts, before they are posted."""

from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum

from flowlink.kernel.money import Money
from flowlink.ledger.accounts import Account


class EntryKind(StrEnum):
    """Which kind of business fact an entry is."""

    CONVERSION = "conversion"
    RELEASE = "release"
    HOLD = "hold"
    WITHDRAWAL = "withdrawal"
    PAYOUT = "payout"
    FEE = "fee"
    NETWORK_PAYMENT = "network_payment"
    BUDGET = "budget"
    CLICKS = "clicks"
    SALE = "sale"
    RECOGNITION = "recognition"
    REFUND = "refund"
    DISPUTE = "dispute"
    REFERRAL = "referral"
    CASE = "case"
    OWN_SALE = "own_sale"
    CORRECTION = "correction"


class Code(StrEnum):
    """Why a transfer moves money; which kinds it may join stands in the package's docstring."""

    EXPECTED = "expected"
    EXPECTED_BACK = "expected_back"
    COMMISSION = "commission"
    RESERVE = "reserve"
    DEBT_REPAID = "debt_repaid"
    REVENUE = "revenue"
    REVENUE_BACK = "revenue_back"
    CLAWBACK = "clawback"
    RELEASE = "release"
    HOLD = "hold"
    UNHOLD = "unhold"
    WITHDRAWAL = "withdrawal"
    WITHDRAWAL_BACK = "withdrawal_back"
    PAYOUT = "payout"
    PAYOUT_BACK = "payout_back"
    FEE = "fee"
    NETWORK_PAYMENT = "network_payment"
    BUDGET = "budget"
    BUDGET_BACK = "budget_back"
    CLICKS = "clicks"
    CLICKS_BACK = "clicks_back"
    SALE = "sale"
    SALE_VAT = "sale_vat"
    RECOGNITION = "recognition"
    REFUND = "refund"
    REFUND_VAT = "refund_vat"
    DISPUTE = "dispute"
    DISPUTE_WON = "dispute_won"
    DISPUTE_LOST = "dispute_lost"
    REFERRAL = "referral"
    REFERRAL_BACK = "referral_back"
    ADJUSTMENT = "adjustment"
    OWN_SALE = "own_sale"
    OWN_SALE_BACK = "own_sale_back"
    CORRECTION = "correction"


@dataclass(frozen=True, slots=True)
class Transfer:
    """One line of an entry: `amount` leaves `debit` and arrives at `credit`."""

    debit: Account
    credit: Account
    amount: Money
    code: Code

    def __post_init__(self) -> None:
        assert self.amount.currency == self.debit.currency, "two currencies never mix"


@dataclass(frozen=True, slots=True)
class Entry:
    """One business fact, to be posted once: `source` is its name for ever.

    Its transfers happen in their order. The same source again with the same kind and transfers
    is a replay; `effective_at` and `ref` are what the first one said.
    """

    source: str
    kind: EntryKind
    transfers: tuple[Transfer, ...]
    effective_at: datetime
    ref: dict[str, str] = field(default_factory=dict)
