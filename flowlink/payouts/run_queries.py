"""Reads of payout runs and banks' answers, as the operator's pages show them."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from uuid import UUID

from sqlalchemy import BigInteger, ColumnElement, Select, cast, func, or_, select
from sqlalchemy.orm import InstrumentedAttribute, Session

from flowlink.identity.models import User
from flowlink.kernel.money import Money
from flowlink.partners.ids import PartnerId
from flowlink.partners.models import Partner
from flowlink.payouts import debt_queries, runs, stop_queries
from flowlink.payouts.ids import WithdrawalId
from flowlink.payouts.models import Method, Rail, State, Withdrawal
from flowlink.payouts.run_models import (
    UNKNOWN,
    BankFile,
    BankLine,
    LineOutcome,
    Run,
    RunItem,
    RunState,
)
from flowlink.payouts.tax_models import TaxProfile

QUIET = timedelta(days=5)  # a bank that has said nothing of an order for so long is asked by phone
_ENDED = (State.SETTLED, State.FAILED, State.RETURNED)
# Whether somebody had said by then in whose name to pay: on their papers, or with the account.
_NAMED = or_(
    Method.holder != "",
    select(TaxProfile.id)
    .where(TaxProfile.partner_id == Withdrawal.partner_id, TaxProfile.created_at <= Run.made_at)
    .correlate(Withdrawal, Run)
    .exists(),
)


@dataclass(frozen=True)
class RunLine:
    """A run and how far it is: how many of its items have ended, and how many are in trouble.

    `maker` and `releaser` are the addresses of the people who did it.
    """

    run: Run
    ended: int
    settled: int
    troubled: int
    fees_micro: int
    maker: str | None
    releaser: str | None

    @property
    def fees(self) -> Money:
        """What the provider kept beside the amounts, as far as it has said."""
        return Money(self.fees_micro, self.run.currency)

    @property
    def progress(self) -> str:
        """The state that people see: released runs are sent until their last item has ended."""
        if self.run.state != RunState.RELEASED:
            return str(self.run.state)
        return "sent" if self.ended < self.run.item_count else "done"


@dataclass(frozen=True)
class ItemLine:
    """One item of a run. `answer` is the provider's own word; before there is one, `unknown`."""

    withdrawal_id: WithdrawalId
    partner_id: PartnerId
    email: str
    end_to_end_id: str
    amount: Money
    holder: str
    named: bool
    destination: str
    state: State
    answer: str
    answered_at: datetime | None
    trouble: str
    contradiction: str
    reason: str
    debt: Money
    fee: Money
    left_at: datetime | None

    @property
    def shown(self) -> str:
        """Sent, but nobody knows more yet: the contract's word for that is `unknown`."""
        waits = self.state == State.SENT and self.answer == UNKNOWN
        return UNKNOWN if waits else str(self.state)


@dataclass(frozen=True, slots=True)
class ToPay:
    """What waits for a run; `stopped` counts what a hold or a debt keeps out of it."""

    count: int
    total: Money
    stopped: int


def all_runs(session: Session, *, before: UUID | None = None, limit: int = 50) -> Sequence[RunLine]:
    """The newest first."""
    rows = _runs()
    if before is not None:
        rows = rows.where(Run.id < before)
    found = session.execute(rows.order_by(Run.id.desc()).limit(limit))
    return [RunLine(*row) for row in found]


def one_run(session: Session, run_id: UUID) -> RunLine:
    """:raises runs.UnknownRun:"""
    row = session.execute(_runs().where(Run.id == run_id)).first()
    if row is None:
        raise runs.UnknownRun
    return RunLine(*row)


def items(
    session: Session, run_id: UUID, *, state: str = "", after: UUID | None = None, limit: int = 50
) -> Sequence[ItemLine]:
    """A run's items in the order of its file; `state` may also be `unknown` or `trouble`."""
    rows = (
        select(RunItem, Withdrawal, Method, User.email, _NAMED, debt_queries.owed())
        .join(Run, Run.id == RunItem.run_id)
        .join(Withdrawal, Withdrawal.id == RunItem.withdrawal_id)
        .join(Method, Method.id == Withdrawal.method_id)
        .join(Partner, Partner.id == Withdrawal.partner_id)
        .join(User, User.id == Partner.user_id)
        .where(RunItem.run_id == run_id)
    )
    if state == "trouble":
        rows = rows.where(or_(RunItem.contradiction != "", RunItem.trouble != ""))
    elif state == UNKNOWN:
        rows = rows.where(Withdrawal.state == State.SENT, RunItem.answer == UNKNOWN)
    elif state:
        rows = rows.where(Withdrawal.state == state)
    if after is not None:
        rows = rows.where(RunItem.withdrawal_id > after)
    found = session.execute(rows.order_by(RunItem.withdrawal_id).limit(limit))
    return [_item(*row[:4], named=row[4], debt=row[5]) for row in found]


def answer_of(session: Session, withdrawal_id: WithdrawalId) -> str:
    """The provider's last word about a withdrawal that was sent; empty before there is one."""
    rows = select(RunItem.answer).where(
        RunItem.withdrawal_id == withdrawal_id,
        RunItem.left_at.is_(None),
        RunItem.answer != UNKNOWN,
    )
    return session.scalars(rows).one_or_none() or ""


def to_pay(session: Session) -> dict[Rail, ToPay]:
    """What the next run of each rail would take, and how many withdrawals it would leave."""
    stopped = or_(stop_queries.held(), debt_queries.owed() > Withdrawal.debt_seen_micro)
    rows = (
        select(
            Method.rail,
            func.count().filter(~stopped),
            func.coalesce(func.sum(Withdrawal.amount_minor).filter(~stopped), 0),
            func.count().filter(stopped),
        )
        .join(Method, Method.id == Withdrawal.method_id)
        .where(Withdrawal.state == State.APPROVED, Withdrawal.currency == "EUR")
        .group_by(Method.rail)
    )
    found = {
        Rail(rail): ToPay(count, Money.from_cents(int(cents)), left)
        for rail, count, cents, left in session.execute(rows)
    }
    return {rail: found.get(rail, ToPay(0, Money.zero(), 0)) for rail in Rail}


def unnamed(session: Session, run_id: UUID) -> int:
    """How many items of a run bear a handle for want of a name."""
    rows = (
        select(func.count())
        .select_from(RunItem)
        .join(Run, Run.id == RunItem.run_id)
        .join(Withdrawal, Withdrawal.id == RunItem.withdrawal_id)
        .join(Method, Method.id == Withdrawal.method_id)
        .where(RunItem.run_id == run_id, RunItem.left_at.is_(None), ~_NAMED)
    )
    return session.scalar(rows) or 0


def quiet(session: Session, *, now: datetime) -> int:
    """How many bank transfers were sent long ago and never answered."""
    rows = (
        select(func.count())
        .select_from(RunItem)
        .join(Run, Run.id == RunItem.run_id)
        .join(Withdrawal, Withdrawal.id == RunItem.withdrawal_id)
        .where(
            Run.rail == Rail.BANK,
            Withdrawal.state == State.SENT,
            RunItem.left_at.is_(None),
            Run.execute_on < (now - QUIET).date(),
        )
    )
    return session.scalar(rows) or 0


def bank_lines(
    session: Session,
    *,
    waiting: bool = True,
    file_id: UUID | None = None,
    only: UUID | None = None,
    before: UUID | None = None,
    limit: int = 50,
) -> Sequence[BankLine]:
    """The newest first; `waiting` for those that a person has to look at."""
    rows = select(BankLine)
    if waiting:
        outcomes = (LineOutcome.UNMATCHED, LineOutcome.CONTRADICTION)
        rows = rows.where(BankLine.outcome.in_(outcomes), BankLine.looked_at.is_(None))
    if file_id is not None:
        rows = rows.where(BankLine.file_id == file_id)
    if only is not None:
        rows = rows.where(BankLine.id == only)
    if before is not None:
        rows = rows.where(BankLine.id < before)
    return session.scalars(rows.order_by(BankLine.id.desc()).limit(limit)).all()


def bank_files(session: Session, *, limit: int = 20) -> Sequence[BankFile]:
    """The files that came in last."""
    return session.scalars(select(BankFile).order_by(BankFile.id.desc()).limit(limit)).all()


def _runs() -> Select[Run, int, int, int, int, str | None, str | None]:
    ended = func.count().filter(RunItem.left_at.is_(None), Withdrawal.state.in_(_ENDED))
    settled = func.count().filter(RunItem.left_at.is_(None), Withdrawal.state == State.SETTLED)
    troubled = func.count().filter(RunItem.contradiction != "")
    kept = cast(func.coalesce(func.sum(RunItem.fee_micro), 0), BigInteger)
    return (
        select(Run, ended, settled, troubled, kept, _email(Run.maker_id), _email(Run.releaser_id))
        .outerjoin(RunItem, RunItem.run_id == Run.id)
        .outerjoin(Withdrawal, Withdrawal.id == RunItem.withdrawal_id)
        .group_by(Run.id)
    )


def _email(person: InstrumentedAttribute[UUID | None]) -> ColumnElement[str | None]:
    """Who that is; nobody where a schedule or a script did it."""
    return select(User.email).where(User.id == person).correlate(Run).scalar_subquery()


def _item(
    item: RunItem, withdrawal: Withdrawal, method: Method, email: str, *, named: bool, debt: int
) -> ItemLine:
    return ItemLine(
        withdrawal_id=WithdrawalId(withdrawal.id),
        partner_id=PartnerId(withdrawal.partner_id),
        email=email,
        end_to_end_id=item.end_to_end_id,
        amount=Money.from_cents(item.amount_minor, withdrawal.currency),
        holder=item.holder,
        named=named,
        destination=method.masked,
        state=State(withdrawal.state),
        answer=item.answer,
        answered_at=item.answered_at,
        trouble=item.trouble,
        contradiction=item.contradiction,
        reason=withdrawal.reason,
        debt=Money(debt, withdrawal.currency),
        fee=Money(item.fee_micro, withdrawal.currency),
        left_at=item.left_at,
    )
