"""Reads of issued papers."""

from collections.abc import Sequence
from uuid import UUID

from sqlalchemy import func, select
from sqlalchemy.orm import Session, undefer

from flowlink.papers.models import Paper, Series


def of_owner(
    session: Session, owner: UUID, *, before: UUID | None = None, limit: int = 50
) -> Sequence[Paper]:
    """The papers of a partner or a team, the newest first."""
    return _newest(session, before=before, limit=limit, owner=owner)


def every(session: Session, *, before: UUID | None = None, limit: int = 50) -> Sequence[Paper]:
    """All papers, the newest first."""
    return _newest(session, before=before, limit=limit, owner=None)


def get(session: Session, paper_id: UUID) -> Paper | None:
    """One paper with its file."""
    wanted = select(Paper).where(Paper.id == paper_id).options(undefer(Paper.pdf))
    return session.scalar(wanted)


def credited_about(session: Session, subject: str) -> int:
    """How many invoices about this were taken back."""
    wanted = select(func.count()).where(Paper.subject == subject, Paper.credits_id.is_not(None))
    return session.scalar(wanted) or 0


def credits_of(session: Session, papers: Sequence[Paper]) -> dict[UUID, Paper]:
    """The credit notes that took these back, by the invoice's id."""
    keys = [paper.id for paper in papers]
    rows = session.scalars(select(Paper).where(Paper.credits_id.in_(keys)))
    return {row.credits_id: row for row in rows if row.credits_id is not None}


def problems(session: Session) -> list[str]:
    """What is wrong with the numbers: nothing, if each series runs from 1 to its counter."""
    found = (
        select(Series.name, Series.last, func.count(Paper.id), func.max(Paper.sequence))
        .outerjoin(Paper, Paper.series == Series.name)
        .group_by(Series.name, Series.last)
        .order_by(Series.name)
    )
    return [
        f"series {name} counts to {last}, but has {count} papers up to number {highest or 0}"
        for name, last, count, highest in session.execute(found)
        if not last == count == (highest or 0)
    ]


def _newest(
    session: Session, *, before: UUID | None, limit: int, owner: UUID | None
) -> Sequence[Paper]:
    wanted = select(Paper).order_by(Paper.id.desc()).limit(limit)
    if owner is not None:
        wanted = wanted.where(Paper.owner == owner)
    if before is not None:
        wanted = wanted.where(Paper.id < before)
    return session.scalars(wanted).all()
