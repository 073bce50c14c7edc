"""Reads of what the click journals could not give back, or the tables could not take."""

from collections.abc import Sequence

from sqlalchemy import select
from sqlalchemy.orm import Session

from flowlink.tracking.journal_models import JournalLoss, JournalRefusal


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
