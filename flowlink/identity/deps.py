"""Who is asking: what routes can require of a request.

A bearer key or `x-admin-secret` speaks for itself alone: beside it the cookie counts for
nothing, so that what is exempt from the cross-site check never acts as a signed-in browser.
"""

from dataclasses import dataclass
from datetime import datetime
from typing import Annotated
from uuid import UUID

from fastapi import Depends, Request, Security
from fastapi.security import APIKeyHeader, HTTPBearer

from flowlink.identity import clients, hats, queries, service
from flowlink.identity.ids import KEY, KeyId, SessionId, UserId, actor_of
from flowlink.identity.models import Role
from flowlink.identity.queries import Principal, SignedInUser
from flowlink.kernel import clock, crypto, db, ids, limits, settings
from flowlink.kernel.errors import Forbidden, NotSignedIn

ADMIN_HEADER = "x-admin-secret"
WRONG_SECRETS = 20
WRONG_SECRETS_WINDOW_S = 600
_READING = {"GET", "HEAD", "OPTIONS"}


class WrongSecret(NotSignedIn):
    message = "The admin secret is wrong."


class NotOperator(Forbidden):
    message = "This is for operators alone."


class NotStaff(Forbidden):
    message = "This is for staff alone."


@dataclass(frozen=True, slots=True)
class Viewer:
    """The signed-in person that a page is made for."""

    user_id: UserId
    session_id: SessionId
    email: str
    lang: str
    role: str | None
    partner_id: UUID | None

    @property
    def is_operator(self) -> bool:
        return self.role == Role.OPERATOR

    @property
    def is_agent(self) -> bool:
        """May work the support desk, as operators may too."""
        return self.role is not None


@dataclass(frozen=True, slots=True)
class Actor:
    """Somebody who acts as staff; `label` is how the audit log names them."""

    label: str
    user_id: UserId | None
    ip: str


def cookie_name() -> str:
    """On https with the prefix that keeps other hosts and paths from planting the cookie."""
    return "__Host-flowlink" if settings.current().is_https else "flowlink"


def client_ip(request: Request) -> str:
    peer = request.client.host if request.client else ""
    forwarded = ",".join(request.headers.getlist("x-forwarded-for"))
    return clients.client_ip(peer, forwarded, settings.current().trusted_proxies)


ClientIp = Annotated[str, Depends(client_ip)]


def load_viewer(request: Request) -> Viewer | None:
    """Find out who is signed in, for the page's frame too (`request.state.viewer`).

    In a short transaction of its own: the one of a GET cannot note that the session was seen.
    """
    token = request.cookies.get(cookie_name(), "")
    request.state.viewer = None
    if token and not _speaks_for_itself(request):
        request.state.viewer = _viewer(token, clock.now())
    viewer: Viewer | None = request.state.viewer
    return viewer


MaybeViewer = Annotated[Viewer | None, Depends(load_viewer)]


def maybe_user(viewer: MaybeViewer) -> UserId | None:
    return viewer.user_id if viewer else None


MaybeUser = Annotated[UserId | None, Depends(maybe_user)]


def require_viewer(viewer: MaybeViewer) -> Viewer:
    if viewer is None:
        raise NotSignedIn
    return viewer


CurrentViewer = Annotated[Viewer, Depends(require_viewer)]


def require_user(viewer: CurrentViewer) -> UserId:
    return viewer.user_id


CurrentUser = Annotated[UserId, Depends(require_user)]


_bearer = HTTPBearer(auto_error=False, description="An API key, `flk_…`")
_admin = APIKeyHeader(name=ADMIN_HEADER, auto_error=False, description="`ADMIN_SECRET`")


def load_key(request: Request, _: Annotated[object, Security(_bearer)]) -> Principal | None:
    """Whom the request's API key acts for; None without a key.

    :raises BadKey: there is one, and it is not valid.
    """
    token = _bearer_token(request)
    if token is None:
        return None
    now = clock.now()
    with db.read() as session:
        principal = service.authenticate_key(session, token=token)
    if principal.last_used_at is None or now - principal.last_used_at >= service.KEY_TOUCH:
        with db.write() as session:
            service.touch_key(session, key_id=principal.key_id, now=now)
    return principal


ApiKey = Annotated[Principal | None, Depends(load_key)]


def staff_by_machine(
    request: Request,
    key: ApiKey,
    ip: ClientIp,
    secret: Annotated[str | None, Security(_admin)],
) -> Actor | None:
    """A script that acts as the operator: with the admin secret, or an operator's key."""
    if secret is not None:
        _check_secret(secret, ip)
        return Actor(label="secret", user_id=None, ip=ip)
    if key is None:
        return None
    if key.owner_kind != "operator":
        raise NotOperator
    key.require("admin:read" if request.method in _READING else "admin:write")
    return Actor(label=_key_label(key.key_id), user_id=_keeper(key), ip=ip)


ByMachine = Annotated[Actor | None, Depends(staff_by_machine)]


def require_operator(machine: ByMachine, viewer: MaybeViewer, ip: ClientIp) -> Actor:
    """:raises NotOperator: somebody else, signed in."""
    actor = machine or _staff(viewer, ip)
    if machine is None and not (viewer and viewer.is_operator):
        raise NotOperator
    return actor


def require_agent(machine: ByMachine, viewer: MaybeViewer, ip: ClientIp) -> Actor:
    """:raises NotStaff: somebody else, signed in."""
    actor = machine or _staff(viewer, ip)
    if machine is None and not (viewer and viewer.is_agent):
        raise NotStaff
    return actor


Operator = Annotated[Actor, Depends(require_operator)]
Agent = Annotated[Actor, Depends(require_agent)]


def _staff(viewer: Viewer | None, ip: str) -> Actor:
    if viewer is None:
        raise NotSignedIn
    return Actor(label=actor_of(viewer.user_id), user_id=viewer.user_id, ip=ip)


def _viewer(token: str, now: datetime) -> Viewer | None:
    with db.read() as session:
        found = queries.signed_in_user(session, token=token, now=now)
        partner_id = hats.partner_of(session, found.user_id) if found else None
    if found is None:
        return None
    _note_seen(found, now)
    return Viewer(
        user_id=found.user_id,
        session_id=found.session_id,
        email=found.email,
        lang=found.lang,
        role=found.role,
        partner_id=partner_id,
    )


def _note_seen(found: SignedInUser, now: datetime) -> None:
    if now - found.last_seen_at >= service.SESSION_TOUCH:
        with db.write() as session:
            service.touch_session(session, session_id=found.session_id, now=now)


def _speaks_for_itself(request: Request) -> bool:
    return ADMIN_HEADER in request.headers or _bearer_token(request) is not None


def _bearer_token(request: Request) -> str | None:
    """The bearer token; another scheme is a proxy's business, not ours."""
    scheme, _, token = request.headers.get("authorization", "").partition(" ")
    return token.strip() if scheme.lower() == "bearer" else None


def _check_secret(secret: str, ip: str) -> None:
    """:raises LimitReached: somebody is guessing."""
    expected = settings.current().admin_secret
    if expected and crypto.same(secret, expected):
        return
    client = crypto.keyed_hash("limit", clients.network_of(ip)).hex()
    limits.hit(f"secret:{client}", WRONG_SECRETS, WRONG_SECRETS_WINDOW_S, clock.now())
    raise WrongSecret


def _key_label(key_id: KeyId) -> str:
    return f"key:{ids.public(KEY, key_id)}"


def _keeper(key: Principal) -> UserId | None:
    return UserId(key.owner_id) if key.owner_id else None
