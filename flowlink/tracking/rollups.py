"""More tables of counts: a link by the hour, visits by where they came from; and days put away."""

from datetime import date, datetime

from sqlalchemy import BigInteger, SmallInteger, Text
from sqlalchemy.orm import Mapped, mapped_column

from flowlink.kernel.db import Base


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
