"""What a person decides about journals: a directory that is not the one that the database knows.

Its shipper stops, because nobody can tell from the position alone what is stored already. The
clicks can: each has a number of its own.
"""

from dataclasses import dataclass
from pathlib import Path

from sqlalchemy import delete, select
from sqlalchemy.orm import Session

from flowlink.kernel import clock
from flowlink.tracking import (
    clickid,
    clicks,
    journal_contents,
    postbacks,
    segment as files,
    shipper,
)
from flowlink.tracking.clicks import Memory, Row
from flowlink.tracking.journal_models import EdgeState, JournalPosition
from flowlink.tracking.journal_reader import Reader
from flowlink.tracking.models import Click
from flowlink.tracking.segment import START, Position


@dataclass(frozen=True, slots=True)
class Accepted:
    """What a journal had: clicks that were new, that were stored already, and unreadable ones."""

    stored: int
    known: int
    unreadable: int


def accept(session: Session, *, directory: Path) -> Accepted:
    """Store what of this journal is not stored yet, and go on from its end.

    One transaction: all of it or nothing.

    :raises segment.Taken: a shipper is at it; stop it first.
    """
    edge = files.edge_of(directory)
    memory, stored, known, unreadable = Memory(), 0, 0, 0
    with files.held(directory / shipper.LOCK):
        session.execute(delete(JournalPosition).where(JournalPosition.edge == edge))
        reader = Reader(directory, position=START)
        try:
            while (batch := reader.read()).records:
                contents = journal_contents.read(batch.records)
                fresh = _fresh(session, contents.clicks)
                _keep(session, fresh, memory)
                # A postback that was stored before is a duplicate when it is read again.
                postbacks.keep_all(session, taken=contents.postbacks, now=clock.now())
                stored += len(fresh)
                known += len(contents.clicks) - len(fresh)
                unreadable += len(contents.unreadable)
            _settle(session, edge, reader.position)
        finally:
            reader.close()
    return Accepted(stored, known, unreadable)


def _fresh(session: Session, rows: list[Row]) -> list[Row]:
    if not rows:
        return []
    numbers = [row.number for row in rows]
    between = Click.id.between(min(numbers), max(numbers))
    known = set(session.scalars(select(Click.id).where(between)))
    return [row for row in rows if row.number not in known]


def _keep(session: Session, rows: list[Row], memory: Memory) -> None:
    if not rows:
        return
    for day in sorted({clickid.at(row.number).date() for row in rows}):
        session.connection().exec_driver_sql(clicks.PARTITION, {"day": day})
    clicks.run(session, clicks.insert(rows, memory=memory))


def _settle(session: Session, edge: str, position: Position) -> None:
    session.execute(delete(EdgeState).where(EdgeState.edge == edge))
    if position != START:
        session.add(
            JournalPosition(
                edge=edge,
                segment=position.segment,
                byte_offset=position.offset,
                sequence=position.sequence,
            )
        )
        session.flush()
