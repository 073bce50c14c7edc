"""Ending asyncio tasks for certain. (For what is asynchronous: the edge, NATS.)"""

import asyncio
from collections.abc import Collection
from contextlib import suppress
from typing import Any

_AGAIN_S = 1.0

Tasks = Collection["asyncio.Task[Any]"]


async def end(tasks: Tasks) -> None:
    """Cancel tasks and return when they have ended; an error that one ended with is raised."""
    await _cancel(tasks)
    for task in tasks:
        with suppress(asyncio.CancelledError):
            task.result()


async def end_others() -> None:
    """Let everything else in this loop come to its end, whichever it is."""
    others = asyncio.all_tasks() - {asyncio.current_task()}
    await _cancel(others)
    for task in others:
        if not task.cancelled():
            task.exception()  # nobody is left to hear of it


async def _cancel(tasks: Tasks) -> None:
    """One word is not enough: before Python 3.12 `asyncio.wait_for`, which drivers use as well,
    loses a cancellation that arrives together with what it waited for (python/cpython#86296).
    """
    running = {task for task in tasks if not task.done()}
    while running:
        for task in running:
            task.cancel()
        _, running = await asyncio.wait(running, timeout=_AGAIN_S)
