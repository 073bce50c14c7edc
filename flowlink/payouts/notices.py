"""What partners are told about their withdrawals."""

from datetime import datetime

from sqlalchemy.orm import Session

from flowlink.identity import queries as identity
from flowlink.identity.ids import UserId
from flowlink.kernel import settings
from flowlink.notify import service as notify
from flowlink.payouts.models import Method, State, Withdrawal


def tell(session: Session, withdrawal: Withdrawal, *, now: datetime) -> None:
    """Write to the partner, once for each end of a withdrawal: paid, or given back and why."""
    user_id = UserId(withdrawal.requester_id)
    arrived = withdrawal.state == State.SETTLED
    notify.send(
        session,
        to=identity.email_of(session, user_id),
        template="payouts/email/paid" if arrived else "payouts/email/given_back",
        lang=identity.lang_of(session, user_id),
        context={
            "micro": str(withdrawal.amount.micro),
            "currency": withdrawal.currency,
            "destination": session.get_one(Method, withdrawal.method_id).masked,
            "reference": withdrawal.reference,
            "reason": withdrawal.reason,
            "url": f"{settings.current().url}/partners/earnings",
        },
        source=f"withdrawal:{withdrawal.id}:{withdrawal.state}",
        now=now,
    )
