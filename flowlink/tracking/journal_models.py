"""Tables of click journals: how far each is kept, and what of one could not be."""

from datetime import date, datetime

from sqlalchemy import BigInteger, Identity, Text
from sqlalchemy.orm import Mapped, mapped_column

from flowlink.kernel.db import Base


class JournalPosition(Base):
    """How far an edge's journal is stored: written with the clicks up to there."""

    __tablename__ = "tracking_journal_position"

    edge: Mapped[str] = mapped_column(Text, primary_key=True)
    segment: Mapped[int] = mapped_column(BigInteger)
    byte_offset: Mapped[int] = mapped_column(BigInteger)
    sequence: Mapped[int] = mapped_column(BigInteger)


class JournalLoss(Base):
    """A stretch of a journal that could not be read, and how many clicks it held, if known."""

    __tablename__ = "tracking_journal_loss"

    id: Mapped[int] = mapped_column(BigInteger, Identity(always=True), primary_key=True)
    edge: Mapped[str] = mapped_column(Text)
    number: Mapped[int] = mapped_column(BigInteger)
    start_offset: Mapped[int] = mapped_column(BigInteger)
    end_offset: Mapped[int] = mapped_column(BigInteger)
    damage: Mapped[str] = mapped_column(Text)
    records: Mapped[int | None] = mapped_column(BigInteger)
    at: Mapped[datetime]


class JournalRefusal(Base):
    """A record of a journal that the tables cannot hold, as it is."""

    __tablename__ = "tracking_journal_refusal"

    id: Mapped[int] = mapped_column(BigInteger, Identity(always=True), primary_key=True)
    edge: Mapped[str] = mapped_column(Text)
    segment: Mapped[int] = mapped_column(BigInteger)
    byte_offset: Mapped[int] = mapped_column(BigInteger)
    record: Mapped[bytes]
    reason: Mapped[str] = mapped_column(Text)
    at: Mapped[datetime]


class Unrecorded(Base):
    """How many clicks of a UTC day an edge sent on that could be kept nowhere."""

    __tablename__ = "tracking_unrecorded"

    day: Mapped[date] = mapped_column(primary_key=True)
    edge: Mapped[str] = mapped_column(Text, primary_key=True)
    count: Mapped[int] = mapped_column(BigInteger)
    at: Mapped[datetime]


class EdgeState(Base):
    """How an edge's journal stood when its shipper last looked."""

    __tablename__ = "tracking_edge"

    edge: Mapped[str] = mapped_column(Text, primary_key=True)
    host: Mapped[str] = mapped_column(Text)
    directory: Mapped[str] = mapped_column(Text)
    backlog_bytes: Mapped[int] = mapped_column(BigInteger)
    backlog_records: Mapped[int] = mapped_column(BigInteger)
    oldest_at: Mapped[datetime | None]
    error: Mapped[str] = mapped_column(Text)
    seen_at: Mapped[datetime]
