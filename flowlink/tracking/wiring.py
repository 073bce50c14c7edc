"""What an edge is plugged into: the one place that says where links come from and clicks go.

Everything else of the edge knows the protocols alone (`link_source.Source`, `shipper.Store`).
"""

from collections.abc import Callable
from pathlib import Path

from flowlink.kernel import settings
from flowlink.tracking.click_store import ClickStore
from flowlink.tracking.journal_writer import Bounds
from flowlink.tracking.link_source import DatabaseSource, Source
from flowlink.tracking.recorder import Recorder
from flowlink.tracking.shipper import Store

_MEGABYTE = 1024 * 1024


def new_source() -> Source:
    """Where the link table comes from."""
    return DatabaseSource()


def new_recorder() -> Recorder:
    """Where clicks go while there is no journal."""
    return Recorder()


def new_store() -> Callable[[], Store]:
    """What makes a store for each journal that is shipped."""
    return ClickStore


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
