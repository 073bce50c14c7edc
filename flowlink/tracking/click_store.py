"""Where the click journal goes: PostgreSQL, rows, counts and position in one transaction."""

from collections.abc import Generator, Sequence
from contextlib import contextmanager

from sqlalchemy import insert, select, text, update
from sqlalchemy.dialects import postgresql
from sqlalchemy.exc import DataError, DBAPIError, IntegrityError, OperationalError
from sqlalchemy.orm import Session

from flowlink.kernel import clock, db
from flowlink.tracking import clickid, clicks, housekeeping, journal_contents, postbacks
from flowlink.tracking.clicks import Memory, Row
from flowlink.tracking.journal_models import JournalLoss, JournalPosition, JournalRefusal
from flowlink.tracking.journal_reader import Batch
from flowlink.tracking.segment import START, Position
from flowlink.tracking.shipper import Away, Moved, Refused

# A position that a crash could take back must not have cost the journal its segments.
_SYNCED = "SET LOCAL synchronous_commit = on"


class ClickStore:
    """The store of click journals. Belongs to one shipper: it remembers words between batches."""

    def __init__(self) -> None:
        self._memory = Memory()
        self._kept = START

    def position(self, *, edge: str) -> Position:
        """How far this edge's journal is kept."""
        with self._translated(), db.read() as session:
            self._kept = position_of(session, edge=edge)
        return self._kept

    def kept(self, *, edge: str) -> Position:
        """As far as it has taken: a commit here is for good."""
        return self._kept

    def take(self, batch: Batch, *, edge: str, after: Position) -> None:
        """Keep clicks, their counts, postbacks unread, what was lost among them, and the position
        behind them."""
        contents = journal_contents.read(batch.records)
        if contents.unreadable:
            raise Refused(contents.unreadable[0])
        rows = contents.clicks
        with self._translated():
            self._prepare_days(rows)
            with db.write() as session:
                self._move(session, batch, edge=edge, after=after)
                if rows:
                    clicks.run(session, clicks.insert(rows, memory=self._memory))
                postbacks.keep_all(session, taken=contents.postbacks, now=clock.now())
        self._kept = batch.position

    def set_aside(self, batch: Batch, *, edge: str, after: Position, reason: str) -> None:
        """Keep a record that is no click, or not one that the tables can hold."""
        [record] = batch.records
        at = batch.position
        with self._translated(), db.write() as session:
            self._move(session, batch, edge=edge, after=after)
            session.execute(
                insert(JournalRefusal).values(
                    edge=edge,
                    segment=at.segment,
                    byte_offset=at.offset,
                    record=record,
                    reason=reason,
                    at=clock.now(),
                )
            )
        self._kept = at

    def _move(self, session: Session, batch: Batch, *, edge: str, after: Position) -> None:
        """Move the position, which also locks it until the batch is kept."""
        session.execute(text(_SYNCED))
        to = batch.position
        new = {"segment": to.segment, "byte_offset": to.offset, "sequence": to.sequence}
        if after == START:
            first = postgresql.insert(JournalPosition).values(edge=edge, **new)
            moved = session.execute(first.on_conflict_do_nothing().returning(JournalPosition.edge))
        else:
            moved = session.execute(
                update(JournalPosition)
                .where(
                    JournalPosition.edge == edge,
                    JournalPosition.segment == after.segment,
                    JournalPosition.byte_offset == after.offset,
                )
                .values(**new)
                .returning(JournalPosition.edge)
            )
        if moved.one_or_none() is None:
            raise Moved(edge)
        for loss in batch.losses:
            session.execute(
                insert(JournalLoss).values(
                    edge=edge,
                    number=loss.number,
                    start_offset=loss.start,
                    end_offset=loss.end,
                    damage=loss.damage,
                    records=loss.records,
                    at=clock.now(),
                )
            )

    def _prepare_days(self, rows: Sequence[Row]) -> None:
        """Make the days' partitions. Without one its clicks wait in the default partition."""
        days = {clickid.day(row.number): row.number for row in rows}
        for day in sorted({clickid.at(one).date() for one in days.values()} - self._memory.days):
            try:
                with db.write() as session:
                    housekeeping.ensure_partition(session, day=day)
            except OperationalError:
                continue  # the default partition is being read at length; or worse, as will be seen
            self._memory.days.add(day)

    @contextmanager
    def _translated(self) -> Generator[None]:
        """Say what a database error means for a batch. Nothing remembered outlives it."""
        try:
            yield
        except (DataError, IntegrityError) as problem:
            self._memory = Memory()
            raise Refused(str(problem.orig)[:500]) from problem
        except DBAPIError as problem:
            self._memory = Memory()
            raise Away(str(problem.orig)[:500]) from problem


def position_of(session: Session, *, edge: str) -> Position:
    """How far an edge's journal is kept."""
    row = session.scalar(select(JournalPosition).where(JournalPosition.edge == edge))
    return START if row is None else Position(row.segment, row.byte_offset, row.sequence)
