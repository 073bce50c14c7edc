"""What keeps a withdrawal from being paid or decided now, beside its partner's debt."""

from sqlalchemy import ColumnElement, select

from flowlink.payouts.models import Rail, State, Withdrawal
from flowlink.payouts.run_models import Run, RunItem, RunState
from flowlink.risk.models import Hold


def held() -> ColumnElement[bool]:
    """A hold binds the withdrawal's partner."""
    mine = Hold.partner_id == Withdrawal.partner_id, Hold.lifted_at.is_(None)
    return select(Hold.id).where(*mine).correlate(Withdrawal).exists()


def being_asked() -> ColumnElement[bool]:
    """It was sent, and PayPal is asked about it by itself: no person decides meanwhile."""
    found = (
        select(Run.id)
        .join(RunItem, RunItem.run_id == Run.id)
        .where(
            RunItem.withdrawal_id == Withdrawal.id,
            RunItem.left_at.is_(None),
            Run.rail == Rail.PAYPAL,
            Run.state == RunState.RELEASED,
            Run.next_try_at.is_not(None),
            Withdrawal.state == State.SENT,
        )
    )
    return found.correlate(Withdrawal).exists()
