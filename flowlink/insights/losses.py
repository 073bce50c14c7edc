"""Reads of the click journals: how they stand, what they lost, what the tables could not take."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import select
from sqlalchemy.orm import Session

from flowlink.tracking import journal_health
from flowlink.tracking.journal_models import EdgeState, JournalLoss, JournalRefusal, Unrecorded


@dataclass(frozen=True)
class Edge:
    """An edge's journal as its shipper last saw it. `error`: why it stands still, or empty."""

    edge: str
    host: str
    directory: str
    waiting: int
    oldest_at: datetime | None
    error: str
    seen_at: datetime

    def is_late(self, now: datetime) -> bool:
        """Its clicks wait for longer than a minute."""
        return self.oldest_at is not None and now - self.oldest_at > journal_health.LATE


def edges(session: Session) -> Sequence[Edge]:
    """Every edge that was ever seen and not removed."""
    return [_edge(state) for state in journal_health.states(session)]


def _edge(state: EdgeState) -> Edge:
    return Edge(
        edge=state.edge,
        host=state.host,
        directory=state.directory,
        waiting=state.backlog_records,
        oldest_at=state.oldest_at,
        error=state.error,
        seen_at=state.seen_at,
    )


def unrecorded(session: Session, *, limit: int = 50) -> Sequence[Unrecorded]:
    """Clicks that could be kept nowhere, by day and edge, the newest first."""
    rows = select(Unrecorded).order_by(Unrecorded.day.desc(), Unrecorded.edge).limit(limit)
    return session.scalars(rows).all()


def losses(
    session: Session, *, before: int | None = None, limit: int = 50
) -> Sequence[JournalLoss]:
    """Stretches that could not be read, the newest first."""
    rows = select(JournalLoss)
    if before is not None:
        rows = rows.where(JournalLoss.id < before)
    return session.scalars(rows.order_by(JournalLoss.id.desc()).limit(limit)).all()


def refusals(session: Session, *, limit: int = 50) -> Sequence[JournalRefusal]:
    """Records that the tables cannot hold, the newest first. They are kept as they are."""
    rows = select(JournalRefusal).order_by(JournalRefusal.id.desc()).limit(limit)
    return session.scalars(rows).all()
