"""The edge: `/l/{code}` and `/aff/postback` as a raw ASGI application, in front of everything else.

The one asynchronous entry point. A click is found in the link table, written to the journal, and
answered once it is on disk (see `recording`); the way through `edge_protocol` is the same one with
less ceremony. Here two GETs write: that is what short links and networks' calls are
(docs/decisions).
"""

import asyncio
import re
from collections.abc import Mapping
from contextlib import suppress
from datetime import UTC, date, datetime
from typing import Any

from flowlink.kernel import clock, logs
from flowlink.tracking import (
    click_record,
    clickid,
    clicks,
    link_snapshot,
    link_table,
    origins,
    pages,
    routing,
    screening,
    shipping,
    visits,
    wiring,
)
from flowlink.tracking.edge_answers import (
    RETRY,
    Headers,
    Receive,
    Scope,
    Send,
    answer_json,
    answer_text,
    page,
    redirect,
)
from flowlink.tracking.edge_postbacks import Answer, Inbox
from flowlink.tracking.intake import Unavailable
from flowlink.tracking.link_keeper import Keeper
from flowlink.tracking.link_source import SourceAway
from flowlink.tracking.link_table import Found
from flowlink.tracking.postbacks import PostbackIn
from flowlink.tracking.recording import Recording
from flowlink.tracking.visits import Visitor

LINK_PATH = "/l/"
SHORT_HOST = "short_host"
POSTBACK_PATH = "/aff/postback"
HEALTH_PATHS = ("/healthz", "/readyz")  # of an edge that runs alone: elsewhere the pages have them
_CODE = re.compile(r"[A-Za-z0-9_-]{1,64}")
_STOP_S = 2.0
_RETRY_S = 0.5


class Edge:
    """The application. What it needs it opens in the loop that serves it, at the latest with the
    first click.

    `ships`: whether it brings its journal to the database itself, on a thread.
    """

    def __init__(self, *, ships: bool = True) -> None:
        self.ships = ships
        self.keeper: Keeper | None = None
        self.recording: Recording | None = None
        self._opening: asyncio.Task[None] | None = None
        self._closed_until = float("-inf")
        self._shipping: shipping.Shipping | None = None
        self._keeping: link_snapshot.Keeping | None = None
        self._acceptance: Any = None  # `nats_postbacks.Acceptance`, at an edge over NATS
        self.inbox = Inbox()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":
            await self._live(receive, send)
        elif scope["type"] == "http" and scope["path"] == POSTBACK_PATH:
            await self._postback(scope, receive, send)
        elif scope["type"] == "http" and scope["path"] in HEALTH_PATHS and not _short_host(scope):
            await self._tell_health(scope, send)
        elif scope["type"] == "http":
            await self._link(scope, send)

    @property
    def is_open(self) -> bool:
        """Whether clicks can be taken at once, in the running loop."""
        return self._opening is None and self.takes_clicks(asyncio.get_running_loop())

    async def open(self) -> None:
        """Load the links and open the journal, unless that is done.

        :raises SourceAway:
        """
        if self.is_open:
            return
        loop = asyncio.get_running_loop()
        if loop.time() < self._closed_until:
            raise SourceAway("the links could not be loaded a moment ago")
        if self._opening is None or self._opening.done() or self._opening.get_loop() is not loop:
            self._abandon()  # a server that starts anew has a new loop
            self._opening = loop.create_task(self._open())
        opening = self._opening
        await asyncio.shield(opening)

    async def open_early(self) -> None:
        """Open before the first click asks for it, unless the source is away: then that one does.

        What a process before this one left in its journal is shipped from now on.
        """
        try:
            await self.open()
        except SourceAway as error:
            logs.get().warning("links are not loaded", error=str(error)[:200])

    async def close(self) -> None:
        """Finish the clicks at hand, and bring them to where they are kept if that is soon done."""
        await self.inbox.close()
        opening = self._opening
        if opening is not None and opening.get_loop() is asyncio.get_running_loop():
            with suppress(SourceAway):
                await opening
        if not self.is_open:
            self._abandon()
            return
        recording, keeper, shipper = self.recording, self.keeper, self._shipping
        keeping = self._keeping
        self.recording = self.keeper = self._shipping = self._keeping = None
        assert recording is not None
        assert keeper is not None
        assert keeping is not None
        await recording.close()
        await keeping.close()
        await keeper.close()
        if shipper is not None:
            await asyncio.to_thread(shipper.close, patience_s=_STOP_S)

    def takes_clicks(self, loop: asyncio.AbstractEventLoop) -> bool:
        """Whether this loop has all that a click needs."""
        return self.recording is not None and self.recording.loop is loop

    def known(self, host: str, code: str) -> Found | None:
        """The link of a code as far as the table has it."""
        return None if self.keeper is None else self.keeper.table.find(host, code)

    def domains(self) -> Mapping[str, bool]:
        """All domains for short links, and whether each is open."""
        return {} if self.keeper is None else self.keeper.table.domains

    def click(
        self, found: Found, visitor: Visitor, *, unix_ms: int, query: bytes
    ) -> tuple[int, bytes]:
        """A click's number, and the record to be kept."""
        assert self.recording is not None
        number = self.recording.number(unix_ms)
        browser, place, referrer, reason = visitor
        salt = self.recording.salt(number)
        return number, click_record.packed(
            reason=reason,
            number=number,
            visitor=clicks.visitor(salt, address=place.address, agent=browser.agent),
            link=found.link,
            partner=found.partner,
            country=place.country,
            origin=origins.seen(place.address, salt, query=query),
            agent=browser.agent,
            referrer=referrer,
        )

    async def _open(self) -> None:
        screening.warm_up()
        keeper = wiring.new_keeper()
        recording = Recording(
            wiring.journals(),
            source=keeper.source,
            recorder=wiring.new_recorder(),
            bounds=wiring.bounds(),
        )
        try:
            await recording.open(remembered=await self._loaded(keeper))
        except BaseException:
            recording.abandon()
            self._closed_until = asyncio.get_running_loop().time() + _RETRY_S
            await keeper.close()
            self._opening = None
            raise
        keeper.follow()
        self._keeping = link_snapshot.Keeping(
            wiring.journals(),
            table=keeper.table,
            truth=keeper.truth,
            salts=lambda: recording.salts,
        )
        if self.ships:
            self._shipping = shipping.Shipping(wiring.journals(), new_store=wiring.new_store())
        if wiring.over_nats():
            self._acceptance = wiring.new_acceptance()
        self.keeper, self.recording, self._opening = keeper, recording, None

    async def _loaded(self, keeper: Keeper) -> Mapping[int, bytes] | None:
        """Load the links; from the snapshot when nobody tells them, with the salts that are in it.

        :raises SourceAway: neither is there.
        """
        try:
            await keeper.load()
        except SourceAway:
            return await link_snapshot.restore(wiring.journals(), keeper.table, now=clock.now())
        return None

    def _abandon(self) -> None:
        if self.recording is not None:
            self.recording.abandon()
        if self._shipping is not None:
            self._shipping.close(patience_s=0)
        if self._keeping is not None:
            self._keeping.abandon()
        self.recording = self.keeper = self._shipping = self._opening = self._keeping = None

    async def _live(self, receive: Receive, send: Send) -> None:
        while True:
            message = await receive()
            if message["type"] == "lifespan.startup":
                await self.open_early()
                await send({"type": "lifespan.startup.complete"})
            else:
                await self.close()
                await send({"type": "lifespan.shutdown.complete"})
                return

    async def _postback(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a network once its call is kept; without a database, once it is in the journal."""
        accept = self._accept if wiring.over_nats() else None
        await self.inbox.take(scope, receive, send, accept=accept)

    async def _accept(self, request: PostbackIn) -> Answer:
        try:
            await self.open()
        except SourceAway:
            raise Unavailable from None
        assert self.recording is not None
        answer: Answer = await self._acceptance.take(request, append=self.recording.append)
        return answer

    async def _tell_health(self, scope: Scope, send: Send) -> None:
        """Tell a load balancer that this process lives, and whether it has the links (spec 7)."""
        if scope["method"] not in {"GET", "HEAD"}:
            await page(scope, send, 405, pages.METHOD, (b"allow", b"GET, HEAD"))
            return
        if scope["path"] == "/healthz":
            await answer_text(scope, send, "ok")
            return
        problems: list[str] = []
        try:
            await self.open()
        except SourceAway as error:
            problems = [str(error)]
        answer = {"ready": not problems, "problems": problems}
        await answer_json(send, 503 if problems else 200, answer)

    async def _link(self, scope: Scope, send: Send) -> None:
        if scope["method"] not in {"GET", "HEAD"}:
            await page(scope, send, 405, pages.METHOD, (b"allow", b"GET, HEAD"))
            return
        now_ms = clock.unix_ms()
        host = _short_host(scope)
        code = _code(scope["path"], host)
        try:
            await self.open()
            found = await self._found(host, code, unix_ms=now_ms)
        except SourceAway:
            await page(scope, send, 503, pages.LATER, RETRY)
            return
        if found is None:
            await page(scope, send, 404, pages.GONE)
            return
        assert self.recording is not None
        headers: Headers = dict(scope["headers"])
        peer = scope["client"][0] if scope.get("client") else ""
        visitor = visits.visitor(scope["method"], headers, peer=peer)
        number, record = self.click(found, visitor, unix_ms=now_ms, query=scope["query_string"])
        await self.recording.keep(record)
        await redirect(send, address(found, visitor, number=number, query=scope["query_string"]))

    async def _found(self, host: str, code: str, *, unix_ms: int) -> Found | None:
        """The link of a code that leads somewhere; None, and counted, when there is none.

        :raises SourceAway: nobody can say whether there is one.
        """
        assert self.keeper is not None
        today = _day(unix_ms)
        if not code:
            await self.keeper.count_miss(day=today, reason="malformed")
            return None
        found = await self.keeper.find(host, code)
        if found is not None and found.is_live(unix_ms):
            return found
        reason = "unknown" if found is None else "expired" if found.live else "disabled"
        await self.keeper.count_miss(day=today, reason=reason)
        return None


def address(found: Found, visitor: Visitor, *, number: int, query: bytes) -> bytes:
    """Where a click goes."""
    token = clickid.seal(number, found.link, found.partner)
    if found.parts and not query:
        return token.join(found.parts)
    target = found.target
    destination = routing.choose(
        target.routing,
        destination=target.destination,
        device=visitor.browser.device,
        country=visitor.place.country,
        number=number,
    )
    plain = link_table.location(
        target, destination=destination, click_id=token.decode(), query=query.decode("latin-1")
    )
    return plain.encode("ascii")


def _short_host(scope: Scope) -> str:
    """The domain for short links that was asked for, if it was one."""
    return str(scope.get("state", {}).get(SHORT_HOST, ""))


def _code(path: str, host: str) -> str:
    """The code of a link, or nothing when it cannot be one of ours.

    A host of its own needs no `/l/` before the code, but old links may have it.

    Content's assets will answer here too (`/l/{asset_id}?pid=`): until they exist nobody has one.
    """
    code = path.removeprefix(LINK_PATH).removesuffix("/")
    code = code.removeprefix("/") if host else code
    return code if _CODE.fullmatch(code) else ""


def _day(unix_ms: int) -> date:
    return datetime.fromtimestamp(unix_ms / 1000, UTC).date()


app = Edge()


async def close() -> None:
    """End the edge of this process well."""
    await app.close()
