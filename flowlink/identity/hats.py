"""What a person is beyond a user, which the modules above know: the app tells us where to ask."""

from collections.abc import Callable
from uuid import UUID

from sqlalchemy.orm import Session

from flowlink.identity.ids import UserId

Lookup = Callable[[Session, UserId], UUID | None]

_lookups: dict[str, Lookup] = {}


def install(*, partner: Lookup) -> None:
    """Say how to find the partner that a user is. Called once, where the app is put together."""
    _lookups["partner"] = partner


def partner_of(session: Session, user_id: UserId) -> UUID | None:
    """The partner that a user is, if any."""
    lookup = _lookups.get("partner")
    return lookup(session, user_id) if lookup else None
