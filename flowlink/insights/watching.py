"""What is watched of a partner's traffic, and how much money waits for it."""

from collections.abc import Sequence

from sqlalchemy.orm import Session

from flowlink.partners.ids import PartnerId
from flowlink.payouts import waiting
from flowlink.payouts.waiting import Amount
from flowlink.payouts.waiting_models import Waiting
from flowlink.risk import watches
from flowlink.risk.watch_models import Watch

Watching = tuple[Watch, Amount | None]


def of_partner(session: Session, partner_id: PartnerId) -> Sequence[Watching]:
    """Each watch that is open, with what waits under it, if money does."""
    amounts = waiting.amounts(session, Waiting.partner_id == partner_id)
    return [(watch, amounts.get(watch.id)) for watch in watches.open_of(session, partner_id)]
