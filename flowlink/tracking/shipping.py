"""The journals of a machine, seen together: shipped on threads, surveyed, brought in to the last.

What is behind a journal's position waits; the database says what the position is.
"""

import socket
import threading
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.exc import SQLAlchemyError

from flowlink.kernel import clock, db
from flowlink.tracking import click_record, segment as files, shipper
from flowlink.tracking.click_record import Unreadable
from flowlink.tracking.click_store import position_of
from flowlink.tracking.journal_models import EdgeState
from flowlink.tracking.journal_reader import Replaced
from flowlink.tracking.segment import Taken
from flowlink.tracking.shipper import Backlog, Pace, Shipper, Store

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
        """When the first click that waits was made."""
        if self.backlog.oldest is None:
            return None
        with suppress(Unreadable):
            return click_record.moment(self.backlog.oldest)
        return None


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
    root: Path, *, new_store: NewStore, stop: threading.Event, pace: Pace | None = None
) -> None:
    """Ship all journals until `stop`, and tell the database now and then how they stand."""
    arguments = {"new_store": new_store, "stop": stop, "pace": pace}
    thread = threading.Thread(target=shipper.ship, args=(root,), kwargs=arguments, name="ship")
    thread.start()
    while not stop.wait(_TELL_S):
        with suppress(SQLAlchemyError, OSError):
            tell(survey(root), now=clock.now())
    thread.join()


def tell(standings: Sequence[Standing], *, now: datetime) -> None:
    """Write down how journals stand, for whoever looks from another machine."""
    for one in standings:
        values = {
            "host": socket.gethostname(),
            "directory": str(one.directory),
            "backlog_bytes": one.backlog.size_bytes,
            "backlog_records": one.backlog.records,
            "oldest_at": one.oldest_at,
            "error": one.error,
            "seen_at": now,
        }
        first = insert(EdgeState).values(edge=one.edge, **values)
        with db.write() as session:
            session.execute(first.on_conflict_do_update(index_elements=["edge"], set_=values))


def survey(root: Path) -> list[Standing]:
    """Every journal below `root`, as the database knows it."""
    return [_standing(directory) for directory in files.directories(root)]


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


def _standing(directory: Path) -> Standing:
    """One journal. Its shipper is at it: a segment that goes under our eyes is looked for anew."""
    edge = files.edge_of(directory)
    for last in (False, False, True):
        with db.read() as session:
            position = position_of(session, edge=edge)
        try:
            return Standing(directory, edge, shipper.backlog(directory, position=position))
        except (Replaced, FileNotFoundError) as problem:
            if last:
                return Standing(directory, edge, _NOTHING, str(problem))
    raise AssertionError("the last attempt returns")
