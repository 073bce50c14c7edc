"""Processes of a fleet over NATS, that run until they are killed."""

import threading
from pathlib import Path

from flowlink.kernel import db, settings
from flowlink.kernel.nats import Hub
from flowlink.kernel.settings import Settings
from flowlink.tracking import nats_consumer, shipper
from flowlink.tracking.click_store import ClickStore
from flowlink.tracking.nats_consumer import Consumer
from flowlink.tracking.nats_store import NatsStore, Window

SHIPPING = shipper.Pace(beat_s=0.002, records_max=200, look_s=0.1, retry_s=0.05, retry_s_max=0.5)
WINDOW = Window(bytes_max=256 * 1024, stall_s=0.5, patience_s=5.0)
STORING = nats_consumer.Pace(wait_s=0.5, again_s=1.0, retry_s=0.1, retry_s_max=0.5)


def hub(urls: tuple[str, ...], *, name: str, replicas: int = 1, echo: bool = True) -> Hub:
    """A connection to servers of a test."""
    return Hub(Settings(nats_url=urls, nats_replicas=replicas), name=name, echo=echo)


def ship_over_nats(root: Path, urls: tuple[str, ...]) -> None:
    """The life of an edge's shipper: it knows no database."""
    settings.use(Settings())
    connection = hub(urls, name="edge")
    shipper.ship(
        root,
        new_store=lambda: NatsStore(connection, window=WINDOW),
        stop=threading.Event(),
        pace=SHIPPING,
    )


def consume(urls: tuple[str, ...], url: str, replicas: int) -> None:
    """The life of a consumer."""
    settings.use(Settings())
    db.connect(url, pool_size=10)
    connection = hub(urls, name="consumer", replicas=replicas)
    Consumer(connection, new_store=ClickStore, pace=STORING).run(threading.Event())
