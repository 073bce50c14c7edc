"""Tables of identity. Every secret in them is a digest."""

from datetime import datetime
from enum import StrEnum
from uuid import UUID

from sqlalchemy import CheckConstraint, ForeignKey, Index, Text, text
from sqlalchemy.dialects.postgresql import ARRAY
from sqlalchemy.orm import Mapped, mapped_column

from flowlink.kernel.db import Base, Key


class Role(StrEnum):
    """What staff may do: run the business, or work the support desk."""

    OPERATOR = "operator"
    AGENT = "agent"


class User(Base):
    """A person, known by one e-mail address in its normal form."""

    __tablename__ = "identity_user"
    __table_args__ = (
        CheckConstraint("role IN ('operator', 'agent')", name="role"),
        CheckConstraint("lang IN ('fr', 'en')", name="lang"),
    )

    id: Mapped[Key]
    email: Mapped[str] = mapped_column(unique=True)
    lang: Mapped[str] = mapped_column(server_default=text("'fr'"))
    role: Mapped[str | None]
    created_at: Mapped[datetime]


class MagicLink(Base):
    """A way in that works once. It names an address, not a user: that one may not exist yet."""

    __tablename__ = "identity_magic_link"
    __table_args__ = (
        CheckConstraint("area IN ('partner', 'user')", name="area"),
        Index("ix_identity_magic_link_expires_at", "expires_at"),
    )

    id: Mapped[Key]
    token_digest: Mapped[bytes] = mapped_column(unique=True)
    email: Mapped[str]
    area: Mapped[str]
    origin: Mapped[str] = mapped_column(server_default=text("''"))
    from_cli: Mapped[bool]
    created_at: Mapped[datetime]
    expires_at: Mapped[datetime]
    used_at: Mapped[datetime | None]


class SignInSession(Base):
    """A browser that somebody signed in with."""

    __tablename__ = "identity_session"
    __table_args__ = (Index("ix_identity_session_user_id", "user_id"),)

    id: Mapped[Key]
    user_id: Mapped[UUID] = mapped_column(ForeignKey("identity_user.id"))
    token_digest: Mapped[bytes] = mapped_column(unique=True)
    user_agent: Mapped[str]
    created_at: Mapped[datetime]
    last_seen_at: Mapped[datetime]
    expires_at: Mapped[datetime]
    revoked_at: Mapped[datetime | None]


class ApiKey(Base):
    """A key for programs. It acts for its owner; `user_id` is the person who keeps it, if any."""

    __tablename__ = "identity_api_key"
    __table_args__ = (
        CheckConstraint("owner_kind IN ('operator', 'partner', 'team')", name="owner_kind"),
        CheckConstraint("owner_kind = 'operator' OR owner_id IS NOT NULL", name="owner"),
        Index("ix_identity_api_key_user_id", "user_id"),
        Index("ix_identity_api_key_owner_kind_owner_id", "owner_kind", "owner_id"),
    )

    id: Mapped[Key]
    key_digest: Mapped[bytes] = mapped_column(unique=True)
    hint: Mapped[str]
    name: Mapped[str]
    owner_kind: Mapped[str]
    owner_id: Mapped[UUID | None]
    user_id: Mapped[UUID | None] = mapped_column(ForeignKey("identity_user.id"))
    scopes: Mapped[list[str] | None] = mapped_column(ARRAY(Text))
    created_at: Mapped[datetime]
    last_used_at: Mapped[datetime | None]
    revoked_at: Mapped[datetime | None]
