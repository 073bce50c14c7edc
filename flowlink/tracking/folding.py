"""Clicks counted by where they came from and by hour of their link, a little after they came.

A batch leaves what its clicks were in one row; a job folds many batches at once, which costs less
than counting each for itself. When a day is over, its counts are packed into one row a link. What
goes and what comes change places in one transaction, and whoever reads adds all three up, so what
is read is exact and of this moment, folded and packed or not.
"""

from collections.abc import Sequence
from datetime import date

from sqlalchemy import select, text, union_all
from sqlalchemy.orm import Session
from sqlalchemy.sql.selectable import Subquery

from flowlink.kernel import db
from flowlink.tracking.rollups import LinkHourCount, OriginCount

LOCK = "tracking.recount"
BATCHES = 500

_UNFOLDED = """unnest(partners, hours, links, countries, devices, referrers, reasons)
  AS one (partner, hour, link, country, device, referrer, reason)"""
_ORIGIN = "partner, day, link, country, device, referrer, reason"
_DAY = "DATE '1970-01-01' + hour / 24"
_HOUR = "to_timestamp(hour * 3600.0)"
_VALID = "count(*) FILTER (WHERE reason = 0)::int"
_FLAGGED = "count(*) FILTER (WHERE reason <> 0)::int"

# What waits, in the shape of the tables that it goes to: to be read together with them.
WAITING_ORIGINS = f"""
  SELECT partner, {_DAY} AS day, link, country, device, referrer, reason, 1 AS count
  FROM tracking_click_waiting, {_UNFOLDED}
"""  # noqa: S608
PACKED_ORIGINS = """
  SELECT packed.partner, packed.day, packed.link,
         one.country, one.device, one.referrer, one.reason, one.count
  FROM tracking_click_origin_day packed, unnest(countries, devices, referrers, reasons, counts)
    AS one (country, device, referrer, reason, count)
"""
WAITING_LINK_HOURS = f"""
  SELECT link, {_HOUR} AS hour, (reason = 0)::int AS valid, (reason <> 0)::int AS flagged
  FROM tracking_click_waiting, {_UNFOLDED}
"""  # noqa: S608

_FOLD = f"""
WITH taken AS MATERIALIZED (
  DELETE FROM tracking_click_waiting
  WHERE id IN (SELECT id FROM tracking_click_waiting ORDER BY id LIMIT :batches) RETURNING *
), click AS MATERIALIZED (
  SELECT one.* FROM taken, {_UNFOLDED}
), origins AS (
  INSERT INTO tracking_click_origin AS r ({_ORIGIN}, count)
  SELECT partner, {_DAY}, link, country, device, referrer, reason, count(*) FROM click
  GROUP BY 1, 2, 3, 4, 5, 6, 7 ORDER BY 1, 2, 3, 4, 5, 6, 7
  ON CONFLICT ({_ORIGIN}) DO UPDATE SET count = r.count + excluded.count
), link_hours AS (
  INSERT INTO tracking_click_link_hour AS r (link, hour, valid, flagged)
  SELECT link, {_HOUR}, {_VALID}, {_FLAGGED} FROM click GROUP BY 1, 2 ORDER BY 1, 2
  ON CONFLICT (link, hour) DO UPDATE
  SET valid = r.valid + excluded.valid, flagged = r.flagged + excluded.flagged
)
SELECT (SELECT count(*) FROM taken), (SELECT count(*) FROM click)
"""  # noqa: S608

# A late click of a packed day is packed again with what its link had: sums that became nothing
# stay as zeros, so that the row they were in is written anew.
_PACK = f"""
WITH taken AS MATERIALIZED (
  DELETE FROM tracking_click_origin WHERE day = :day RETURNING *
), known AS (
  SELECT {_ORIGIN}, count FROM taken
  UNION ALL
  SELECT * FROM ({PACKED_ORIGINS}) AS packed
  WHERE day = :day AND EXISTS (
    SELECT FROM taken WHERE taken.partner = packed.partner AND taken.link = packed.link)
), summed AS (
  SELECT {_ORIGIN}, sum(count)::int AS count FROM known GROUP BY 1, 2, 3, 4, 5, 6, 7
)
INSERT INTO tracking_click_origin_day AS r
  (partner, day, link, countries, devices, referrers, reasons, counts)
SELECT partner, day, link, array_agg(country), array_agg(device), array_agg(referrer),
       array_agg(reason), array_agg(count)
FROM summed GROUP BY partner, day, link ORDER BY partner, day, link
ON CONFLICT (partner, day, link) DO UPDATE
SET countries = excluded.countries, devices = excluded.devices, referrers = excluded.referrers,
    reasons = excluded.reasons, counts = excluded.counts
"""  # noqa: S608


def fold(session: Session) -> tuple[int, int]:
    """Count what the oldest batches left; how many batches that were, and how many clicks."""
    db.advisory_lock(session, LOCK)  # who folds and who rebuilds may wait for each other otherwise
    batches, clicks = session.execute(text(_FOLD), {"batches": BATCHES}).one()
    return int(batches), int(clicks)


def unpacked(session: Session, *, today: date) -> Sequence[date]:
    """Days that are over and have counts by origin to pack, the oldest first."""
    days = select(OriginCount.day).where(OriginCount.day < today).distinct()
    return session.scalars(days.order_by(OriginCount.day)).all()


def pack(session: Session, *, day: date) -> None:
    """Put a day's counts by origin into one row a link, with those that are packed already."""
    db.advisory_lock(session, LOCK)
    session.execute(text(_PACK), {"day": day})


def origins() -> Subquery:
    """The counts by origin, packed or not, with what waits: a row a kind of visit, or several."""
    columns = OriginCount.__table__.columns
    waiting = text(WAITING_ORIGINS).columns(*columns).subquery("waiting")
    packed = text(PACKED_ORIGINS).columns(*columns).subquery("packed")
    every = union_all(select(*columns), select(packed), select(waiting))
    return every.subquery("origin")


def link_hours() -> Subquery:
    """The counts by link and hour, with what waits: one row a link and hour, or several."""
    columns = LinkHourCount.__table__.columns
    waiting = text(WAITING_LINK_HOURS).columns(*columns).subquery("waiting")
    return union_all(select(*columns), select(waiting)).subquery("link_hour")
