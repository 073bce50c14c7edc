"""Tables of the counts of clicks, kept in the transaction of each click; and days put away.

Counts by origin and by hour of a link are folded a little later: `folding` reads them whole.
"""

from datetime import date, datetime

from sqlalchemy import BigInteger, Identity, Integer, SmallInteger, Text
from sqlalchemy.dialects.postgresql import ARRAY
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
    """Clicks of a link in an hour, for some days: see `housekeeping`."""

    __tablename__ = "tracking_click_link_hour"

    link: Mapped[int] = mapped_column(BigInteger, primary_key=True, autoincrement=False)
    hour: Mapped[datetime] = mapped_column(primary_key=True)
    valid: Mapped[int]
    flagged: Mapped[int]


class OriginCount(Base):
    """Clicks of a link today (UTC), or late, by where they came from and what they were."""

    __tablename__ = "tracking_click_origin"

    partner: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    day: Mapped[date] = mapped_column(primary_key=True, index=True)
    link: Mapped[int] = mapped_column(BigInteger, primary_key=True, autoincrement=False)
    country: Mapped[int] = mapped_column(SmallInteger, primary_key=True, autoincrement=False)
    device: Mapped[int] = mapped_column(SmallInteger, primary_key=True, autoincrement=False)
    referrer: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    reason: Mapped[int] = mapped_column(SmallInteger, primary_key=True, autoincrement=False)
    count: Mapped[int]


class OriginDay(Base):
    """The counts by origin of a link on a day that is over, column by column."""

    __tablename__ = "tracking_click_origin_day"

    partner: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    day: Mapped[date] = mapped_column(primary_key=True, index=True)
    link: Mapped[int] = mapped_column(BigInteger, primary_key=True, autoincrement=False)
    countries: Mapped[list[int]] = mapped_column(ARRAY(SmallInteger))
    devices: Mapped[list[int]] = mapped_column(ARRAY(SmallInteger))
    referrers: Mapped[list[int]] = mapped_column(ARRAY(Integer))
    reasons: Mapped[list[int]] = mapped_column(ARRAY(SmallInteger))
    counts: Mapped[list[int]] = mapped_column(ARRAY(Integer))


class WaitingClicks(Base):
    """What one batch's clicks were, column by column, until they are folded: see `folding`."""

    __tablename__ = "tracking_click_waiting"

    id: Mapped[int] = mapped_column(BigInteger, Identity(always=True), primary_key=True)
    partners: Mapped[list[int]] = mapped_column(ARRAY(Integer))
    hours: Mapped[list[int]] = mapped_column(ARRAY(Integer))
    links: Mapped[list[int]] = mapped_column(ARRAY(BigInteger))
    countries: Mapped[list[int]] = mapped_column(ARRAY(SmallInteger))
    devices: Mapped[list[int]] = mapped_column(ARRAY(SmallInteger))
    referrers: Mapped[list[int]] = mapped_column(ARRAY(Integer))
    reasons: Mapped[list[int]] = mapped_column(ARRAY(SmallInteger))


class Archive(Base):
    """Clicks of a day that are in a file and no longer here; their counts stay.

    Clicks that came after their day was put away are put away as its next part.
    """

    __tablename__ = "tracking_archive"

    day: Mapped[date] = mapped_column(primary_key=True)
    part: Mapped[int] = mapped_column(SmallInteger, primary_key=True, autoincrement=False)
    clicks: Mapped[int] = mapped_column(BigInteger)
    file: Mapped[str] = mapped_column(Text)
    sha256: Mapped[str] = mapped_column(Text)
    archived_at: Mapped[datetime]
    dropped: Mapped[bool]
