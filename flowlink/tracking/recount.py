"""The counts of clicks proved against the clicks themselves, and put right where they differ.

A click and its counts are written in one transaction, so one statement sees both or neither, and
a difference stays the same whoever clicks meanwhile: it is simply added. Nothing has to stop.
Days that were put away (see `archive`) keep their counts; there is nothing to prove them with.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from typing import Any

from sqlalchemy import select, text
from sqlalchemy.orm import Session

from flowlink.kernel import db
from flowlink.tracking import clickid, devices, housekeeping
from flowlink.tracking.models import Agent
from flowlink.tracking.rollups import Archive

LOCK = "tracking.recount"
_AT = "to_timestamp(((c.id >> 22) + 1704067200000) / 1000.0)"
_VALID = "count(*) FILTER (WHERE c.reason = 0)::int AS valid"
_FLAGGED = "count(*) FILTER (WHERE c.reason <> 0)::int AS flagged"


@dataclass(frozen=True, slots=True)
class _Rollup:
    """A table of counts: its key, each part as it follows from a click, and its counts."""

    table: str
    key: dict[str, str]
    counts: dict[str, str]
    of_day: str
    joins: str = ""


def _two(table: str, key: dict[str, str], of_day: str) -> _Rollup:
    return _Rollup(table, key, {"valid": _VALID, "flagged": _FLAGGED}, of_day)


_IN_DAY = ">= :start AND t.{0} < :end"
_MINUTES = _two(
    "tracking_click_minute",
    {"minute": f"date_trunc('minute', {_AT}, 'UTC')", "partner": "c.partner"},
    "t.minute " + _IN_DAY.format("minute"),
)
_ROLLUPS = (
    _two(
        "tracking_click_hour",
        {"partner": "c.partner", "hour": f"date_trunc('hour', {_AT}, 'UTC')"},
        "t.hour " + _IN_DAY.format("hour"),
    ),
    _two("tracking_click_day", {"partner": "c.partner", "day": ":day ::date"}, "t.day = :day"),
    _two("tracking_click_link_day", {"link": "c.link", "day": ":day ::date"}, "t.day = :day"),
    _two(
        "tracking_click_link_hour",
        {"link": "c.link", "hour": f"date_trunc('hour', {_AT}, 'UTC')"},
        "t.hour " + _IN_DAY.format("hour"),
    ),
    _Rollup(
        "tracking_click_origin",
        {
            "partner": "c.partner",
            "day": ":day ::date",
            "link": "c.link",
            "country": "c.country",
            "device": "a.device",
            "referrer": "c.referrer",
            "reason": "c.reason",
        },
        {"count": "count(*)::int AS count"},
        "t.day = :day",
        "JOIN tracking_agent a ON a.id = c.agent",
    ),
)


@dataclass(frozen=True, slots=True)
class Difference:
    """How many rows of a table say something else than a day's clicks."""

    day: date
    table: str
    rows: int


def days(session: Session, *, since: date | None = None, until: date) -> Sequence[date]:
    """The days that have clicks or counts and were not put away, oldest first."""
    query = """
    SELECT DISTINCT day FROM (
      SELECT day FROM tracking_click_day UNION SELECT day FROM tracking_click_link_day
      UNION SELECT day FROM tracking_click_origin
      UNION SELECT generate_series(
        to_timestamp(((min(id) >> 22) + 1704067200000) / 1000.0),
        to_timestamp(((max(id) >> 22) + 1704067200000) / 1000.0) + interval '1 day',
        interval '1 day')::date FROM tracking_click
    ) AS known
    WHERE day BETWEEN :since AND :until AND day NOT IN (SELECT day FROM tracking_archive)
    ORDER BY day
    """
    span = {"since": since or clickid.EPOCH.date(), "until": until}
    return session.scalars(text(query), span).all()


def differences(session: Session, *, day: date, now: datetime) -> list[Difference]:
    """What a recount of the day says against the counts; empty when they are equal."""
    found = []
    for rollup in _due(day, now):
        query = f"{_difference(rollup)} SELECT count(*) FROM difference"  # noqa: S608
        rows = int(session.scalar(text(query), _span(day)) or 0)
        if rows:
            found.append(Difference(day, rollup.table, rows))
    return found


def rebuild(session: Session, *, day: date, now: datetime) -> list[Difference]:
    """Make the counts of a day what its clicks say; returns what was put right.

    Clicks that arrive meanwhile are counted as always. A day that was put away is left alone.
    """
    db.advisory_lock(session, LOCK)  # a difference that two find is added once
    if session.get(Archive, day) is not None:
        return []
    _reclassify(session)
    found = []
    for rollup in _due(day, now):
        repaired = session.execute(text(_repair(rollup)), _span(day)).scalar_one()
        session.execute(text(_sweep(rollup)), _span(day))
        if repaired:
            found.append(Difference(day, rollup.table, int(repaired)))
    return found


def _reclassify(session: Session) -> None:
    """Tell the devices of agents again that were seen before the rule knew theirs."""
    unknown = select(Agent).where(Agent.device == int(devices.Device.OTHER))
    for agent in session.scalars(unknown):
        agent.device = int(devices.device(agent.text))
    session.flush()


def _due(day: date, now: datetime) -> Sequence[_Rollup]:
    """Minutes are forgotten early: only those that are still kept can be compared."""
    oldest = now.astimezone(UTC).date() - timedelta(days=housekeeping.DAYS_REMEMBERED - 1)
    return (*_ROLLUPS, _MINUTES) if day >= oldest else _ROLLUPS


def _span(day: date) -> dict[str, Any]:
    start = datetime(day.year, day.month, day.day, tzinfo=UTC)
    end = start + timedelta(days=1)
    return {
        "day": day,
        "start": start,
        "end": end,
        "low": clickid.floor(start),
        "high": clickid.floor(end),
    }


def _difference(rollup: _Rollup) -> str:
    """The keys whose counts differ, with what is missing (or, below zero, too much)."""
    keys = ", ".join(rollup.key)
    given = ", ".join(f"{expression} AS {name}" for name, expression in rollup.key.items())
    lacking = ", ".join(
        f"coalesce(counted.{name}, 0) - coalesce(stored.{name}, 0) AS {name}"
        for name in rollup.counts
    )
    differs = " OR ".join(
        f"coalesce(counted.{name}, 0) <> coalesce(stored.{name}, 0)" for name in rollup.counts
    )
    places = ", ".join(str(place + 1) for place in range(len(rollup.key)))
    return f"""
    WITH counted AS (
      SELECT {given}, {", ".join(rollup.counts.values())}
      FROM tracking_click c {rollup.joins}
      WHERE c.id >= :low AND c.id < :high GROUP BY {places}
    ), stored AS (
      SELECT {keys}, {", ".join(rollup.counts)} FROM {rollup.table} t WHERE {rollup.of_day}
    ), difference AS (
      SELECT {keys}, {lacking} FROM counted FULL JOIN stored USING ({keys}) WHERE {differs}
    )
    """  # noqa: S608


def _repair(rollup: _Rollup) -> str:
    keys, counts = ", ".join(rollup.key), ", ".join(rollup.counts)
    added = ", ".join(f"{name} = r.{name} + excluded.{name}" for name in rollup.counts)
    return f"""{_difference(rollup)}, repaired AS (
      INSERT INTO {rollup.table} AS r ({keys}, {counts})
      SELECT {keys}, {counts} FROM difference ORDER BY {keys}
      ON CONFLICT ({keys}) DO UPDATE SET {added} RETURNING 1
    ) SELECT count(*) FROM repaired
    """  # noqa: S608


def _sweep(rollup: _Rollup) -> str:
    """Take rows away that count nothing any more."""
    nothing = " AND ".join(f"t.{name} = 0" for name in rollup.counts)
    return f"DELETE FROM {rollup.table} t WHERE {rollup.of_day} AND {nothing}"  # noqa: S608
