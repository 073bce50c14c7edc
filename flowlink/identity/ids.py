"""Keys of identity, and the forms they wear outside."""

from typing import NewType
from uuid import UUID

from flowlink.kernel import ids

UserId = NewType("UserId", UUID)
SessionId = NewType("SessionId", UUID)
KeyId = NewType("KeyId", UUID)

USER = "usr"
SESSION = "ses"
KEY = "key"


def actor_of(user_id: UserId) -> str:
    """How the audit log names a person."""
    return f"user:{ids.public(USER, user_id)}"
