"""What a provider keeps for paying a partner: our expense, never the partner's.

Booked when the provider says that it has paid, with what it says it kept, once for each item; a
payment that comes back later does not bring its fee back.
"""

from datetime import datetime

from sqlalchemy.orm import Session

from flowlink.kernel.money import Money
from flowlink.ledger import service as ledger
from flowlink.ledger.service import AccountKind, Code, Entry, EntryKind, Transfer
from flowlink.payouts import ids
from flowlink.payouts.ids import WithdrawalId
from flowlink.payouts.models import Withdrawal
from flowlink.payouts.run_models import RunItem


def book(
    session: Session, *, withdrawal: Withdrawal, item: RunItem, fee: Money | None, now: datetime
) -> None:
    """Book the fee of a paid item; a second time, or without one, nothing happens.

    The caller has locked the withdrawal. A fee in another currency than the payout's is noted
    with the item: which of our balances it left, only a person can see.
    """
    if fee is None or fee.micro <= 0 or item.fee_micro:
        return
    if fee.currency != withdrawal.currency:
        item.trouble = f"a fee of {fee} is not booked"
        return
    item.fee_micro = fee.micro
    spent = ledger.account(AccountKind.PROVIDER_FEES, currency=fee.currency)
    purse = ledger.account(AccountKind.PAYPAL, currency=fee.currency)
    entry = Entry(
        source=f"fee:{item.end_to_end_id}",
        kind=EntryKind.FEE,
        transfers=(Transfer(spent, purse, fee, Code.FEE),),
        effective_at=now,
        ref={"withdrawal": ids.public(WithdrawalId(withdrawal.id))},
    )
    ledger.post(session, entry, now)
