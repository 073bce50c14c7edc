"""Tables of teams."""

from datetime import datetime
from enum import StrEnum
from uuid import UUID

from sqlalchemy import CheckConstraint, ForeignKey, Index, Text, text
from sqlalchemy.orm import Mapped, mapped_column

from flowlink.kernel.db import Base, Key

_ROLES = "role IN ('owner', 'admin', 'member')"


class Role(StrEnum):
    """What a member may do; each may all that the ones below may."""

    MEMBER = "member"
    ADMIN = "admin"
    OWNER = "owner"

    def covers(self, needed: "Role") -> bool:
        """Whether it is enough where `needed` is asked for."""
        order = list(Role)
        return order.index(self) >= order.index(needed)


class Team(Base):
    """People who host together. `closes_at`: deleted, and gone for good from then on."""

    __tablename__ = "teams_team"
    __table_args__ = (
        CheckConstraint("slug ~ '^[a-z0-9]([a-z0-9-]{1,38})[a-z0-9]$'", name="slug"),
        CheckConstraint("name <> ''", name="name"),
        CheckConstraint("closed_at IS NULL OR closes_at <= closed_at", name="closed"),
        Index("ix_teams_team_closes_at", "closes_at", postgresql_where=text("closed_at IS NULL")),
    )

    id: Mapped[Key]
    slug: Mapped[str] = mapped_column(Text, unique=True)
    name: Mapped[str] = mapped_column(Text)
    created_at: Mapped[datetime]
    closes_at: Mapped[datetime | None]
    closed_at: Mapped[datetime | None]


class Member(Base):
    """A user in a team. Exactly one is the owner: the index allows one, a trigger wants one."""

    __tablename__ = "teams_member"
    __table_args__ = (
        CheckConstraint(_ROLES, name="role"),
        Index(
            "uq_teams_member_owner", "team_id", unique=True, postgresql_where=text("role = 'owner'")
        ),
        Index("ix_teams_member_user_id", "user_id"),
    )

    team_id: Mapped[UUID] = mapped_column(ForeignKey("teams_team.id"), primary_key=True)
    user_id: Mapped[UUID] = mapped_column(ForeignKey("identity_user.id"), primary_key=True)
    role: Mapped[Role] = mapped_column(Text)
    joined_at: Mapped[datetime]


class Invitation(Base):
    """A way into a team for one address, for 30 days, once."""

    __tablename__ = "teams_invitation"
    __table_args__ = (
        CheckConstraint("role IN ('admin', 'member')", name="role"),
        CheckConstraint("accepted_at IS NULL OR revoked_at IS NULL", name="ended"),
        Index(
            "uq_teams_invitation_open",
            "team_id",
            "email",
            unique=True,
            postgresql_where=text("accepted_at IS NULL AND revoked_at IS NULL"),
        ),
    )

    id: Mapped[Key]
    team_id: Mapped[UUID] = mapped_column(ForeignKey("teams_team.id"))
    email: Mapped[str] = mapped_column(Text)
    role: Mapped[Role] = mapped_column(Text)
    token_digest: Mapped[bytes] = mapped_column(unique=True)
    invited_by: Mapped[str] = mapped_column(Text)
    created_at: Mapped[datetime]
    expires_at: Mapped[datetime]
    accepted_at: Mapped[datetime | None]
    revoked_at: Mapped[datetime | None]
