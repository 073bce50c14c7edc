"""Tables of the counts of clicks, kept in the transaction of each click; and days put away."""

from datetime import date, datetime

from sqlalchemy import BigInteger, SmallInteger, Text
from sqlalchemy.orm import Mapped, mapped_column

from flowlink.kernel.db import Base


class MinuteCount(Base):
    """Clicks of a partner in a minute: what the velocity rule reads."""

    __tablename__ = "tracking_click_minute"

    minute: Mapped[datetime] = mapped_column(primary_key=True)
    partner: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    valid: Mapped[int]
    flagged: Mapped[int]


class HourCount(Base):
    """Clicks of a partner in an hour."""

    __tablename__ = "tracking_click_hour"

    partner: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    hour: Mapped[datetime] = mapped_column(primary_key=True)
    valid: Mapped[int]
    flagged: Mapped[int]


class DayCount(Base):
    """Clicks of a partner in a UTC day."""

    __tablename__ = "tracking_click_day"

    partner: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    day: Mapped[date] = mapped_column(primary_key=True, index=True)
    valid: Mapped[int]
    flagged: Mapped[int]


class LinkDayCount(Base):
    """Clicks of a link in a UTC day."""

    __tablename__ = "tracking_click_link_day"

    link: Mapped[int] = mapped_column(BigInteger, primary_key=True, autoincrement=False)
    day: Mapped[date] = mapped_column(primary_key=True, index=True)
    valid: Mapped[int]
    flagged: Mapped[int]


class Miss(Base):
    """How often an address that leads nowhere was asked for: unknown, disabled or malformed."""

    __tablename__ = "tracking_miss"

    day: Mapped[date] = mapped_column(primary_key=True)
    reason: Mapped[str] = mapped_column(Text, primary_key=True)
    count: Mapped[int] = mapped_column(BigInteger)


class LinkHourCount(Base):
    """Clicks of a link in an hour."""

    __tablename__ = "tracking_click_link_hour"

    link: Mapped[int] = mapped_column(BigInteger, primary_key=True, autoincrement=False)
    hour: Mapped[datetime] = mapped_column(primary_key=True)
    valid: Mapped[int]
    flagged: Mapped[int]


class OriginCount(Base):
    """Clicks of a link on a UTC day by where they came from and what they were."""

    __tablename__ = "tracking_click_origin"

    partner: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    day: Mapped[date] = mapped_column(primary_key=True, index=True)
    link: Mapped[int] = mapped_column(BigInteger, primary_key=True, autoincrement=False)
    country: Mapped[int] = mapped_column(SmallInteger, primary_key=True, autoincrement=False)
    device: Mapped[int] = mapped_column(SmallInteger, primary_key=True, autoincrement=False)
    referrer: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    reason: Mapped[int] = mapped_column(SmallInteger, primary_key=True, autoincrement=False)
    count: Mapped[int]


class Archive(Base):
    """A day whose clicks are in a file and no longer here; its counts stay."""

    __tablename__ = "tracking_archive"

    day: Mapped[date] = mapped_column(primary_key=True)
    clicks: Mapped[int] = mapped_column(BigInteger)
    file: Mapped[str] = mapped_column(Text)
    sha256: Mapped[str] = mapped_column(Text)
    archived_at: Mapped[datetime]
