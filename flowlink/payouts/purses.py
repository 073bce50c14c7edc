"""A partner's money of one currency: in which order it comes and goes."""

from collections.abc import Collection, Iterator
from dataclasses import dataclass

from sqlalchemy.orm import Session

from flowlink.kernel.money import Money
from flowlink.ledger import service as ledger
from flowlink.ledger.service import AccountKind
from flowlink.partners.ids import PartnerId
from flowlink.payouts import dispute_queries, queries
from flowlink.risk import service as risk
from flowlink.risk.models import Hold

Parts = list[tuple[AccountKind, Money]]


@dataclass
class Purse:
    """What a partner has and owes, kept true while steps are added up before they are posted.

    `held` is without what open disputes set apart: that belongs to their sales alone.
    """

    partner_id: PartnerId
    currency: str
    hold: Hold | None
    available: Money
    held: Money
    debt: Money  # what they owe us, as a positive amount

    def account(self, kind: AccountKind) -> ledger.Account:
        return ledger.account(kind, self.partner_id, self.currency)

    def give(self, amount: Money) -> Parts:
        """Where a credit goes: debt is repaid first, new earnings of a held partner stay apart."""
        repaid = min(amount, self.debt)
        rest = amount - repaid
        self.debt -= repaid
        if self.hold:
            self.held += rest
        else:
            self.available += rest
        kind = AccountKind.HELD if self.hold else AccountKind.AVAILABLE
        return _parts((AccountKind.DEBT, repaid), (kind, rest))

    def give_back(self, amount: Money) -> Parts:
        """Where money goes that was set aside before: no new earning, so no hold keeps it apart."""
        repaid = min(amount, self.debt)
        self.debt -= repaid
        self.available += amount - repaid
        return _parts((AccountKind.DEBT, repaid), (AccountKind.AVAILABLE, amount - repaid))

    def take(self, amount: Money) -> Parts:
        """Where something taken back comes from: what is there, the rest is owed."""
        from_held = min(amount, self.held)
        from_available = min(amount - from_held, self.available)
        owed = amount - from_held - from_available
        self.held -= from_held
        self.available -= from_available
        self.debt += owed
        return _parts(
            (AccountKind.HELD, from_held),
            (AccountKind.AVAILABLE, from_available),
            (AccountKind.DEBT, owed),
        )


class Purses:
    """The purses of some partners, locked until the transaction ends."""

    def __init__(self, session: Session, *, partner_ids: Collection[PartnerId]) -> None:
        """Lock the partners' standings, then read: nobody else moves their money meanwhile."""
        self._holds = risk.lock_holds(session, partner_ids=partner_ids)
        self._balances = queries.partner_balances(session, partner_ids)
        self._apart = dispute_queries.set_apart(session, partner_ids)
        self._purses: dict[tuple[PartnerId, str], Purse] = {}

    def of(self, partner_id: PartnerId, currency: str = "EUR") -> Purse:
        """This partner's purse; the same one each time, with all steps so far in it."""
        key = (partner_id, currency)
        if key not in self._purses:
            self._purses[key] = self._opened(partner_id, currency)
        return self._purses[key]

    def _opened(self, partner_id: PartnerId, currency: str) -> Purse:
        def balance(kind: AccountKind) -> Money:
            return Money(self._balances.get((partner_id, currency, kind), 0), currency)

        apart = Money(self._apart.get((partner_id, currency), 0), currency)
        return Purse(
            partner_id=partner_id,
            currency=currency,
            hold=self._holds.get(partner_id),
            available=balance(AccountKind.AVAILABLE),
            held=balance(AccountKind.HELD) - apart,
            debt=-balance(AccountKind.DEBT),
        )


def locked(session: Session, *, partner_id: PartnerId, currency: str = "EUR") -> Purse:
    """One partner's purse, locked until the transaction ends."""
    return Purses(session, partner_ids=[partner_id]).of(partner_id, currency)


def _parts(*parts: tuple[AccountKind, Money]) -> Parts:
    """Without what is nothing: the ledger moves no zeros."""
    return [(kind, amount) for kind, amount in parts if amount]


def codes(parts: Parts, code: ledger.Code) -> Iterator[tuple[AccountKind, Money, ledger.Code]]:
    """Each part with the reason it is posted under; paying debt back has its own."""
    for kind, amount in parts:
        yield kind, amount, ledger.Code.DEBT_REPAID if kind is AccountKind.DEBT else code
