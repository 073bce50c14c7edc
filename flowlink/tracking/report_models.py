"""Tables of reports: files in which networks say again, or only then, what happened."""

from datetime import datetime
from enum import StrEnum
from typing import Any
from uuid import UUID

from sqlalchemy import CheckConstraint, ForeignKey, Index, Text, text
from sqlalchemy.dialects.postgresql import ARRAY, JSONB
from sqlalchemy.orm import Mapped, mapped_column

from flowlink.kernel.db import Base, Key


class ReportState(StrEnum):
    DRAFT = "draft"
    RUNNING = "running"
    DONE = "done"


class Report(Base):
    """A file of a network. `columns`: our field -> the number of its column, from 0."""

    __tablename__ = "tracking_report"
    __table_args__ = (
        CheckConstraint("state IN ('draft', 'running', 'done')", name="state"),
        Index("ix_tracking_report_network_id", "network_id"),
    )

    id: Mapped[Key]
    network_id: Mapped[UUID] = mapped_column(ForeignKey("tracking_network.id"))
    filename: Mapped[str] = mapped_column(Text)
    header: Mapped[list[str]] = mapped_column(ARRAY(Text))
    columns: Mapped[dict[str, Any]] = mapped_column(JSONB)
    state: Mapped[ReportState] = mapped_column(Text)
    rows: Mapped[int]
    made_by: Mapped[str] = mapped_column(Text)
    created_at: Mapped[datetime]
    started_at: Mapped[datetime | None]
    done_at: Mapped[datetime | None]


class ReportRow(Base):
    """One row as it came, and what became of it: the postback it was turned into."""

    __tablename__ = "tracking_report_row"
    __table_args__ = (
        CheckConstraint(
            "result IN ('ok', 'duplicate', 'orphan', 'quarantined', 'rejected')", name="result"
        ),
        Index(
            "ix_tracking_report_row_todo",
            "report_id",
            "number",
            postgresql_where=text("result IS NULL"),
        ),
        Index("ix_tracking_report_row_postback_id", "postback_id"),
    )

    report_id: Mapped[UUID] = mapped_column(ForeignKey("tracking_report.id"), primary_key=True)
    number: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    cells: Mapped[list[str]] = mapped_column(ARRAY(Text))
    result: Mapped[str | None] = mapped_column(Text)
    reason: Mapped[str | None] = mapped_column(Text)
    postback_id: Mapped[UUID | None] = mapped_column(ForeignKey("tracking_postback.id"))
