"""What a lifted hold means for money: what was kept apart becomes available."""

from datetime import datetime
from uuid import UUID

from sqlalchemy.orm import Session

from flowlink.kernel.money import Money
from flowlink.ledger import queries as ledger_queries, service as ledger
from flowlink.ledger.service import AccountKind, Code, Entry, EntryKind, Transfer
from flowlink.partners import ids as partner_ids
from flowlink.partners.ids import PartnerId
from flowlink.payouts import dispute_queries, queries
from flowlink.risk import service as risk


def give_held(session: Session, *, partner_id: PartnerId, hold_id: UUID, now: datetime) -> None:
    """Make available what the lifted hold kept apart; nothing while another one binds.

    Safe to repeat: the second time finds the entry of the first.
    """
    if risk.lock_hold(session, partner_id=partner_id) is not None:
        return
    found = queries.partner_balances(session, [partner_id])
    apart = dispute_queries.set_apart(session, [partner_id])
    for (_, currency, kind), micro in sorted(found.items()):
        free = micro - apart.get((partner_id, currency), 0)
        if kind is AccountKind.HELD and free > 0:
            _give(session, partner_id, hold_id, Money(free, currency), now)


def _give(
    session: Session, partner_id: PartnerId, hold_id: UUID, held: Money, now: datetime
) -> None:
    source = f"hold:{hold_id}:lifted:{held.currency}"
    if ledger_queries.find_by_source(session, source) is not None:
        return
    transfer = Transfer(
        ledger.account(AccountKind.HELD, partner_id, held.currency),
        ledger.account(AccountKind.AVAILABLE, partner_id, held.currency),
        held,
        Code.UNHOLD,
    )
    entry = Entry(
        source=source,
        kind=EntryKind.HOLD,
        transfers=(transfer,),
        effective_at=now,
        ref={"partner": partner_ids.public(partner_id)},
    )
    ledger.post(session, entry, now)
