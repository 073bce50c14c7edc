"""Ending tasks: however they take it, they have ended afterwards."""

import asyncio

import pytest

from flowlink.kernel import tasks


def test_a_task_that_lost_its_cancellation_is_told_again() -> None:
    told = 0

    async def deaf() -> None:
        nonlocal told
        while True:
            try:
                await asyncio.sleep(60)
            except asyncio.CancelledError:
                told += 1
                if told > 1:
                    raise

    async def play() -> bool:
        task = asyncio.create_task(deaf())
        await asyncio.sleep(0)
        await tasks.end([task])
        return task.cancelled()

    assert asyncio.run(play())
    assert told == 2


def test_what_a_task_died_of_is_raised_and_that_of_others_is_not() -> None:
    async def broken() -> None:
        raise ValueError("broken")

    async def play() -> None:
        ended = asyncio.create_task(asyncio.sleep(0))
        asyncio.create_task(broken())  # noqa: RUF006
        await asyncio.sleep(0)
        await tasks.end_others()
        await tasks.end([ended])
        failing = asyncio.create_task(broken())
        await asyncio.sleep(0)
        with pytest.raises(ValueError, match="broken"):
            await tasks.end([ended, failing])

    asyncio.run(play())
