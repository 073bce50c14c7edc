"""Tables of the kernel: outbox, job runs, flags, policy, audit log, rate limits."""

from datetime import datetime
from typing import Any

from sqlalchemy import BigInteger, Identity, Index, text
from sqlalchemy.orm import Mapped, mapped_column

from flowlink.kernel.db import Base, Key


class Event(Base):
    """A fact that other modules may act on, written in the transaction that made it true."""

    __tablename__ = "kernel_event"
    __table_args__ = (
        Index("ix_kernel_event_waiting", "id", postgresql_where=text("delivered_at IS NULL")),
    )

    id: Mapped[int] = mapped_column(BigInteger, Identity(always=True), primary_key=True)
    name: Mapped[str]
    payload: Mapped[dict[str, Any]]
    at: Mapped[datetime] = mapped_column(server_default=text("now()"))
    delivered_at: Mapped[datetime | None]


class JobRun(Base):
    """One run of a job, by the schedule or by hand, and how it ended."""

    __tablename__ = "kernel_job_run"
    __table_args__ = (
        Index("ix_kernel_job_run_name_id", "name", "id"),
        Index("ix_kernel_job_run_failed", "id", postgresql_where=text("ok IS FALSE")),
    )

    id: Mapped[Key]
    name: Mapped[str]
    as_of: Mapped[datetime]
    started_at: Mapped[datetime]
    ended_at: Mapped[datetime]
    ok: Mapped[bool]
    result: Mapped[str]


class FlagRow(Base):
    """A flag that an operator has switched away from its default."""

    __tablename__ = "kernel_flag"

    name: Mapped[str] = mapped_column(primary_key=True)
    on: Mapped[bool]
    actor: Mapped[str]
    at: Mapped[datetime]


class PolicyRow(Base):
    """A business number from a moment on. Rows are added, never changed."""

    __tablename__ = "kernel_policy"
    __table_args__ = (Index("ix_kernel_policy_name_effective_at", "name", "effective_at"),)

    id: Mapped[Key]
    name: Mapped[str]
    value: Mapped[str]
    effective_at: Mapped[datetime]
    actor: Mapped[str]
    reason: Mapped[str]
    at: Mapped[datetime]


class AuditRow(Base):
    """Who did what, from where. Rows are added, never changed."""

    __tablename__ = "kernel_audit"
    __table_args__ = (Index("ix_kernel_audit_subject", "subject"),)

    id: Mapped[Key]
    at: Mapped[datetime]
    actor: Mapped[str]
    action: Mapped[str]
    subject: Mapped[str]
    ip: Mapped[str]
    details: Mapped[dict[str, Any]]


class RateLimit(Base):
    """How often something was tried in one window of time."""

    __tablename__ = "kernel_rate_limit"

    key: Mapped[str] = mapped_column(primary_key=True)
    window_start: Mapped[datetime] = mapped_column(primary_key=True)
    count: Mapped[int]
