"""Visitors who come to us through a partner's link: their click is kept until they sign in.

One first-party cookie with the opaque click id, for as long as the click counts, on nobody's
machine who asks not to be followed (Global Privacy Control). With the first page that somebody
signed in opens, it goes over to their account and is deleted.
"""

from datetime import datetime
from urllib.parse import parse_qs

from fastapi import Request
from starlette.datastructures import Headers, MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from flowlink.identity.deps import ORIGIN_COOKIE, MaybeViewer
from flowlink.kernel import clock, db, settings
from flowlink.tracking import arrivals

PARAMETER = b"subid="
_READING = {"GET", "HEAD"}


class Arrivals:
    """Sets the cookie where a click arrives, and deletes it where it was kept."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        cookie = _arrived(scope, clock.now()) if PARAMETER in scope["query_string"] else ""

        async def send_kept(message: Message) -> None:
            if message["type"] == "http.response.start":
                kept = scope.get("state", {}).get("arrival_kept", False)
                if said := cookie or (_cookie("", 0) if kept else ""):
                    MutableHeaders(scope=message).append("set-cookie", said)
            await send(message)

        await self.app(scope, receive, send_kept)


def keep_arrival(request: Request, viewer: MaybeViewer) -> None:
    """Let the click that a browser came with be its account's, before the request's own work."""
    token = request.cookies.get(ORIGIN_COOKIE, "")
    if viewer is None or not token:
        return
    with db.write() as session:
        arrivals.keep(session, user_id=viewer.user_id, token=token, now=clock.now())
    request.state.arrival_kept = True


def _arrived(scope: Scope, now: datetime) -> str:
    """The cookie for a visitor who brings a click that counts."""
    if scope["method"] not in _READING or Headers(scope=scope).get("sec-gpc") == "1":
        return ""
    query = parse_qs(scope["query_string"].decode("latin-1"))
    token = query.get("subid", [""])[0]
    left = arrivals.fresh(token, now=now)
    return _cookie(token, int(left.total_seconds())) if left else ""


def _cookie(token: str, lasts_s: int) -> str:
    secure = "; Secure" if settings.current().is_https else ""
    return f"{ORIGIN_COOKIE}={token}; Path=/; Max-Age={lasts_s}; HttpOnly; SameSite=Lax{secure}"
