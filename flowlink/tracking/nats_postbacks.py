"""Postbacks at an edge without a database: into its journal, and answered once they are on disk
(spec 3: `accepted`). A consumer stores them, and they are read as any other.

Who may speak is asked of consumers and remembered for a minute, so that a wrong key gets its 401
and a stranger cannot fill the disk. While nobody can say, whoever spoke rightly before still may.
(Part of the edge: async.)
"""

import asyncio
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Protocol

from flowlink.kernel import clock
from flowlink.tracking import claims, edge_postbacks, postback_record, senders
from flowlink.tracking.edge_postbacks import Answer
from flowlink.tracking.intake import Unavailable
from flowlink.tracking.journal import JournalFailed
from flowlink.tracking.link_source import SourceAway
from flowlink.tracking.models import Result
from flowlink.tracking.postbacks import PostbackIn, PostbackResult, Taken
from flowlink.tracking.senders import Asked
from flowlink.tracking.strangers import Strangers

ACCEPTED: Answer = 200, {"result": "accepted"}
_FRESH_S = 60.0
_REMEMBERED = 10_000
_ASKS_MAX = 16
_AGAIN_S = 5.0

Append = Callable[[bytes], "Awaitable[None] | None"]


@dataclass(frozen=True, slots=True)
class Verdict:
    """Why somebody may not speak, and whether we know them: they have shown a key of ours."""

    refusal: str | None
    known: bool


_NOBODY_CAN_SAY = Verdict(None, known=False)


class Judge(Protocol):
    """Whom to ask who may speak (`nats_source.NatsSource`)."""

    async def refusal(self, asked: Asked) -> str | None:
        """Why not; None if they may. :raises SourceAway: nobody can say."""


class Acceptance:
    """Takes the postbacks of one edge. Bound to the event loop in which it is used."""

    def __init__(self, source: Judge) -> None:
        self._source = source
        self._strangers = Strangers()
        self._verdicts: dict[Asked, tuple[float, Verdict]] = {}
        self._asking: dict[Asked, asyncio.Task[str | None]] = {}
        self._away_until = float("-inf")

    async def take(self, request: PostbackIn, *, append: Append) -> Answer:
        """Keep a postback by `append`, and say so; or say at once why it is going to be refused.

        :raises Unavailable: it cannot be kept, or nobody can say who sends so many.
        """
        now = clock.now()
        fields = claims.fields_of(request.query, request.content_type, request.body)
        verdict = await self._verdict(senders.asked(fields, request.address))
        if verdict.known or self._strangers.admit(request.address, now=now):
            await _kept(append, postback_record.pack(Taken(request, now)))
        elif verdict is _NOBODY_CAN_SAY:
            raise Unavailable
        return ACCEPTED if verdict.refusal is None else _refused(verdict.refusal)

    async def _verdict(self, asked: Asked) -> Verdict:
        said_at, verdict = self._verdicts.get(asked, (float("-inf"), _NOBODY_CAN_SAY))
        if time.monotonic() - said_at < _FRESH_S:
            return verdict
        try:
            refusal = await self._asked(asked)
        except SourceAway:
            return verdict if verdict.refusal is None else _NOBODY_CAN_SAY
        verdict = Verdict(refusal, known=refusal not in senders.STRANGE)
        if len(self._verdicts) >= _REMEMBERED:
            self._verdicts.clear()
        self._verdicts[asked] = time.monotonic(), verdict
        return verdict

    async def _asked(self, asked: Asked) -> str | None:
        """What a consumer says of a sender: one question, however many postbacks wait for it."""
        if asked not in self._asking:
            if len(self._asking) >= _ASKS_MAX or time.monotonic() < self._away_until:
                raise SourceAway("asked too much, or in vain a moment ago")
            asking = asyncio.create_task(self._source.refusal(asked))
            self._asking[asked] = asking
            asking.add_done_callback(lambda done: self._said(asked, done))
        return await asyncio.shield(self._asking[asked])

    def _said(self, asked: Asked, done: "asyncio.Task[str | None]") -> None:
        del self._asking[asked]
        if not done.cancelled() and done.exception() is not None:
            self._away_until = time.monotonic() + _AGAIN_S


async def _kept(append: Append, record: bytes) -> None:
    landing = append(record)
    if landing is None:
        raise Unavailable
    try:
        await landing
    except JournalFailed:
        raise Unavailable from None


def _refused(reason: str) -> Answer:
    result = PostbackResult(Result.REJECTED, reason)
    return edge_postbacks.status_of(result), result.answer()
