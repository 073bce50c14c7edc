"""Who is asking: what routes can require of a request.

A bearer key or `x-admin-secret` speaks for itself alone: beside it the cookie counts for
nothing, so that what is exempt from the cross-site check never acts as a signed-in browser.
"""

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Annotated, Literal
from uuid import UUID

from fastapi import Depends, Request, Security
from fastapi.security import APIKeyHeader, HTTPBearer

from flowlink.identity import clients, hats, queries, service
from flowlink.identity.ids import KEY, KeyId, SessionId, UserId, actor_of
from flowlink.identity.models import Role
from flowlink.identity.queries import Principal, SignedInUser
from flowlink.kernel import clock, crypto, db, ids, limits, settings
from flowlink.kernel.errors import FlowlinkError, Forbidden, LimitReached, NotSignedIn

ADMIN_HEADER = "x-admin-secret"
ORIGIN_COOKIE = "flowlink_from"  # where a browser came from, until somebody signs in with it
WRONG_SECRETS = 20
WRONG_SECRETS_WINDOW_S = 600
STEP_UP = timedelta(minutes=15)
_READING = {"GET", "HEAD", "OPTIONS"}

Machine = Principal | Literal["secret"]


class WrongSecret(NotSignedIn):
    message = "The admin secret is wrong."


class NotOperator(Forbidden):
    message = "This is for operators alone."


class NotStaff(Forbidden):
    message = "This is for staff alone."


class SignInAgain(Forbidden):
    message = "Please sign in again first: this is only open for %(minutes)s minutes after that."


@dataclass(frozen=True, slots=True)
class Viewer:
    """The signed-in person that a page is made for."""

    user_id: UserId
    session_id: SessionId
    email: str
    lang: str
    role: str | None
    partner_id: UUID | None
    signed_in_at: datetime

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
    """Find out who asks, once, before the request's own transaction begins.

    Its own short transactions: the one of a GET could not note that a session or key was seen.
    The page's frame finds the person in `request.state.viewer`. A wrong key or secret is kept
    in `request.state.machine` and refused where one is asked for: public pages stay public.
    """
    viewer, machine, now = None, None, clock.now()
    if (secret := request.headers.get(ADMIN_HEADER)) is not None:
        machine = _by_secret(secret, client_ip(request), now)
    elif (token := _bearer_token(request)) is not None:
        machine = _by_key(token, now)
    elif cookie := request.cookies.get(cookie_name()):
        viewer = _viewer(cookie, now)
    request.state.viewer, request.state.machine = viewer, machine
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


def load_machine(request: Request, _: MaybeViewer) -> Machine | None:
    """The program that asks: its key's owner, or the holder of the admin secret.

    :raises BadKey: :raises WrongSecret: :raises LimitReached: what it shows is not valid.
    """
    machine: Machine | FlowlinkError | None = request.state.machine
    if isinstance(machine, FlowlinkError):
        raise machine
    return machine


MaybeMachine = Annotated[Machine | None, Depends(load_machine)]


def load_key(machine: MaybeMachine, _: Annotated[object, Security(_bearer)]) -> Principal | None:
    """Whom the request's API key acts for; None without a key."""
    return machine if isinstance(machine, Principal) else None


ApiKey = Annotated[Principal | None, Depends(load_key)]


def staff_by_machine(
    request: Request,
    machine: MaybeMachine,
    key: ApiKey,
    ip: ClientIp,
    _: Annotated[object, Security(_admin)],
) -> Actor | None:
    """A script that acts as the operator: with the admin secret, or an operator's key."""
    if machine == "secret":
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


def require_secret_reader(actor: Operator, key: ApiKey) -> Actor:
    """For a page that shows a secret: whoever reads it can act with it."""
    if key is not None:
        key.require("admin:write")
    return actor


SecretReader = Annotated[Actor, Depends(require_secret_reader)]
Agent = Annotated[Actor, Depends(require_agent)]


def signed_in_lately(viewer: Viewer | None, now: datetime) -> bool:
    """Whether this person proved who they are a short time ago (step-up)."""
    return viewer is not None and now - viewer.signed_in_at <= STEP_UP


def require_fresh_operator(actor: Operator, machine: ByMachine, viewer: MaybeViewer) -> Actor:
    """For what moves much money: a person signed in lately, or a program with its own secret.

    :raises SignInAgain: a session that is older.
    """
    if machine is None and not signed_in_lately(viewer, clock.now()):
        raise SignInAgain(minutes=STEP_UP.seconds // 60)
    return actor


FreshOperator = Annotated[Actor, Depends(require_fresh_operator)]


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
        signed_in_at=found.signed_in_at,
    )


def _note_seen(found: SignedInUser, now: datetime) -> None:
    if now - found.last_seen_at >= service.SESSION_TOUCH:
        with db.write() as session:
            service.touch_session(session, session_id=found.session_id, now=now)


def _bearer_token(request: Request) -> str | None:
    """The bearer token; another scheme is a proxy's business, not ours."""
    scheme, _, token = request.headers.get("authorization", "").partition(" ")
    return token.strip() if scheme.lower() == "bearer" else None


def _by_key(token: str, now: datetime) -> Machine | FlowlinkError:
    try:
        with db.read() as session:
            key = service.authenticate_key(session, token=token)
    except service.BadKey as refusal:
        return refusal
    if key.last_used_at is None or now - key.last_used_at >= service.KEY_TOUCH:
        with db.write() as session:
            service.touch_key(session, key_id=key.key_id, now=now)
    return key


def _by_secret(secret: str, ip: str, now: datetime) -> Machine | FlowlinkError:
    """Constant time for the right one; for wrong ones a limit, since somebody may be guessing."""
    expected = settings.current().admin_secret
    if expected and crypto.same(secret, expected):
        return "secret"
    client = crypto.keyed_hash("limit", clients.network_of(ip)).hex()
    try:
        limits.hit(f"secret:{client}", WRONG_SECRETS, WRONG_SECRETS_WINDOW_S, now)
    except LimitReached as refusal:
        return refusal
    return WrongSecret()


def _key_label(key_id: KeyId) -> str:
    return f"key:{ids.public(KEY, key_id)}"


def _keeper(key: Principal) -> UserId | None:
    return UserId(key.owner_id) if key.owner_id else None
