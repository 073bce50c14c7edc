"""The hold's id and its public prefix."""

from typing import NewType
from uuid import UUID

from flowlink.kernel import ids

PREFIX = "hold"

HoldId = NewType("HoldId", UUID)


def public(hold_id: UUID) -> str:
    """`hold_…`, as people and scripts see it."""
    return ids.public(PREFIX, hold_id)
