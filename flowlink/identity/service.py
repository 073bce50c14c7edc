"""Users, magic links, sessions, staff and API keys: everything that changes who may do what."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Literal, cast
from urllib.parse import urlencode
from uuid import UUID

from sqlalchemy import delete, func, or_, select, update
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.orm import Session

from flowlink.identity import addresses, clients, queries, scopes
from flowlink.identity.ids import (
    KEY,
    USER,
    KeyId,
    SessionId,
    UserId,
    actor_of,
)
from flowlink.identity.models import ApiKey, MagicLink, Role, SignInSession, User
from flowlink.identity.queries import LinkState, Principal
from flowlink.identity.scopes import OwnerKind
from flowlink.kernel import audit, crypto, events, ids, limits, settings
from flowlink.kernel.errors import Invalid, NotFound, NotSignedIn, Refused
from flowlink.notify import service as notify

Area = Literal["partner", "user"]

LINK_LIFE = timedelta(minutes=15)
ORIGIN_MAX = 200
SESSION_LIFE = timedelta(days=90)
SESSION_TOUCH = timedelta(minutes=5)
KEY_TOUCH = timedelta(minutes=1)
KEPT = timedelta(days=30)
LINKS_PER_ADDRESS = 5
LINKS_PER_CLIENT = 30
LIMIT_WINDOW_S = 900
KEYS_MAX = 200
USER_AGENT_MAX = 300
NAME_MAX = 80
KEY_PREFIX = "flk_"
_PATHS: dict[Area, str] = {"partner": "/partner/login", "user": "/login/verify"}


class LinkUnknown(Invalid):
    message = "This sign-in link is not complete, or was never ours."


class LinkUsed(Invalid):
    message = "This sign-in link has been used already. Each link works once."


class LinkExpired(Invalid):
    message = "This sign-in link is too old. A link works for 15 minutes."


class BadKey(NotSignedIn):
    message = "This API key is unknown or was revoked."


class TooManyKeys(Refused):
    message = "You have %(count)s keys. Please revoke one first."


class BadLanguage(Invalid):
    message = "We do not speak this language yet."
    field = "lang"


_DEAD: dict[LinkState, type[Invalid]] = {
    LinkState.UNKNOWN: LinkUnknown,
    LinkState.USED: LinkUsed,
    LinkState.EXPIRED: LinkExpired,
}


@dataclass(frozen=True, slots=True)
class SignedIn:
    """The result of a used link. The session's token exists here alone: we keep its digest."""

    user_id: UserId
    session_token: str
    area: Area
    role: Role | None


def ensure_user(session: Session, *, email: str, now: datetime, lang: str = "fr") -> User:
    """The user of this address, made if new. Two at once make one user.

    :raises addresses.BadEmail: not an address.
    """
    address = addresses.normalize(email)
    row = insert(User).values(email=address, lang=lang, created_at=now)
    session.execute(row.on_conflict_do_nothing(index_elements=["email"]))
    return session.scalars(select(User).where(User.email == address)).one()


def set_staff(
    session: Session, *, user_id: UserId, role: Role | None, actor: str, now: datetime, ip: str = ""
) -> None:
    """Make somebody operator or agent, or neither. What is already so stays so."""
    user = session.scalars(select(User).where(User.id == user_id)).one()
    if user.role == role:
        return
    before, user.role = user.role, role
    subject = ids.public(USER, user_id)
    audit.record(session, actor, "changed staff role", subject, now, ip, before=before, after=role)


def set_language(session: Session, *, user_id: UserId, lang: str) -> None:
    """Choose the language of the mails we send to somebody.

    :raises BadLanguage: not one of ours.
    """
    if lang not in {"fr", "en"}:
        raise BadLanguage
    session.execute(update(User).where(User.id == user_id).values(lang=lang))


def make_link(
    session: Session,
    *,
    email: str,
    now: datetime,
    area: Area = "user",
    from_cli: bool = False,
    origin: str = "",
) -> str:
    """Open a way in for whoever reads this address; returns the token. Counts in no limit.

    `origin` is what the asking browser keeps of where it came from; the link carries it to the
    device that opens it.

    :raises addresses.BadEmail: not an address.
    """
    token = crypto.token()
    session.add(
        MagicLink(
            token_digest=crypto.digest(token),
            email=addresses.normalize(email),
            area=area,
            origin=origin[:ORIGIN_MAX],
            from_cli=from_cli,
            created_at=now,
            expires_at=now + LINK_LIFE,
        )
    )
    return token


def link_url(token: str, *, area: Area, next_path: str = "") -> str:
    """The address that a magic link's reader opens."""
    query = {"token": token} | ({"next": next_path} if next_path else {})
    return f"{settings.current().url}{_PATHS[area]}?{urlencode(query)}"


def mail_link(
    session: Session,
    *,
    email: str,
    area: Area,
    lang: str,
    ip: str,
    now: datetime,
    next_path: str = "",
    origin: str = "",
) -> str:
    """Send a magic link to an address, known or not alike; returns the URL in it.

    No user is looked up on this way, so that nothing about the answer can tell (spec 1.2).

    :raises addresses.BadEmail: not an address.
    :raises LimitReached: too many links for this address or this client lately.
    """
    address = addresses.normalize(email)
    client = crypto.keyed_hash("limit", clients.network_of(ip)).hex()
    limits.hit(f"link:client:{client}", LINKS_PER_CLIENT, LIMIT_WINDOW_S, now)
    reader = crypto.keyed_hash("limit", address).hex()
    limits.hit(f"link:address:{reader}", LINKS_PER_ADDRESS, LIMIT_WINDOW_S, now)
    token = make_link(session, email=address, area=area, origin=origin, now=now)
    url = link_url(token, area=area, next_path=next_path)
    notify.send(
        session,
        to=address,
        template="identity/email/sign_in",
        lang=lang,
        context={"url": url},
        secret=True,
        useful_until=now + LINK_LIFE,
        now=now,
    )
    return url


def consume_link(
    session: Session,
    *,
    token: str,
    now: datetime,
    user_agent: str = "",
    lang: str = "fr",
    replaces: str = "",
    ip: str = "",
) -> SignedIn:
    """Use a link up and open a session; of many at once, one succeeds.

    The address is proven now, so this is where a new user begins. `replaces` is the token of
    the session that the browser forgets by this.

    :raises LinkUnknown:
    :raises LinkUsed:
    :raises LinkExpired:
    """
    used = (
        update(MagicLink)
        .where(
            MagicLink.token_digest == crypto.digest(token),
            MagicLink.used_at.is_(None),
            MagicLink.expires_at > now,
        )
        .values(used_at=now)
        .returning(MagicLink.email, MagicLink.area, MagicLink.origin)
    )
    link = session.execute(used).first()
    if link is None:
        raise _DEAD[queries.link_state(session, token=token, now=now)]
    user = ensure_user(session, email=link.email, lang=lang, now=now)
    _forget_session(session, token=replaces, now=now)
    user_id, role = UserId(user.id), Role(user.role) if user.role else None
    opened = _open_session(session, user_id=user_id, user_agent=user_agent, now=now)
    if link.origin:
        events.emit(session, "user.arrived", {"user_id": str(user_id), "origin": link.origin})
    if role:
        subject = ids.public(USER, user_id)
        audit.record(session, actor_of(user_id), "signed in", subject, now, ip, role=role)
    return SignedIn(user_id=user_id, session_token=opened, area=cast("Area", link.area), role=role)


def check_link(session: Session, *, token: str, now: datetime) -> None:
    """See that a link still works, without using it up: mail scanners open links too.

    :raises LinkUnknown:
    :raises LinkUsed:
    :raises LinkExpired:
    """
    state = queries.link_state(session, token=token, now=now)
    if state in _DEAD:
        raise _DEAD[state]


def revoke_session(
    session: Session, *, user_id: UserId, session_id: SessionId, now: datetime
) -> None:
    """Sign one of somebody's own browsers out, at once. One signed out already stays so.

    :raises NotFound: no session of this user.
    """
    mine = update(SignInSession).where(
        SignInSession.id == session_id, SignInSession.user_id == user_id
    )
    ended = mine.values(revoked_at=func.coalesce(SignInSession.revoked_at, now))
    if session.execute(ended.returning(SignInSession.id)).first() is None:
        raise NotFound


def revoke_sessions(session: Session, *, user_id: UserId, now: datetime) -> None:
    """Sign somebody out everywhere, this browser included."""
    session.execute(
        update(SignInSession)
        .where(SignInSession.user_id == user_id, SignInSession.revoked_at.is_(None))
        .values(revoked_at=now)
    )


def touch_session(session: Session, *, session_id: SessionId, now: datetime) -> None:
    """Note that a session was used; of many requests at once, one writes."""
    stale = SignInSession.last_seen_at <= now - SESSION_TOUCH
    mine = update(SignInSession).where(SignInSession.id == session_id, stale)
    session.execute(mine.values(last_seen_at=now))


def make_api_key(
    session: Session,
    *,
    owner_kind: OwnerKind,
    owner_id: UUID | None,
    actor: str,
    now: datetime,
    scopes: Sequence[str] | None = None,
    name: str = "",
    user_id: UserId | None = None,
    ip: str = "",
) -> str:
    """Make a key and return it, this once: `flk_…`. Without `scopes` it may do all its owner may.

    `user_id` is the person who keeps it and sees it on the account page.

    :raises UnknownScope: not a scope of this kind of owner.
    :raises TooManyKeys: this person keeps as many as we list.
    """
    if user_id is not None and len(queries.keys_of(session, user_id=user_id)) >= KEYS_MAX:
        raise TooManyKeys(count=KEYS_MAX)
    token = KEY_PREFIX + crypto.token()
    key = ApiKey(
        key_digest=crypto.digest(token),
        hint=token[: len(KEY_PREFIX) + 4],
        name=_one_line(name, NAME_MAX),
        owner_kind=owner_kind,
        owner_id=owner_id,
        user_id=user_id,
        scopes=_checked_scopes(owner_kind, scopes),
        created_at=now,
    )
    session.add(key)
    session.flush()  # the audit log names the key by its id
    subject = ids.public(KEY, key.id)
    audit.record(session, actor, "made API key", subject, now, ip, owner_kind=owner_kind)
    return token


def revoke_api_key(
    session: Session, *, user_id: UserId, key_id: KeyId, now: datetime, ip: str = ""
) -> None:
    """End a key at once. Only the person who keeps it can.

    :raises NotFound: no live key of this person.
    """
    mine = update(ApiKey).where(
        ApiKey.id == key_id, ApiKey.user_id == user_id, ApiKey.revoked_at.is_(None)
    )
    if session.execute(mine.values(revoked_at=now).returning(ApiKey.id)).first() is None:
        raise NotFound
    audit.record(session, actor_of(user_id), "revoked API key", ids.public(KEY, key_id), now, ip)


def authenticate_key(session: Session, *, token: str) -> Principal:
    """Whom this key acts for.

    :raises BadKey: unknown, revoked, or its keeper is no operator any more.
    """
    principal = queries.key_holder(session, token=token)
    if principal is None:
        raise BadKey
    return principal


def touch_key(session: Session, *, key_id: KeyId, now: datetime) -> None:
    """Note that a key was used; of many requests at once, one writes."""
    stale = or_(ApiKey.last_used_at.is_(None), ApiKey.last_used_at <= now - KEY_TOUCH)
    mine = update(ApiKey).where(ApiKey.id == key_id, stale)
    session.execute(mine.values(last_used_at=now))


def forget_old(session: Session, *, now: datetime) -> int:
    """Drop links and sessions that ended a month ago; returns how many."""
    before = now - KEPT
    links = delete(MagicLink).where(MagicLink.expires_at < before).returning(MagicLink.id)
    ended = or_(
        SignInSession.expires_at < before,
        SignInSession.revoked_at < before,
        SignInSession.last_seen_at < before - queries.SESSION_IDLE,
    )
    sessions = delete(SignInSession).where(ended).returning(SignInSession.id)
    return len(session.execute(links).all()) + len(session.execute(sessions).all())


def _open_session(session: Session, *, user_id: UserId, user_agent: str, now: datetime) -> str:
    token = crypto.token()
    session.add(
        SignInSession(
            user_id=user_id,
            token_digest=crypto.digest(token),
            user_agent=_one_line(user_agent, USER_AGENT_MAX),
            created_at=now,
            last_seen_at=now,
            expires_at=now + SESSION_LIFE,
        )
    )
    return token


def _forget_session(session: Session, *, token: str, now: datetime) -> None:
    if token:
        mine = SignInSession.token_digest == crypto.digest(token)
        open_still = SignInSession.revoked_at.is_(None)
        session.execute(update(SignInSession).where(mine, open_still).values(revoked_at=now))


def _checked_scopes(owner_kind: OwnerKind, asked: Sequence[str] | None) -> list[str] | None:
    return scopes.check(owner_kind, asked)


def _one_line(text: str, length: int) -> str:
    """Text from outside, fit for a row: printable, without runs of blanks, not too long."""
    printable = "".join(letter if letter.isprintable() else " " for letter in text)
    return " ".join(printable.split())[:length]
