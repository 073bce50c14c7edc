"""The connection to NATS, for callers that are not asynchronous. Imported where NATS_URL is set.

One connection a process, on a loop in a thread of its own. It is made with the first call, and made
again for as long as the process lives. A call fails at once while there is none: nothing waits in
memory for a server to come back. The client library is named here and nowhere else.
"""

import asyncio
import json
import ssl
import threading
from collections.abc import Callable, Coroutine
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import suppress
from typing import Any, TypeVar

import nats
from nats.aio.client import Client
from nats.aio.msg import Msg
from nats.aio.subscription import Subscription
from nats.errors import Error, NoRespondersError, TimeoutError as NatsTimeout
from nats.js.api import (
    AckPolicy,
    ConsumerConfig,
)
from nats.js.errors import NotFoundError

from flowlink.kernel import logs, tasks
from flowlink.kernel.nats_streams import Message, Standing, Stream
from flowlink.kernel.settings import Settings

CONNECT_S = 3.0
CALL_S = 5.0
_PING_S = 5
_RECONNECT_S = 0.2
_ANSWERERS = 4
_SPARE_S = 2.0  # how much longer a caller waits than the call may take

_T = TypeVar("_T")
Hear = Callable[[Msg], Coroutine[Any, Any, None]]


class Unreachable(Exception):
    """NATS cannot be reached, does not answer, or refuses. What was sent may have arrived."""


class Hub:
    """The connection. Any thread may call; `close` ends it."""

    def __init__(self, chosen: Settings, *, name: str, echo: bool = True) -> None:
        """`echo`: whether it hears what it says itself."""
        self._settings = chosen
        self._name = name
        self._echo = echo
        self._client: Client | None = None
        self._loop = asyncio.new_event_loop()
        self._connecting = asyncio.Lock()
        self._wanted: list[tuple[str, str, Hear]] = []
        self._subscriptions: dict[str, Subscription] = {}
        self._answerers = ThreadPoolExecutor(_ANSWERERS, thread_name_prefix="nats-answer")
        self._thread = threading.Thread(target=self._loop.run_forever, name="nats", daemon=True)
        self._thread.start()

    def close(self) -> None:
        """Leave NATS and end the thread."""
        with suppress(Unreachable):
            self._call(self._leave(), CALL_S)
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.run_until_complete(tasks.end_others())
        self._loop.close()
        self._answerers.shutdown(wait=True)

    @property
    def servers(self) -> str:
        """Where it is to be found, without secrets."""
        bare = (url.partition("://")[2] for url in self._settings.nats_url)
        return ", ".join(url.rpartition("@")[2] for url in bare)

    @property
    def message_bytes_max(self) -> int:
        """The largest message that the servers take.

        :raises Unreachable: nobody says.
        """
        return self._call(self._connected(), CONNECT_S).max_payload

    def tell(self, subject: str, data: bytes) -> None:
        """Send to whoever listens now; nobody has to.

        :raises Unreachable: there is no connection.
        """

        async def act() -> None:
            client = await self._connected()
            await client.publish(subject, data)
            await client.flush(timeout=int(CALL_S))

        self._call(act())

    def ask(self, subject: str, data: bytes = b"", *, timeout_s: float = CALL_S) -> bytes:
        """The answer of one who listens.

        :raises Unreachable: nobody does, or there is no connection.
        """
        return self._call(self._ask(subject, data, timeout_s), timeout_s).data

    def is_answered(self, subject: str, *, timeout_s: float) -> bool:
        """Whether anybody answers there. One who listens and does not do so in time counts too.

        :raises Unreachable: there is no connection.
        """

        async def act() -> bool:
            client = await self._connected()
            try:
                await client.request(subject, timeout=timeout_s)
            except NoRespondersError:
                return False
            except NatsTimeout:
                return True
            return True

        return self._call(act(), timeout_s)

    def listen(self, subject: str, hear: Callable[[bytes], object]) -> None:
        """Call `hear`, which must be quick, with all that comes, also after a new connection."""

        async def heard(message: Msg) -> None:
            hear(message.data)

        self._call(self._subscribe(subject, "", heard))

    def answer(self, subject: str, *, group: str, reply: Callable[[str, bytes], bytes]) -> None:
        """Answer questions, together with others of the group; each goes to one of them.

        `reply` gets the question's subject and its words, on a thread of its own.
        """

        async def asked(message: Msg) -> None:
            answer = await self._loop.run_in_executor(
                self._answerers, reply, message.subject, message.data
            )
            with suppress(Error):  # then the question comes again
                await message.respond(answer)

        self._call(self._subscribe(subject, group, asked))

    def hush(self, subject: str) -> None:
        """Listen and answer there no more."""
        self._call(self._unsubscribe(subject))

    def keep(self, subject: str, data: bytes) -> int:
        """Append to the stream of this subject; its number there.

        :raises Unreachable: it is not certain that the stream has it.
        """

        async def act() -> int:
            client = await self._connected()
            return (await client.jetstream(timeout=CALL_S).publish(subject, data)).seq

        return self._call(act())

    def ensure_stream(self, wanted: Stream) -> None:
        """Make the stream, or give it the replicas that are configured now."""
        config = wanted.config(replicas=self._settings.nats_replicas)

        async def act() -> None:
            manager = (await self._connected()).jsm(timeout=CALL_S)
            try:
                found = (await manager.stream_info(wanted.name)).config
            except NotFoundError:
                await manager.add_stream(config)
                return
            if (found.num_replicas, found.max_bytes) != (config.num_replicas, config.max_bytes):
                await manager.update_stream(config)

        self._call(act(), 2 * CALL_S)

    def ensure_lane(self, stream: str, lane: str, *, subjects: str, wait_s: float) -> None:
        """Make a durable consumer that hands out one message at a time, whoever pulls.

        One that is not acknowledged within `wait_s` is handed out again.
        """
        config = ConsumerConfig(
            durable_name=lane,
            filter_subject=subjects,
            ack_policy=AckPolicy.EXPLICIT,
            ack_wait=wait_s,
            max_ack_pending=1,
        )

        async def act() -> None:
            await (await self._connected()).jsm(timeout=CALL_S).add_consumer(stream, config)

        self._call(act())

    def pull(self, stream: str, lane: str, *, wait_s: float) -> Message | None:
        """The lane's next message, once the one before is acknowledged; None after `wait_s`."""
        request = json.dumps({"batch": 1, "expires": int(wait_s * 1e9)}).encode()
        subject = f"$JS.API.CONSUMER.MSG.NEXT.{stream}.{lane}"

        async def act() -> Msg:
            client = await self._connected()
            # The answer bears the subject that it has in the stream, so it needs an inbox alone.
            return await client.request(subject, request, timeout=wait_s + _SPARE_S, old_style=True)

        found = self._call(act(), wait_s + _SPARE_S)
        status = (found.headers or {}).get("Status", "")
        if status in {"404", "408"}:
            return None
        if status:
            raise Unreachable(f"the lane {lane} answers {status}")
        return Message(found.subject, found.data, found.reply)

    def standing(self, stream: str) -> Standing | None:
        """How the stream stands; None when there is none."""

        async def act() -> Standing | None:
            manager = (await self._connected()).jsm(timeout=CALL_S)
            try:
                found = await manager.stream_info(stream)
            except NotFoundError:
                return None
            return Standing.of(found)

        return self._call(act())

    def is_idle(self, stream: str, lane: str) -> bool:
        """Whether the lane has nothing to hand out, and nothing is out."""

        async def act() -> bool:
            manager = (await self._connected()).jsm(timeout=CALL_S)
            info = await manager.consumer_info(stream, lane)
            return not info.num_pending and not info.num_ack_pending

        return self._call(act())

    def last(self, stream: str, subject: str) -> Message | None:
        """The newest message of this subject in the stream."""
        return self._call(self._get(stream, subject=subject))

    def after(self, stream: str, subject: str, sequence: int) -> Message | None:
        """The first message of this subject behind a number."""
        return self._call(self._get(stream, subject=subject, seq=sequence + 1, next=True))

    def purge(self, stream: str, subject: str, *, before: int) -> None:
        """Drop this subject's messages with numbers below `before`."""
        if before <= 1:
            return  # which servers take for everything

        async def act() -> None:
            manager = (await self._connected()).jsm(timeout=CALL_S)
            await manager.purge_stream(stream, seq=before, subject=subject)

        self._call(act())

    def _call(self, work: Coroutine[Any, Any, _T], timeout_s: float = CALL_S) -> _T:
        """Run it on the loop; every failure of NATS is one error."""
        future: Future[_T] = asyncio.run_coroutine_threadsafe(work, self._loop)
        try:
            return future.result(timeout_s + CONNECT_S + _SPARE_S)
        except (Error, OSError, TimeoutError) as problem:
            future.cancel()
            raise Unreachable(str(problem) or type(problem).__name__) from problem

    async def _connected(self) -> Client:
        async with self._connecting:
            if self._client is None or self._client.is_closed:
                client = await self._connect()
                for subject, group, hear in self._wanted:
                    made = await client.subscribe(subject, queue=group, cb=hear)
                    self._subscriptions[subject] = made
                self._client = client
        if not self._client.is_connected:
            raise Unreachable("the connection to NATS is lost")
        return self._client

    async def _connect(self) -> Client:
        chosen = self._settings
        tls = None
        if chosen.nats_ca or any(url.startswith("tls://") for url in chosen.nats_url):
            tls = ssl.create_default_context(cafile=chosen.nats_ca)
        connecting = nats.connect(
            list(chosen.nats_url),
            name=self._name,
            error_cb=_note,
            no_echo=not self._echo,
            connect_timeout=2,
            reconnect_time_wait=_RECONNECT_S,
            max_reconnect_attempts=-1,
            ping_interval=_PING_S,
            max_outstanding_pings=2,
            tls=tls,
            user_credentials=str(chosen.nats_credentials) if chosen.nats_credentials else None,
        )
        try:
            return await asyncio.wait_for(connecting, CONNECT_S)
        except (Error, OSError, TimeoutError) as problem:
            raise Unreachable(f"no NATS server lets us in at {self.servers}") from problem

    async def _ask(self, subject: str, data: bytes, timeout_s: float) -> Msg:
        client = await self._connected()
        try:
            return await client.request(subject, data, timeout=timeout_s)
        except NoRespondersError as nobody:
            raise Unreachable(f"nobody answers {subject}") from nobody

    async def _get(self, stream: str, **which: Any) -> Message | None:
        """A message of any node that has the stream.

        Never of its leader's API: server 2.9 crashes when that is asked for a stream in the making.
        """
        manager = (await self._connected()).jsm(timeout=CALL_S)
        try:
            found = await manager.get_msg(stream, direct=True, **which)
        except NotFoundError:
            return None
        except NoRespondersError as nobody:
            raise Unreachable(f"nobody has the stream {stream}") from nobody
        return Message(found.subject or "", found.data or b"", "", found.seq or 0)

    async def _subscribe(self, subject: str, group: str, hear: Hear) -> None:
        client = await self._connected()
        self._wanted.append((subject, group, hear))
        self._subscriptions[subject] = await client.subscribe(subject, queue=group, cb=hear)
        await client.flush(timeout=int(CALL_S))

    async def _unsubscribe(self, subject: str) -> None:
        self._wanted = [one for one in self._wanted if one[0] != subject]
        found = self._subscriptions.pop(subject, None)
        if found is not None:
            with suppress(Error):  # of a connection that is gone
                await found.unsubscribe()

    async def _leave(self) -> None:
        client, self._client = self._client, None
        if client is not None:
            await client.close()


async def _note(error: Exception) -> None:
    logs.get().debug("nats", error=str(error)[:200] or type(error).__name__)
