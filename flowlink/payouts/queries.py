"""Reads of what partners are owed: one frozen dataclass for each thing a page shows."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from typing import Any
from uuid import UUID

from sqlalchemy import Select, func, select, text
from sqlalchemy.orm import Session

from flowlink.identity.models import User
from flowlink.kernel.errors import NotFound
from flowlink.kernel.money import Money
from flowlink.ledger.accounts import PARTNER_KINDS, AccountKind
from flowlink.partners.ids import PartnerId
from flowlink.partners.models import Partner
from flowlink.payouts import debt_queries, stop_queries
from flowlink.payouts.ids import WithdrawalId
from flowlink.payouts.models import (
    OPEN_STATES,
    Method,
    Rail,
    ReserveLot,
    State,
    Withdrawal,
    WithdrawalEvent,
)

BALANCES = text(
    """
    SELECT a.owner, a.currency, a.kind, sum(b.balance)::bigint
      FROM ledger_account AS a JOIN ledger_balance AS b ON b.account = a.number
     WHERE a.owner = ANY(:owners) AND a.kind = ANY(:kinds)
     GROUP BY a.owner, a.currency, a.kind
    """
)
Lines = Select[Withdrawal, Rail, str, str, int, bool, bool]


class UnknownWithdrawal(NotFound):
    message = "There is no such withdrawal."


@dataclass(frozen=True)
class Balances:
    """All of a partner's money in one currency. `debt` is what they owe, as a positive amount."""

    pending: Money
    reserved: Money
    held: Money
    available: Money
    withdrawing: Money
    debt: Money
    paid: Money


@dataclass(frozen=True)
class Release:
    """How much of the reserve becomes available on a day."""

    on: date
    amount: Money


@dataclass(frozen=True)
class Step:
    """One step of a withdrawal."""

    state: State
    actor: str
    note: str
    at: datetime


@dataclass(frozen=True)
class WithdrawalLine:
    """A withdrawal as its partner and the operator see it."""

    id: WithdrawalId
    partner_id: PartnerId
    email: str
    amount: Money
    rail: Rail
    destination: str
    state: State
    needs_person: bool
    approved_by: str | None
    reference: str
    reason: str
    debt: Money
    debt_seen: Money
    held: bool
    being_asked: bool
    created_at: datetime
    updated_at: datetime

    @property
    def stopped_by_debt(self) -> bool:
        """No run takes it until a person has looked at what its partner owes."""
        return self.state in OPEN_STATES and self.debt > self.debt_seen


@dataclass(frozen=True)
class SavedMethod:
    """Where a partner's money may go, masked."""

    rail: Rail
    masked: str
    settled_at: datetime
    used_at: datetime


def partner_balances(
    session: Session, partner_ids: Collection[PartnerId]
) -> dict[tuple[PartnerId, str, AccountKind], int]:
    """Every balance of these partners in millionths, by partner, currency and kind."""
    owners = [str(partner_id) for partner_id in partner_ids]
    kinds = [kind.value for kind in PARTNER_KINDS]
    rows = session.execute(BALANCES, {"owners": owners, "kinds": kinds})
    return {
        (PartnerId(UUID(owner)), currency, AccountKind(kind)): micro
        for owner, currency, kind, micro in rows
    }


def balances(session: Session, partner_id: PartnerId, currency: str = "EUR") -> Balances:
    """All of a partner's money: six figures from the ledger, `paid` from what was settled."""
    found = partner_balances(session, [partner_id])

    def micro(kind: AccountKind) -> Money:
        return Money(found.get((partner_id, currency, kind), 0), currency)

    return Balances(
        pending=micro(AccountKind.PENDING),
        reserved=micro(AccountKind.RESERVE),
        held=micro(AccountKind.HELD),
        available=micro(AccountKind.AVAILABLE),
        withdrawing=micro(AccountKind.WITHDRAWING),
        debt=-micro(AccountKind.DEBT),
        paid=paid(session, partner_id, currency),
    )


@dataclass(frozen=True, slots=True)
class Waiting:
    """What waits for an operator: withdrawals, those among them to approve, and their sum."""

    count: int
    to_approve: int
    total: Money


def paid(session: Session, partner_id: PartnerId, currency: str = "EUR") -> Money:
    """All that ever reached this partner and stayed there."""
    settled = select(func.sum(Withdrawal.amount_minor)).where(
        Withdrawal.partner_id == partner_id,
        Withdrawal.currency == currency,
        Withdrawal.state == State.SETTLED,
    )
    return Money.from_cents(int(session.scalar(settled) or 0), currency)


def releases(session: Session, partner_id: PartnerId, currency: str = "EUR") -> Sequence[Release]:
    """The release calendar, the next day first."""
    lots = select(ReserveLot.release_on, ReserveLot.remaining_micro).where(
        ReserveLot.partner_id == partner_id,
        ReserveLot.currency == currency,
        ReserveLot.released_at.is_(None),
        ReserveLot.remaining_micro > 0,
    )
    rows = session.execute(lots.order_by(ReserveLot.release_on))
    return [Release(on=day, amount=Money(micro, currency)) for day, micro in rows]


def methods(session: Session, partner_id: PartnerId) -> Sequence[SavedMethod]:
    """Where this partner's money went before, the one used last first."""
    rows = select(Method).where(Method.partner_id == partner_id).order_by(Method.used_at.desc())
    return [
        SavedMethod(Rail(each.rail), each.masked, each.settled_at, each.used_at)
        for each in session.scalars(rows)
    ]


def withdrawals(
    session: Session, partner_id: PartnerId, *, before: UUID | None = None, limit: int = 50
) -> Sequence[WithdrawalLine]:
    """A partner's withdrawals, the newest first; `before` is the last one of the page before."""
    rows = _lines().where(Withdrawal.partner_id == partner_id)
    return _page(session, rows, before, limit)


def journal(
    session: Session, *, state: str = "", before: UUID | None = None, limit: int = 50
) -> Sequence[WithdrawalLine]:
    """Everybody's withdrawals, in one state if one is given, the newest first."""
    rows = _lines().where(Withdrawal.state == state) if state else _lines()
    return _page(session, rows, before, limit)


def pending(
    session: Session,
    *,
    state: str = "",
    only: UUID | None = None,
    after: UUID | None = None,
    limit: int = 50,
) -> Sequence[WithdrawalLine]:
    """The withdrawals that wait for somebody to approve or pay them, the oldest first."""
    rows = _lines().where(Withdrawal.state.in_(OPEN_STATES))
    if state:
        rows = rows.where(Withdrawal.state == state)
    rows = rows.where(Withdrawal.id == only) if only is not None else rows
    rows = rows.where(Withdrawal.id > after) if after is not None else rows
    return [_line(row) for row in session.execute(rows.order_by(Withdrawal.id).limit(limit))]


def waiting(session: Session) -> Waiting:
    """How many withdrawals wait, and for how much together, all of them in euros."""
    requested = func.count().filter(Withdrawal.state == State.REQUESTED)
    figures = select(
        func.count(), requested, func.coalesce(func.sum(Withdrawal.amount_minor), 0)
    ).where(Withdrawal.state.in_(OPEN_STATES))
    count, to_approve, cents = session.execute(figures).one()
    return Waiting(count=count, to_approve=to_approve, total=Money.from_cents(int(cents)))


def withdrawal(session: Session, withdrawal_id: WithdrawalId) -> WithdrawalLine:
    """:raises UnknownWithdrawal:"""
    row = session.execute(_lines().where(Withdrawal.id == withdrawal_id)).first()
    if row is None:
        raise UnknownWithdrawal
    return _line(row)


def steps(session: Session, withdrawal_id: WithdrawalId) -> Sequence[Step]:
    """All that happened to a withdrawal, in order."""
    rows = select(WithdrawalEvent).where(WithdrawalEvent.withdrawal_id == withdrawal_id)
    return [
        Step(state=State(each.to_state), actor=each.actor, note=each.note, at=each.at)
        for each in session.scalars(rows.order_by(WithdrawalEvent.sequence))
    ]


def _lines() -> Lines:
    return (
        select(
            Withdrawal,
            Method.rail,
            Method.masked,
            User.email,
            debt_queries.owed(),
            stop_queries.held(),
            stop_queries.being_asked(),
        )
        .join(Method, Method.id == Withdrawal.method_id)
        .join(Partner, Partner.id == Withdrawal.partner_id)
        .join(User, User.id == Partner.user_id)
    )


def _page(
    session: Session, rows: Lines, before: UUID | None, limit: int
) -> Sequence[WithdrawalLine]:
    if before is not None:
        rows = rows.where(Withdrawal.id < before)
    found = session.execute(rows.order_by(Withdrawal.id.desc()).limit(limit))
    return [_line(row) for row in found]


def _line(row: Any) -> WithdrawalLine:
    each: Withdrawal = row[0]
    return WithdrawalLine(
        id=WithdrawalId(each.id),
        partner_id=PartnerId(each.partner_id),
        email=row[3],
        amount=each.amount,
        rail=Rail(row[1]),
        destination=row[2],
        state=State(each.state),
        needs_person=each.needs_person,
        approved_by=each.approved_by,
        reference=each.reference,
        reason=each.reason,
        debt=Money(row[4], each.currency),
        debt_seen=Money(each.debt_seen_micro, each.currency),
        held=row[5],
        being_asked=row[6],
        created_at=each.created_at,
        updated_at=each.updated_at,
    )
