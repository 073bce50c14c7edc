"""What an edge is plugged into over NATS (see `wiring`). Imported where NATS_URL is set."""

import threading
from collections.abc import Callable
from dataclasses import dataclass

from flowlink.kernel import settings
from flowlink.kernel.nats import Hub
from flowlink.tracking.nats_books import NatsBooks
from flowlink.tracking.nats_keeper import NatsKeeper
from flowlink.tracking.nats_postbacks import Acceptance
from flowlink.tracking.nats_source import NatsSource
from flowlink.tracking.nats_store import NatsStore


@dataclass(slots=True)
class _Process:
    """This process's connection, made when it is first needed: never one of before a fork."""

    hub: Hub | None = None


_process = _Process()
_making = threading.Lock()


def hub() -> Hub:
    """The one connection of this process."""
    with _making:
        if _process.hub is None:
            _process.hub = Hub(settings.current(), name="flowlink", echo=False)
        return _process.hub


def close() -> None:
    """Leave NATS, if this process ever was there."""
    with _making:
        made, _process.hub = _process.hub, None
    if made is not None:
        made.close()


def new_keeper() -> NatsKeeper:
    """Who keeps the link table, with a source of its own."""
    return NatsKeeper(NatsSource(hub()))


def new_store() -> Callable[[], NatsStore]:
    """What makes a store for each journal that is shipped."""
    way = hub()
    return lambda: NatsStore(way)


def new_acceptance() -> Acceptance:
    """Who takes an edge's postbacks."""
    return Acceptance(NatsSource(hub()))


def books() -> NatsBooks:
    """Who knows how far journals are kept."""
    return NatsBooks(hub())
