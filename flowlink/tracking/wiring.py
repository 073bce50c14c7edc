"""What an edge is plugged into: the one place that says where links come from and clicks go.

Everything else of the edge knows the protocols alone (`link_keeper.Keeper`, `shipper.Store`,
`shipping.Books`). A process that has a database goes straight to it; one that has none, and knows
NATS, goes over that.
"""

from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

from flowlink.kernel import db, settings
from flowlink.tracking.click_store import ClickStore
from flowlink.tracking.journal_writer import Bounds
from flowlink.tracking.link_keeper import Keeper, LinkKeeper
from flowlink.tracking.link_source import DatabaseSource
from flowlink.tracking.recorder import NoRecorder, Recorder
from flowlink.tracking.shipper import Store
from flowlink.tracking.shipping import Books, DatabaseBooks

_MEGABYTE = 1024 * 1024


def over_nats() -> bool:
    """Whether this process goes over NATS."""
    return bool(settings.current().nats_url) and not db.is_connected()


def new_keeper() -> Keeper:
    """Who keeps the link table, with a source of its own."""
    return _nats().new_keeper() if over_nats() else LinkKeeper(DatabaseSource())


def new_recorder() -> Recorder | NoRecorder:
    """Where clicks go while there is no journal."""
    return NoRecorder() if over_nats() else Recorder()


def new_store() -> Callable[[], Store]:
    """What makes a store for each journal that is shipped."""
    return _nats().new_store() if over_nats() else ClickStore


def new_acceptance() -> Any:
    """Who takes an edge's postbacks over NATS (`nats_postbacks.Acceptance`)."""
    return _nats().new_acceptance()


def books() -> Books:
    """Who knows how far journals are kept."""
    return _nats().books() if over_nats() else DatabaseBooks()


def close() -> None:
    """Leave NATS, if this process goes over it."""
    if over_nats():
        _nats().close()


def journals() -> Path:
    """The directory of all journals of this machine."""
    chosen = settings.current()
    return Path(chosen.clicks_journal) if chosen.clicks_journal else chosen.data_dir / "journal"


def bounds() -> Bounds:
    """How much a journal may take."""
    chosen = settings.current()
    return Bounds(
        segment_bytes=chosen.clicks_journal_segment_mb * _MEGABYTE,
        backlog_bytes_max=chosen.clicks_journal_max_mb * _MEGABYTE,
        free_bytes_min=chosen.clicks_journal_free_mb * _MEGABYTE,
    )


def _nats() -> ModuleType:
    from flowlink.tracking import nats_wiring  # noqa: PLC0415  # with a library that few need

    return nats_wiring
