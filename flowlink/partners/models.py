"""Tables of the people who earn."""

from datetime import datetime
from enum import StrEnum
from uuid import UUID

from sqlalchemy import BigInteger, CheckConstraint, ForeignKey, Identity, Text, text
from sqlalchemy.orm import Mapped, mapped_column

from flowlink.kernel.db import Base, Key


class PartnerStatus(StrEnum):
    PENDING = "pending"
    ACTIVE = "active"
    CLOSED = "closed"


class Partner(Base):
    """One user's partner hat. `number` is the small dense name that clicks carry."""

    __tablename__ = "partners_partner"
    __table_args__ = (
        CheckConstraint("status IN ('pending', 'active', 'closed')", name="status"),
        CheckConstraint("handle ~ '^[a-z0-9][a-z0-9_-]{1,28}[a-z0-9]$'", name="handle"),
    )

    id: Mapped[Key]
    number: Mapped[int] = mapped_column(BigInteger, Identity(always=True), unique=True)
    user_id: Mapped[UUID] = mapped_column(ForeignKey("identity_user.id"), unique=True)
    status: Mapped[PartnerStatus] = mapped_column(Text)
    handle: Mapped[str | None] = mapped_column(Text, unique=True)
    alias: Mapped[str] = mapped_column(
        Text,
        unique=True,
        server_default=text("'partner-' || left(replace(uuidv4()::text, '-', ''), 10)"),
    )
    leaderboard_consent: Mapped[bool] = mapped_column(server_default=text("false"))
    terms_version: Mapped[str] = mapped_column(Text)
    terms_accepted_at: Mapped[datetime]
    decided_by: Mapped[str | None] = mapped_column(Text)
    decided_at: Mapped[datetime | None]
    decision_reason: Mapped[str] = mapped_column(Text, server_default=text("''"))
    created_at: Mapped[datetime]

    @property
    def listed_as(self) -> str:
        """The name on the public leaderboard: the handle only where they agreed to it."""
        return self.handle if self.handle and self.leaderboard_consent else self.alias

    @property
    def shown_as(self) -> str:
        """What others see: the chosen handle, or an opaque one."""
        return self.handle or self.alias
