"""The consumers' answers to edges without a database: codes that an edge does not know, and what it
has to have written down. Any consumer answers, on the hub's threads.
"""

import threading
from collections.abc import Callable
from contextlib import suppress

from sqlalchemy.exc import SQLAlchemyError

from flowlink.kernel import clock, db, logs
from flowlink.kernel.nats import Hub, Unreachable
from flowlink.tracking import nats_asks as asks, senders, shipping
from flowlink.tracking.link_source import DatabaseSource, SourceAway
from flowlink.tracking.nats_feed import Loop

_GROUP = "flowlink-consumers"
_RETRY_S = 3.0

log = logs.get("flowlink.consumer")


class Desk:
    """Answers while `serve` runs."""

    def __init__(self, hub: Hub, loop: Loop) -> None:
        self._hub = hub
        self._loop = loop
        self._source = DatabaseSource()
        self._answering = threading.Lock()
        self._closed = False
        self._replies: dict[str, Callable[[bytes], bytes]] = {
            asks.NAMED: self._named,
            asks.SENDER: self._sender,
            asks.MISSES: self._misses,
            asks.UNRECORDED: self._unrecorded,
            asks.STANDINGS: self._standings,
        }

    def serve(self, stop: threading.Event) -> None:
        """Answer until `stop`."""
        while not stop.is_set():
            try:
                self._hub.answer(asks.ANY, group=_GROUP, reply=self.reply)
            except Unreachable:
                stop.wait(_RETRY_S)
            else:
                stop.wait()

    def reply(self, subject: str, data: bytes) -> bytes:
        """The answer to one question; an empty one while the database is away."""
        answer = self._replies.get(subject)
        try:
            with self._answering:
                return b"" if answer is None or self._closed else answer(data)
        except (SourceAway, SQLAlchemyError) as error:
            log.warning("no answer", to=subject, error=str(error)[:200])
        except (ValueError, TypeError, KeyError) as error:
            log.warning("no question", to=subject, error=str(error)[:200])
        return b""

    def close(self) -> None:
        """Answer no more, and leave the database."""
        with suppress(Unreachable):
            self._hub.hush(asks.ANY)
        with self._answering, suppress(SourceAway):
            self._closed = True
            self._loop.run(self._source.close())

    def _named(self, data: bytes) -> bytes:
        return asks.pack_links(self._loop.run(self._source.named(asks.read_names(data))))

    def _sender(self, data: bytes) -> bytes:
        asked = asks.read_sender(data)
        with db.read() as session:
            verdict = senders.judge(session, [asked], now=clock.now())[asked]
            return asks.pack_refusal(verdict.refusal)

    def _misses(self, data: bytes) -> bytes:
        self._loop.run(self._source.count_misses(asks.read_misses(data)))
        return asks.DONE

    def _unrecorded(self, data: bytes) -> bytes:
        day, edge, count, at = asks.read_unrecorded(data)
        self._loop.run(self._source.count_unrecorded(day=day, edge=edge, count=count, at=at))
        return asks.DONE

    def _standings(self, data: bytes) -> bytes:
        for edge, values in asks.read_standings(data):
            shipping.keep_state(edge=edge, values=values, now=clock.now())
        return asks.DONE
