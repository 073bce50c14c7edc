"""The journals of a machine, seen together: shipped on threads, surveyed, brought in to the last.

What is behind a journal's position waits; the database says what the position is.
"""

import socket
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any, Protocol

from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.exc import SQLAlchemyError

from flowlink.kernel import clock, db
from flowlink.tracking import journal_contents, segment as files, shipper
from flowlink.tracking.click_store import position_of
from flowlink.tracking.journal_models import EdgeState
from flowlink.tracking.journal_reader import Replaced
from flowlink.tracking.segment import Position, Taken
from flowlink.tracking.shipper import Away, Backlog, Pace, Shipper, Store

_POLL_S = 0.005
_TELL_S = 5.0
_NOTHING = Backlog(0, 0, None)

NewStore = Callable[[], Store]


@dataclass(frozen=True, slots=True)
class Standing:
    """How one journal stands: what waits, since when, and why its shipper cannot go on, if so."""

    directory: Path
    edge: str
    backlog: Backlog
    error: str = ""

    @property
    def oldest_at(self) -> datetime | None:
        """When the first record that waits was made."""
        oldest = self.backlog.oldest
        return None if oldest is None else journal_contents.moment(oldest)

    def values(self) -> dict[str, Any]:
        """What the table of edges says of it."""
        return {
            "host": socket.gethostname(),
            "directory": str(self.directory),
            "backlog_bytes": self.backlog.size_bytes,
            "backlog_records": self.backlog.records,
            "oldest_at": self.oldest_at,
            "error": self.error,
        }


class Books(Protocol):
    """Who knows how far journals are kept, and keeps how they stand.

    One that is away says so by `Away`, the database by an error of its own.
    """

    def position(self, *, edge: str) -> Position:
        """How far this journal is kept."""

    def tell(self, standings: Sequence[Standing], *, now: datetime) -> None:
        """Write down how journals stand, for whoever looks from another machine."""


class DatabaseBooks:
    """PostgreSQL."""

    def position(self, *, edge: str) -> Position:
        with db.read() as session:
            return position_of(session, edge=edge)

    def tell(self, standings: Sequence[Standing], *, now: datetime) -> None:
        for one in standings:
            keep_state(edge=one.edge, values=one.values(), now=now)


class Shipping:
    """Ships from its making to its `close`."""

    def __init__(self, root: Path, *, new_store: NewStore, pace: Pace | None = None) -> None:
        self._root = root
        self._stop = threading.Event()
        self._thread = threading.Thread(
            target=run,
            args=(root,),
            kwargs={"new_store": new_store, "stop": self._stop, "pace": pace},
            name="shipping",
            daemon=True,
        )
        self._thread.start()

    def close(self, *, patience_s: float) -> None:
        """Stop, after waiting a while for what still is on its way."""
        deadline = time.monotonic() + patience_s
        with suppress(SQLAlchemyError):
            while time.monotonic() < deadline and _waiting(self._root):
                time.sleep(_POLL_S)
        self._stop.set()
        self._thread.join()


def run(
    root: Path,
    *,
    new_store: NewStore,
    stop: threading.Event,
    books: Books | None = None,
    pace: Pace | None = None,
) -> None:
    """Ship all journals until `stop`, and tell now and then how they stand."""
    keeper = books or DatabaseBooks()
    arguments = {"new_store": new_store, "stop": stop, "pace": pace}
    thread = threading.Thread(target=shipper.ship, args=(root,), kwargs=arguments, name="ship")
    thread.start()
    while not stop.wait(_TELL_S):
        with suppress(Away, SQLAlchemyError, OSError):
            keeper.tell(survey(root, books=keeper), now=clock.now())
    thread.join()


def keep_state(*, edge: str, values: Mapping[str, Any], now: datetime) -> None:
    """Write down how one journal stands: columns of the table of edges."""
    new = {**values, "seen_at": now}
    first = insert(EdgeState).values(edge=edge, **new)
    with db.write() as session:
        session.execute(first.on_conflict_do_update(index_elements=["edge"], set_=new))


def survey(root: Path, *, books: Books | None = None) -> list[Standing]:
    """Every journal below `root`, as the books know it."""
    keeper = books or DatabaseBooks()
    return [_standing(directory, keeper) for directory in files.directories(root)]


def flush(root: Path, *, new_store: NewStore, patience_s: float) -> int:
    """Bring in what waits in all journals, also those that others ship; returns what still waits.

    :raises Away: the store is.
    """
    deadline = time.monotonic() + patience_s
    while True:
        standing = [one for one in survey(root) if one.backlog.records]
        if not standing or time.monotonic() > deadline:
            return sum(one.backlog.records for one in standing)
        for one in standing:
            with suppress(Taken, Replaced), files.held(one.directory / shipper.LOCK):
                own = Shipper(one.directory, store=new_store())
                while own.step():
                    pass
                own.close()
        time.sleep(_POLL_S)


def _waiting(root: Path) -> bool:
    return any(one.backlog.records and not one.error for one in survey(root))


def _standing(directory: Path, books: Books) -> Standing:
    """One journal. Its shipper is at it: a segment that goes under our eyes is looked for anew."""
    edge = files.edge_of(directory)
    for last in (False, False, True):
        position = books.position(edge=edge)
        try:
            return Standing(directory, edge, shipper.backlog(directory, position=position))
        except (Replaced, FileNotFoundError) as problem:
            if last:
                return Standing(directory, edge, _NOTHING, str(problem))
    raise AssertionError("the last attempt returns")
