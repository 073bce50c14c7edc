"""Which host was asked for: on a domain of the operator's list nothing but links is served.

The list is read again at most once a second, and only when a host other than our own is named.
"""

import asyncio
from collections.abc import Callable
from time import monotonic

from sqlalchemy import select
from sqlalchemy.exc import OperationalError
from starlette.types import ASGIApp, Receive, Scope, Send

from flowlink.kernel import db, logs
from flowlink.tracking import domains, edge
from flowlink.tracking.models import Domain
from flowlink.web import static

_FRESH_S = 1.0


class ShortHosts:
    """Hands what is asked of a domain for short links to the edge, as a click.

    Postbacks have no business there; the style sheets of the edge's own pages do.
    """

    def __init__(self, app: ASGIApp, *, listed: Callable[[], frozenset[str]] | None = None) -> None:
        self.app = app
        self._listed = listed or _listed
        self._known: frozenset[str] = frozenset()
        self._read_at = -_FRESH_S
        self._reading: asyncio.Task[None] | None = None

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        short = await self._short(scope) if scope["type"] == "http" else ""
        if not short or scope["path"].startswith(static.PREFIX):
            await self.app(scope, receive, send)
            return
        path = "/" if scope["path"] == edge.POSTBACK_PATH else scope["path"]
        named = {**scope.get("state", {}), edge.SHORT_HOST: short}
        await edge.app({**scope, "path": path, "state": named}, receive, send)

    async def _short(self, scope: Scope) -> str:
        """The domain that a request names, or nothing when it is not one of the list."""
        named = next((value for name, value in scope["headers"] if name == b"host"), b"")
        host = named.decode("latin-1").lower()
        if host == domains.own_host():
            return ""
        if monotonic() - self._read_at > _FRESH_S:
            await self._refresh()
        bare = host.partition(":")[0]
        known = self._known or edge.app.domains()  # it knows them also while the database is away
        return next((name for name in (host, bare) if name in known), "")

    async def _refresh(self) -> None:
        """Read the list, once for all who wait for it."""
        loop = asyncio.get_running_loop()
        if self._reading is None or self._reading.done() or self._reading.get_loop() is not loop:
            self._reading = loop.create_task(self._read())
        await asyncio.shield(self._reading)

    async def _read(self) -> None:
        try:
            self._known = await asyncio.to_thread(self._listed)
        except OperationalError as error:  # what was known goes on
            logs.get().warning("domains not read", error=str(error)[:200])
        self._read_at = monotonic()


def _listed() -> frozenset[str]:
    with db.read() as session:
        return frozenset(session.scalars(select(Domain.host)))
