"""Tables of what was decided about partners."""

from datetime import datetime
from enum import StrEnum
from typing import Any
from uuid import UUID

from sqlalchemy import CheckConstraint, ForeignKey, Index, Text, text
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.orm import Mapped, mapped_column

from flowlink.kernel.db import Base, Key


class Flag(StrEnum):
    HOLD = "hold"
    FRAUD = "fraud"
    DMCA = "dmca"


class Standing(Base):
    """A row to lock, one a partner. Nothing refers to it, so no foreign key ever waits for it."""

    __tablename__ = "risk_standing"

    id: Mapped[UUID] = mapped_column(ForeignKey("partners_partner.id"), primary_key=True)


class Hold(Base):
    """A decision against a partner, with what it rests on."""

    __tablename__ = "risk_hold"
    __table_args__ = (
        CheckConstraint("flag IN ('hold', 'fraud', 'dmca')", name="flag"),
        CheckConstraint("reason <> ''", name="reason"),
        CheckConstraint(
            "(lifted_at IS NULL) = (lifted_by IS NULL)"
            " AND (lifted_at IS NULL) = (lifted_reason IS NULL) AND lifted_reason <> ''",
            name="lifted",
        ),
        Index(
            "uq_risk_hold_open",
            "partner_id",
            "flag",
            unique=True,
            postgresql_where=text("lifted_at IS NULL"),
        ),
        Index("ix_risk_hold_partner_id_lifted_at", "partner_id", "lifted_at"),
        Index("ix_risk_hold_due", "deadline", "id", postgresql_where=text("lifted_at IS NULL")),
    )

    id: Mapped[Key]
    partner_id: Mapped[UUID] = mapped_column(ForeignKey("partners_partner.id"))
    flag: Mapped[Flag] = mapped_column(Text)
    reason: Mapped[str] = mapped_column(Text)
    evidence: Mapped[dict[str, Any]] = mapped_column(JSONB)
    placed_by: Mapped[str] = mapped_column(Text)
    created_at: Mapped[datetime]
    deadline: Mapped[datetime]
    lifted_by: Mapped[str | None] = mapped_column(Text)
    lifted_at: Mapped[datetime | None]
    lifted_reason: Mapped[str | None] = mapped_column(Text)
