"""How clicks come in, from all edges: what waits, what stands still, and what was lost."""

from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from flowlink.tracking.journal_models import EdgeState, JournalLoss, JournalRefusal, Unrecorded

RECENT = timedelta(days=7)
LATE = timedelta(minutes=1)


@dataclass(frozen=True, slots=True)
class Health:
    """Clicks that wait now, and what happened to clicks in the last seven days.

    `late`: edges whose clicks wait for over a minute, or that have not been heard of since some
    waited. `halted`: edges whose journal needs a person. `damages` are stretches of journals, of
    which `lost` clicks are known to be gone; `refused` records are kept as they were.
    """

    edges: int
    waiting: int
    waiting_bytes: int
    oldest_at: datetime | None
    late: int
    halted: int
    unrecorded: int
    damages: int
    lost: int
    refused: int

    @property
    def is_well(self) -> bool:
        return not (self.late or self.halted or self.unrecorded or self.damages or self.refused)


def states(session: Session) -> list[EdgeState]:
    """Every edge's journal, as its shipper last saw it."""
    return list(session.scalars(select(EdgeState).order_by(EdgeState.host, EdgeState.directory)))


def health(session: Session, *, now: datetime) -> Health:
    """All edges together."""
    found = states(session)
    since = now - RECENT
    losses = select(func.count(), func.coalesce(func.sum(JournalLoss.records), 0))
    damages, lost = session.execute(losses.where(JournalLoss.at >= since)).one()
    refused = select(func.count()).where(JournalRefusal.at >= since)
    unrecorded = select(func.sum(Unrecorded.count)).where(Unrecorded.at >= since)
    return Health(
        edges=len(found),
        waiting=sum(one.backlog_records for one in found),
        waiting_bytes=sum(one.backlog_bytes for one in found),
        oldest_at=min((one.oldest_at for one in found if one.oldest_at), default=None),
        late=sum(_is_late(one, now) for one in found),
        halted=sum(bool(one.error) for one in found),
        unrecorded=int(session.scalar(unrecorded) or 0),
        damages=damages,
        lost=int(lost or 0),
        refused=session.scalar(refused) or 0,
    )


def _is_late(state: EdgeState, now: datetime) -> bool:
    return state.oldest_at is not None and now - state.oldest_at > LATE
