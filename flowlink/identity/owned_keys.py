"""The keys that act for a team or a partner, whoever keeps them."""

from collections.abc import Sequence
from datetime import datetime
from uuid import UUID

from sqlalchemy import ColumnElement, and_, select, update
from sqlalchemy.orm import Session

from flowlink.identity.ids import KEY, KeyId
from flowlink.identity.models import ApiKey
from flowlink.identity.scopes import OwnerKind
from flowlink.kernel import audit, ids
from flowlink.kernel.errors import NotFound

HEADER = ("key", "name", "begins_with", "scopes", "created_at", "last_used_at")


def cells(key: ApiKey) -> tuple[object, ...]:
    """A key as a row of a file, under `HEADER`; without scopes it may do all its owner may."""
    return (
        ids.public(KEY, key.id),
        key.name,
        key.hint,
        " ".join(key.scopes or ()),
        key.created_at,
        key.last_used_at,
    )


def live(session: Session, *, owner_kind: OwnerKind, owner_id: UUID) -> Sequence[ApiKey]:
    """Those that still open something, the newest first."""
    return session.scalars(
        select(ApiKey).where(_theirs(owner_kind, owner_id)).order_by(ApiKey.id.desc())
    ).all()


def revoke(
    session: Session,
    *,
    owner_kind: OwnerKind,
    owner_id: UUID,
    key_id: KeyId,
    actor: str,
    now: datetime,
    ip: str = "",
) -> None:
    """End one at once.

    :raises NotFound: no live key of this owner.
    """
    wanted = update(ApiKey).where(_theirs(owner_kind, owner_id), ApiKey.id == key_id)
    if session.execute(wanted.values(revoked_at=now).returning(ApiKey.id)).first() is None:
        raise NotFound
    audit.record(session, actor, "revoked API key", ids.public(KEY, key_id), now, ip)


def revoke_all(session: Session, *, owner_kind: OwnerKind, owner_id: UUID, now: datetime) -> None:
    """End them all, because their owner is gone."""
    session.execute(update(ApiKey).where(_theirs(owner_kind, owner_id)).values(revoked_at=now))


def _theirs(owner_kind: OwnerKind, owner_id: UUID) -> ColumnElement[bool]:
    return and_(
        ApiKey.owner_kind == owner_kind, ApiKey.owner_id == owner_id, ApiKey.revoked_at.is_(None)
    )
