"""Processes that write and ship journals until they are killed."""

import asyncio
import os
import threading
from multiprocessing.connection import Connection
from pathlib import Path

from flowlink.kernel import db, settings
from flowlink.kernel.settings import Settings
from flowlink.tracking.click_store import ClickStore
from flowlink.tracking.journal import Journal
from flowlink.tracking.journal_writer import Bounds
from flowlink.tracking.shipper import Pace, Shipper


def write_for_ever(root: Path, first: int, acknowledged: Connection) -> None:
    """The life of an edge process: number after number, each reported once it is on disk."""
    bounds = Bounds(segment_bytes=256 * 1024, batch_bytes_max=64 * 1024, free_bytes_min=0)
    asyncio.run(_write_for_ever(root, bounds, first, acknowledged))


async def _write_for_ever(root: Path, bounds: Bounds, first: int, acknowledged: Connection) -> None:
    journal = await Journal.open(root, bounds=bounds)
    numbers = iter(range(first, 1 << 62))

    async def client() -> None:
        for number in numbers:
            await journal.append(number.to_bytes(8) + os.urandom(number % 400))
            acknowledged.send_bytes(number.to_bytes(8))

    async with asyncio.TaskGroup() as clients:
        for _ in range(64):
            clients.create_task(client())


def ship_for_ever(directory: Path, url: str) -> None:
    """The life of a shipper."""
    settings.use(Settings())
    db.connect(url)
    pace = Pace(beat_s=0.002, records_max=200)
    Shipper(directory, store=ClickStore(), pace=pace).run(threading.Event())
