"""The ids of teams and their public prefixes."""

from typing import NewType
from uuid import UUID

from flowlink.kernel import ids

PREFIX = "team"
INVITATION = "inv"

TeamId = NewType("TeamId", UUID)
InvitationId = NewType("InvitationId", UUID)


def public(team_id: UUID) -> str:
    """`team_…`, as people and scripts see it."""
    return ids.public(PREFIX, team_id)
