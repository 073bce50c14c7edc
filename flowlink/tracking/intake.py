"""Natural group commit for postbacks: a batch starts when the one before it is on disk.

Requests of a batch are kept and understood in one transaction, then answered. Should it fail, each
is kept first and understood by itself, so that one bad postback spoils only its own answer. Who
finds many waiting waits, too: nobody is turned away unless the database is. (Part of the edge:
async; the work itself is done by one thread.)
"""

import asyncio
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor

from sqlalchemy.exc import OperationalError

from flowlink.kernel import clock, db, logs
from flowlink.tracking import postbacks
from flowlink.tracking.postbacks import PostbackIn, PostbackResult
from flowlink.tracking.strangers import Strangers

BATCH = 500
WAITING_MAX = 2_000

Waiting = tuple[PostbackIn, asyncio.Future[PostbackResult]]


class Unavailable(Exception):
    """The postback could not be stored: its network has to send it again."""


class Intake:
    """Takes the postbacks of one process. Bound to the event loop that it was made in."""

    def __init__(self) -> None:
        self.loop = asyncio.get_running_loop()
        self._places = asyncio.Semaphore(WAITING_MAX)
        self._waiting: list[Waiting] = []
        self._worker: asyncio.Task[None] | None = None
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="postbacks")
        self._strangers = Strangers()

    async def take(self, request: PostbackIn) -> PostbackResult:
        """Store a postback and what it does; returns once that is on disk.

        :raises Unavailable: the database is away.
        """
        async with self._places:
            answer: asyncio.Future[PostbackResult] = self.loop.create_future()
            self._waiting.append((request, answer))
            if self._worker is None:
                self._worker = self.loop.create_task(self._work())
            return await answer

    async def close(self) -> None:
        """Finish what waits."""
        while self._worker is not None:
            await asyncio.wait([self._worker])
        self.abandon()

    def abandon(self) -> None:
        """End the thread, from wherever."""
        self._thread.shutdown(wait=True)

    async def _work(self) -> None:
        batch: list[Waiting] = []
        try:
            while self._waiting:
                batch, self._waiting = self._waiting[:BATCH], self._waiting[BATCH:]
                await self._settle(batch)
        finally:
            self._worker = None
            # Only a bug of ours, or the end of the loop, leaves people waiting: not for ever.
            for _, answer in (*batch, *self._waiting):
                _refuse(answer)

    async def _settle(self, batch: Sequence[Waiting]) -> None:
        """Answer everybody in the batch."""
        work = self.loop.run_in_executor(self._thread, self._together, [one for one, _ in batch])
        await asyncio.wait([work])
        failure = work.exception()
        if failure is None:
            for (_, answer), result in zip(batch, work.result(), strict=True):
                if not answer.done():
                    answer.set_result(result)
        elif isinstance(failure, OperationalError):
            logs.get().warning("postbacks refused", count=len(batch), error=str(failure)[:200])
            for _, answer in batch:
                _refuse(answer)
        else:
            logs.get().error("postbacks failed", count=len(batch), error=str(failure)[:200])
            for one in batch:
                await self._settle_alone(*one)

    async def _settle_alone(
        self, request: PostbackIn, answer: asyncio.Future[PostbackResult]
    ) -> None:
        work = self.loop.run_in_executor(self._thread, alone, request)
        await asyncio.wait([work])
        failure = work.exception()
        if answer.done():
            return
        if failure is None:
            answer.set_result(work.result())
        elif isinstance(failure, OperationalError):
            _refuse(answer)
        else:
            answer.set_exception(failure)

    def _together(self, requests: Sequence[PostbackIn]) -> list[PostbackResult]:
        now = clock.now()
        with db.write() as session:
            return postbacks.receive_all(
                session,
                requests=requests,
                now=now,
                keep_stranger=lambda address: self._strangers.admit(address, now=now),
            )


def alone(request: PostbackIn) -> PostbackResult:
    """Keep the postback, then understand it; what fails in the second step is not lost."""
    now = clock.now()
    with db.write() as session:
        kept = postbacks.keep(session, request=request, now=now)
    with db.write() as session:
        return postbacks.process(session, postback_id=kept, now=now)


def _refuse(answer: asyncio.Future[PostbackResult]) -> None:
    if not answer.done():
        answer.set_exception(Unavailable())
