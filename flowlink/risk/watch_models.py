"""Tables of what is watched, and of how much traffic is usual for somebody."""

from datetime import datetime
from enum import StrEnum
from typing import Any
from uuid import UUID

from sqlalchemy import CheckConstraint, ForeignKey, Index, Text, text
from sqlalchemy.orm import Mapped, mapped_column

from flowlink.kernel.db import Base, Key


class Rule(StrEnum):
    """What the clicks have in common that look wrong together; the finest that fits."""

    OWN = "own"
    DATACENTER = "datacenter"
    NETWORK = "network"
    AGENT = "agent"
    REFERRER = "referrer"
    LINK = "link"
    ACCOUNT = "account"


class WatchState(StrEnum):
    OPEN = "open"
    CLEARED = "cleared"
    CONFIRMED = "confirmed"


class Scope(StrEnum):
    PARTNER = "partner"
    GROUP = "group"


class Watch(Base):
    """Clicks of a partner that look wrong together: their money waits until a person decides."""

    __tablename__ = "risk_watch"
    __table_args__ = (
        CheckConstraint(
            "rule IN ('own', 'datacenter', 'network', 'agent', 'referrer', 'link', 'account')",
            name="rule",
        ),
        CheckConstraint("state IN ('open', 'cleared', 'confirmed')", name="state"),
        CheckConstraint("score > 0", name="score"),
        CheckConstraint(
            "(state = 'open') = (decided_at IS NULL) AND (decided_at IS NULL) ="
            " (decided_by IS NULL) AND (decided_at IS NULL) = (decided_reason IS NULL)"
            " AND decided_reason <> ''",
            name="decided",
        ),
        Index(
            "uq_risk_watch_open",
            "partner_id",
            "rule",
            unique=True,
            postgresql_where=text("state = 'open'"),
        ),
        Index("ix_risk_watch_partner_id_decided_at", "partner_id", "decided_at"),
        Index("ix_risk_watch_due", "deadline", "id", postgresql_where=text("state = 'open'")),
    )

    id: Mapped[Key]
    partner_id: Mapped[UUID] = mapped_column(ForeignKey("partners_partner.id"))
    rule: Mapped[Rule] = mapped_column(Text)
    state: Mapped[WatchState] = mapped_column(Text, server_default=text("'open'"))
    score: Mapped[int]
    evidence: Mapped[dict[str, Any]]
    created_at: Mapped[datetime]
    seen_at: Mapped[datetime]
    deadline: Mapped[datetime]
    decided_by: Mapped[str | None] = mapped_column(Text)
    decided_at: Mapped[datetime | None]
    decided_reason: Mapped[str | None] = mapped_column(Text)


class VelocityScale(Base):
    """How far from the usual limit of clicks a partner's, or a group's, own one lies.

    Rows are only added: the latest version binds, and 100 percent is the usual limit again.
    """

    __tablename__ = "risk_velocity_scale"
    __table_args__ = (
        CheckConstraint("scope IN ('partner', 'group')", name="scope"),
        CheckConstraint("version > 0", name="version"),
        CheckConstraint("percent BETWEEN 10 AND 100000", name="percent"),
        CheckConstraint("reason <> ''", name="reason"),
    )

    scope: Mapped[Scope] = mapped_column(Text, primary_key=True)
    subject: Mapped[UUID] = mapped_column(primary_key=True)
    version: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    percent: Mapped[int]
    reason: Mapped[str] = mapped_column(Text)
    actor: Mapped[str] = mapped_column(Text)
    at: Mapped[datetime]
