"""Clicks counted by where they came from and by hour of their link, a little after they came.

A batch leaves what its clicks were in one row; a job folds many batches at once, which costs a
third of counting each for itself. Batch and counts change places in one transaction, and whoever
reads adds both up, so what is read is exact and of this moment, folded or not.
"""

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


def fold(session: Session) -> tuple[int, int]:
    """Count what the oldest batches left; how many batches that were, and how many clicks."""
    db.advisory_lock(session, LOCK)  # who folds and who rebuilds may wait for each other otherwise
    batches, clicks = session.execute(text(_FOLD), {"batches": BATCHES}).one()
    return int(batches), int(clicks)


def origins() -> Subquery:
    """The counts by origin, with what waits: one row a kind of visit, or several."""
    columns = OriginCount.__table__.columns
    waiting = text(WAITING_ORIGINS).columns(*columns).subquery("waiting")
    return union_all(select(*columns), select(waiting)).subquery("origin")


def link_hours() -> Subquery:
    """The counts by link and hour, with what waits: one row a link and hour, or several."""
    columns = LinkHourCount.__table__.columns
    waiting = text(WAITING_LINK_HOURS).columns(*columns).subquery("waiting")
    return union_all(select(*columns), select(waiting)).subquery("link_hour")
