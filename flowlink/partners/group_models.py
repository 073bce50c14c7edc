"""Tables of groups: which partners have terms in common, and since when each belongs to which."""

from datetime import datetime
from uuid import UUID

from sqlalchemy import CheckConstraint, ForeignKey, Index, Text, text
from sqlalchemy.orm import Mapped, mapped_column

from flowlink.kernel.db import Base, Key


class Group(Base):
    """Partners with terms in common. Newcomers join the one that says so, if there is one."""

    __tablename__ = "partners_group"
    __table_args__ = (
        CheckConstraint("name <> ''", name="name"),
        Index(
            "uq_partners_group_for_newcomers",
            "for_newcomers",
            unique=True,
            postgresql_where=text("for_newcomers"),
        ),
    )

    id: Mapped[Key]
    name: Mapped[str] = mapped_column(Text, unique=True)
    description: Mapped[str] = mapped_column(Text, server_default=text("''"))
    for_newcomers: Mapped[bool] = mapped_column(server_default=text("false"))
    version: Mapped[int] = mapped_column(server_default=text("1"))
    created_at: Mapped[datetime]


class Membership(Base):
    """That a partner belongs to a group (or to none) from a moment on. Rows are only added."""

    __tablename__ = "partners_membership"
    __table_args__ = (
        CheckConstraint("reason <> ''", name="reason"),
        Index("ix_partners_membership_partner_id_id", "partner_id", "id"),
    )

    id: Mapped[Key]
    partner_id: Mapped[UUID] = mapped_column(ForeignKey("partners_partner.id"))
    group_id: Mapped[UUID | None] = mapped_column(ForeignKey("partners_group.id"), index=True)
    from_at: Mapped[datetime]
    reason: Mapped[str] = mapped_column(Text)
    actor: Mapped[str] = mapped_column(Text)
