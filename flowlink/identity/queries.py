"""Reads of identity: who a token belongs to, and what somebody's account page shows."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from typing import cast
from uuid import UUID

from sqlalchemy import ColumnElement, or_, select
from sqlalchemy.orm import Session

from flowlink.identity import scopes
from flowlink.identity.ids import KEY, USER, KeyId, SessionId, UserId
from flowlink.identity.models import ApiKey, MagicLink, Role, SignInSession, User
from flowlink.identity.scopes import OutOfScope, OwnerKind
from flowlink.kernel import crypto, ids
from flowlink.kernel.errors import NotFound

SESSION_IDLE = timedelta(days=45)


@dataclass(frozen=True, slots=True)
class SignedInUser:
    """The person behind a session cookie."""

    user_id: UserId
    session_id: SessionId
    email: str
    lang: str
    role: str | None
    last_seen_at: datetime
    signed_in_at: datetime


@dataclass(frozen=True, slots=True)
class Principal:
    """Whoever an API key acts for."""

    key_id: KeyId
    owner_kind: OwnerKind
    owner_id: UUID | None
    scopes: frozenset[str] | None
    last_used_at: datetime | None

    def require(self, scope: str) -> None:
        """:raises OutOfScope: the key was not given this scope."""
        if not scopes.allows(self.scopes, scope):
            raise OutOfScope(scope=scope)


class LinkState(StrEnum):
    LIVE = "live"
    USED = "used"
    EXPIRED = "expired"
    UNKNOWN = "unknown"


def signed_in_user(session: Session, *, token: str, now: datetime) -> SignedInUser | None:
    """The user of a live session: not revoked, and neither idle nor open for too long."""
    row = session.execute(
        select(SignInSession, User)
        .join(User, User.id == SignInSession.user_id)
        .where(SignInSession.token_digest == crypto.digest(token), *_live(now))
    ).first()
    if row is None:
        return None
    return SignedInUser(
        user_id=UserId(row.User.id),
        session_id=SessionId(row.SignInSession.id),
        email=row.User.email,
        lang=row.User.lang,
        role=row.User.role,
        last_seen_at=row.SignInSession.last_seen_at,
        signed_in_at=row.SignInSession.created_at,
    )


def sessions_of(session: Session, *, user_id: UserId, now: datetime) -> Sequence[SignInSession]:
    """Live sessions, the one used last first."""
    mine = select(SignInSession).where(SignInSession.user_id == user_id, *_live(now))
    return session.scalars(mine.order_by(SignInSession.last_seen_at.desc())).all()


def keys_of(session: Session, *, user_id: UserId) -> Sequence[ApiKey]:
    """The keys that somebody keeps, the newest first."""
    mine = select(ApiKey).where(ApiKey.user_id == user_id, ApiKey.revoked_at.is_(None))
    return session.scalars(mine.order_by(ApiKey.id.desc())).all()


def person_behind(session: Session, actor: str) -> UserId | None:
    """Who an actor of the audit log is, for a key who keeps it; None for jobs and the secret."""
    kind, _, name = actor.partition(":")
    try:
        if kind == "user":
            return UserId(ids.parse(USER, name))
        key = session.get(ApiKey, ids.parse(KEY, name)) if kind == "key" else None
    except NotFound:
        return None
    keeper = (key.user_id or key.owner_id) if key is not None else None
    return None if keeper is None else UserId(keeper)


def emails_behind(session: Session, actors: Collection[str]) -> dict[str, str]:
    """The addresses of those actors who are people, or keys that people keep."""
    found = {actor: person_behind(session, actor) for actor in actors}
    people = {actor: user_id for actor, user_id in found.items() if user_id is not None}
    rows = select(User.id, User.email).where(User.id.in_(people.values()))
    emails = {UserId(user_id): email for user_id, email in session.execute(rows)}
    return {actor: emails[user_id] for actor, user_id in people.items() if user_id in emails}


def key_holder(session: Session, *, token: str) -> Principal | None:
    """Whom a key acts for. An operator's key dies with its keeper's role."""
    keeper_is_operator = (
        select(User.id).where(User.id == ApiKey.owner_id, User.role == Role.OPERATOR).exists()
    )
    found = session.scalars(
        select(ApiKey).where(
            ApiKey.key_digest == crypto.digest(token),
            ApiKey.revoked_at.is_(None),
            or_(ApiKey.owner_kind != "operator", ApiKey.owner_id.is_(None), keeper_is_operator),
        )
    ).first()
    if found is None:
        return None
    return Principal(
        key_id=KeyId(found.id),
        owner_kind=cast("OwnerKind", found.owner_kind),
        owner_id=found.owner_id,
        scopes=None if found.scopes is None else frozenset(found.scopes),
        last_used_at=found.last_used_at,
    )


def link_state(session: Session, *, token: str, now: datetime) -> LinkState:
    """Whether a magic link still works, without using it up."""
    digest = crypto.digest(token)
    link = session.scalars(select(MagicLink).where(MagicLink.token_digest == digest)).first()
    if link is None:
        return LinkState.UNKNOWN
    if link.used_at is not None:
        return LinkState.USED
    return LinkState.LIVE if now < link.expires_at else LinkState.EXPIRED


def email_of(session: Session, user_id: UserId) -> str:
    return session.scalars(select(User.email).where(User.id == user_id)).one()


def lang_of(session: Session, user_id: UserId) -> str:
    """The language that we write to somebody in."""
    return session.scalars(select(User.lang).where(User.id == user_id)).one()


def find_by_email(session: Session, email: str) -> UserId | None:
    """The user of an address in its normal form (`addresses.normalize`)."""
    found = session.scalars(select(User.id).where(User.email == email)).first()
    return None if found is None else UserId(found)


def operators(session: Session) -> Sequence[User]:
    """Staff who run the business, the longest serving first."""
    return session.scalars(select(User).where(User.role == Role.OPERATOR).order_by(User.id)).all()


def _live(now: datetime) -> tuple[ColumnElement[bool], ...]:
    return (
        SignInSession.revoked_at.is_(None),
        SignInSession.expires_at > now,
        SignInSession.last_seen_at > now - SESSION_IDLE,
    )
