"""What partners owe us, beside their withdrawals."""

from sqlalchemy import ColumnElement, Text, cast, func, select

from flowlink.ledger.accounts import AccountKind
from flowlink.ledger.models import AccountRow, BalanceRow
from flowlink.payouts.models import Withdrawal


def owed() -> ColumnElement[int]:
    """What the withdrawal's partner owes us in its currency now, in millionths, never below 0."""
    mine = (
        AccountRow.owner == cast(Withdrawal.partner_id, Text),
        AccountRow.kind == AccountKind.DEBT.value,
        AccountRow.currency == Withdrawal.currency,
    )
    total = select(func.coalesce(-func.sum(BalanceRow.balance), 0))
    joined = total.join(AccountRow, AccountRow.number == BalanceRow.account)
    return joined.where(*mine).correlate(Withdrawal).scalar_subquery()
