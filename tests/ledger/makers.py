"""Makers of entries: a partner who earned, and what moves their money on."""

from datetime import UTC, datetime
from uuid import UUID, uuid4

from sqlalchemy.orm import Session

from flowlink.kernel.money import Money
from flowlink.ledger import queries, service as ledger
from flowlink.ledger.accounts import Account, AccountKind, account
from flowlink.ledger.entries import Code, Entry, EntryKind, Transfer

NOW = datetime(2026, 11, 21, 12, tzinfo=UTC)


def euros(text: str) -> Money:
    return Money.parse(text)


def entry(*transfers: Transfer, source: str = "", kind: EntryKind = EntryKind.CORRECTION) -> Entry:
    """An entry of these transfers, by default under a source of its own."""
    return Entry(
        source=source or f"test:{uuid4()}", kind=kind, transfers=transfers, effective_at=NOW
    )


def move(debit: Account, credit: Account, amount: str, code: Code = Code.CORRECTION) -> Transfer:
    return Transfer(debit=debit, credit=credit, amount=euros(amount), code=code)


def available(owner: UUID) -> Account:
    return account(AccountKind.AVAILABLE, owner)


def withdrawing(owner: UUID) -> Account:
    return account(AccountKind.WITHDRAWING, owner)


def receivable(owner: UUID) -> Account:
    return account(AccountKind.NETWORK_RECEIVABLE, owner)


def partner_with(session: Session, amount: str) -> UUID:
    """A partner who has this much available."""
    owner = uuid4()
    earned = move(receivable(uuid4()), available(owner), amount, Code.COMMISSION)
    ledger.post(session, entry(earned), NOW)
    return owner


def has(session: Session, place: Account) -> str:
    """What an account has, as in `12.34 EUR`."""
    return str(queries.balance(session, place))
