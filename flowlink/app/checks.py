"""The reconciliation of all money: each module proves its own part."""

from sqlalchemy.orm import Session

from flowlink.billing import check as billing
from flowlink.ledger import check as ledger
from flowlink.payouts import check as payouts


def problems(session: Session) -> list[str]:
    """What is wrong with the money, by name and figure; empty when every proof holds."""
    return [*ledger.problems(session), *payouts.problems(session), *billing.problems(session)]
