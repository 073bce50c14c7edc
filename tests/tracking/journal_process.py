"""A process that writes a journal until it is killed."""

import asyncio
import os
from multiprocessing.connection import Connection
from pathlib import Path

from flowlink.tracking.journal import Journal
from flowlink.tracking.journal_writer import Bounds


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
