"""Natural group commit for postbacks: a batch starts when the one before it is on disk.

Requests of a batch are kept and understood in one transaction, then answered, while the next one
is under way. Should it fail, each is kept first and understood by itself, so that one bad postback
spoils only its own answer. Who finds many waiting waits, too: nobody is turned away unless the
database is. (Part of the edge: async; the work itself is done by one thread.)
"""

import asyncio
from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor

from sqlalchemy.exc import OperationalError

from flowlink.kernel import clock, db, logs
from flowlink.tracking import postbacks
from flowlink.tracking.postbacks import PostbackIn, PostbackResult
from flowlink.tracking.strangers import Strangers

BATCH = 500
WAITING_MAX = 2_000

Outcome = PostbackResult | BaseException
Reply = Callable[[Outcome], None]
Batch = deque[tuple[PostbackIn, Reply]]
Work = asyncio.Future[list[PostbackResult]]


class Unavailable(Exception):
    """The postback could not be stored: its network has to send it again."""


class Intake:
    """Takes the postbacks of one process. Bound to the event loop that it was made in."""

    def __init__(self) -> None:
        self.loop = asyncio.get_running_loop()
        self._places = asyncio.Semaphore(WAITING_MAX)
        self._waiting: Batch = deque()
        self._worker: asyncio.Task[None] | None = None
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="postbacks")
        self._strangers = Strangers()

    @property
    def has_room(self) -> bool:
        """Whether one more can be submitted; if not, `take` waits for its turn."""
        return len(self._waiting) < WAITING_MAX and not self._places.locked()

    async def take(self, request: PostbackIn) -> PostbackResult:
        """Store a postback and what it does; returns once that is on disk.

        :raises Unavailable: the database is away.
        """
        async with self._places:
            answer: asyncio.Future[PostbackResult] = self.loop.create_future()
            self.submit(request, lambda outcome: _resolve(answer, outcome))
            return await answer

    def submit(self, request: PostbackIn, reply: Reply) -> None:
        """The same without waiting: `reply` is called with the result or the error, in the loop."""
        self._waiting.append((request, reply))
        if self._worker is None:
            self._worker = self.loop.create_task(self._work())

    async def close(self) -> None:
        """Finish what waits."""
        while self._worker is not None:
            await asyncio.wait([self._worker])
        self.abandon()

    def abandon(self) -> None:
        """End the thread, from wherever."""
        self._thread.shutdown(wait=True)

    async def _work(self) -> None:
        """One batch after the other; each is answered while the next one is being stored."""
        settled: Batch = deque()
        batch: Batch = deque()
        try:
            batch, work = self._begin()
            while work is not None:
                await asyncio.wait([work])
                settled, done = batch, work
                batch, work = self._begin()
                await self._answer(settled, done)
        finally:
            self._worker = None
            # Only a bug of ours, or the end of the loop, leaves people waiting: not for ever.
            for _, reply in (*settled, *batch, *self._waiting):
                reply(Unavailable())

    def _begin(self) -> tuple[Batch, Work | None]:
        """Give what waits to the thread."""
        waiting = self._waiting
        batch = deque(waiting.popleft() for _ in range(min(len(waiting), BATCH)))
        if not batch:
            return batch, None
        requests = [request for request, _ in batch]
        return batch, self.loop.run_in_executor(self._thread, self._together, requests)

    async def _answer(self, batch: Batch, work: Work) -> None:
        """Answer everybody in the batch, and strike them off it."""
        failure = work.exception()
        if failure is None:
            for result in work.result():
                _, reply = batch.popleft()
                reply(result)
            assert not batch, "each has its result"
        elif isinstance(failure, OperationalError):
            logs.get().warning("postbacks refused", count=len(batch), error=str(failure)[:200])
            while batch:
                batch.popleft()[1](Unavailable())
        else:
            logs.get().error("postbacks failed", count=len(batch), error=str(failure)[:200])
            while batch:
                await self._settle_alone(*batch.popleft())

    async def _settle_alone(self, request: PostbackIn, reply: Reply) -> None:
        work = self.loop.run_in_executor(self._thread, alone, request)
        await asyncio.wait([work])
        failure = work.exception()
        if failure is None:
            reply(work.result())
        else:
            reply(Unavailable() if isinstance(failure, OperationalError) else failure)

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


def _resolve(answer: "asyncio.Future[PostbackResult]", outcome: Outcome) -> None:
    if answer.done():
        return  # whoever asked has left
    if isinstance(outcome, BaseException):
        answer.set_exception(outcome)
    else:
        answer.set_result(outcome)
