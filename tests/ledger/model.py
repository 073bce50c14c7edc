"""The ledger in thirty lines of Python: what every posting must come to."""

from dataclasses import dataclass, field

from flowlink.ledger.accounts import Account, AccountKind as K
from flowlink.ledger.entries import Code, Entry, EntryKind, Transfer
from flowlink.ledger.service import Status

OWNED = set(K) - {K.REVENUE, K.UNEARNED, K.BANK, K.PAYPAL, K.COMMISSION_EXPENSE}
FLOORED = {K.PENDING, K.RESERVE, K.HELD, K.AVAILABLE, K.WITHDRAWING, K.CLICK_BUDGET}
RULES = {
    Code.COMMISSION: ({K.NETWORK_RECEIVABLE}, {K.AVAILABLE, K.HELD}),
    Code.CLAWBACK: ({K.RESERVE, K.AVAILABLE, K.HELD, K.DEBT}, {K.NETWORK_RECEIVABLE}),
    Code.WITHDRAWAL: ({K.AVAILABLE}, {K.WITHDRAWING}),
    Code.CORRECTION: (set(K), set(K)),
}


@dataclass
class Model:
    """Balances and what was posted, one entry after another."""

    balances: dict[Account, int] = field(default_factory=dict)
    posted: dict[str, tuple[EntryKind, tuple[Transfer, ...]]] = field(default_factory=dict)

    def post(self, entry: Entry) -> Status:
        payload = (entry.kind, entry.transfers)
        if entry.source in self.posted:
            return Status.REPLAY if self.posted[entry.source] == payload else Status.REUSED
        if not entry.source or not entry.transfers:
            return Status.MALFORMED
        after = dict(self.balances)
        for transfer in entry.transfers:
            refusal = _flaw(transfer) or _move(after, transfer)
            if refusal:
                return refusal
        self.balances = after
        self.posted[entry.source] = payload
        return Status.CREATED


def _flaw(transfer: Transfer) -> Status | None:
    sides = (transfer.debit, transfer.credit)
    if any((side.kind in OWNED) != bool(side.owner) for side in sides):
        return Status.UNKNOWN_ACCOUNT
    debits, credits_ = RULES[transfer.code]
    fits = transfer.debit.kind in debits and transfer.credit.kind in credits_
    same_currency = transfer.debit.currency == transfer.credit.currency
    sound = transfer.amount.micro > 0 and transfer.debit != transfer.credit and same_currency
    return None if fits and sound else Status.MALFORMED


def _move(balances: dict[Account, int], transfer: Transfer) -> Status | None:
    debit, credit, amount = transfer.debit, transfer.credit, transfer.amount.micro
    balances[debit] = balances.get(debit, 0) - amount
    balances[credit] = balances.get(credit, 0) + amount
    overdrawn = debit.kind in FLOORED and balances[debit] < 0
    overpaid = credit.kind is K.DEBT and balances[credit] > 0
    return Status.NO_FUNDS if overdrawn or overpaid else None
