"""The one statement that stores a batch of clicks, and what it is given.

It tells visitors apart, inserts the clicks, and counts them: by minute, hour and day of a partner
and by day of a link at once, as these are read all the time; by where they came from later (see
`folding`), from what the batch leaves in `tracking_click_waiting`.
"""

from collections.abc import Iterable

from flowlink.tracking.models import Reason

_EPOCH_MS = 1_704_067_200_000  # clickid.EPOCH
_TIME_SHIFT = 22  # clickid: what is above are milliseconds
_MINUTE_MS = 60_000
_DAY_MS = 86_400_000
_MINUTES_A_DAY = 1440
_SLOT_BITS = 62
_SLOTS = 4
_LOW = (1 << _SLOT_BITS) - 1

_COUNTED = (
    "count(*) FILTER (WHERE verdict = 0) AS valid, count(*) FILTER (WHERE verdict <> 0) AS flagged"
)
_DAY = f"DATE '1970-01-01' + minute / {_MINUTES_A_DAY}"


def _rollup(table: str, key: str, span: str, *, of: str, counts: str) -> str:
    return (
        f"INSERT INTO tracking_click_{table} AS r ({key}, valid, flagged) "  # noqa: S608
        f"SELECT {span}, {counts} FROM {of} GROUP BY 1, 2 ORDER BY 1, 2 "
        f"ON CONFLICT ({key}) DO UPDATE SET valid = r.valid + excluded.valid, "
        "flagged = r.flagged + excluded.flagged"
    )


def _of_minutes(table: str, key: str, span: str) -> str:
    return _rollup(table, key, span, of="counted", counts="sum(valid), sum(flagged)")


# A key is inserted by one batch only: of two that race, the second waits and finds a duplicate.
STORE = f"""
WITH batch AS MATERIALIZED (
  SELECT * FROM unnest(
    %(id)s::bigint[], %(visitor)s::bigint[], %(link)s::bigint[], %(partner)s::int[],
    %(agent)s::int[], %(referrer)s::int[], %(reason)s::smallint[], %(country)s::smallint[],
    %(device)s::smallint[], %(key)s::bigint[], %(origin)s::bigint[]
  ) AS t (id, visitor, link, partner, agent, referrer, reason, country, device, key, origin)
), fresh AS (
  INSERT INTO tracking_seen (key) SELECT key FROM batch WHERE key IS NOT NULL ORDER BY key
  ON CONFLICT DO NOTHING RETURNING key
), judged AS MATERIALIZED (
  SELECT b.*, (((b.id >> {_TIME_SHIFT}) + {_EPOCH_MS}) / {_MINUTE_MS})::int AS minute,
              CASE WHEN b.reason <> {Reason.VALID:d} THEN b.reason
                   WHEN f.key IS NULL THEN {Reason.DUPLICATE:d}::smallint
                   ELSE {Reason.VALID:d}::smallint END AS verdict
  FROM batch b LEFT JOIN fresh f ON f.key = b.key
), stored AS (
  INSERT INTO tracking_click (id, visitor, link, partner, agent, referrer, reason, country, origin)
  SELECT id, visitor, link, partner, agent, referrer, verdict, country, origin
  FROM judged ORDER BY id
), counted AS MATERIALIZED (
  SELECT partner, minute, {_COUNTED} FROM judged GROUP BY 1, 2
), minutes AS (
  {_of_minutes("minute", "minute, partner", "to_timestamp(minute * 60.0), partner")}
), hours AS (
  {_of_minutes("hour", "partner, hour", "partner, to_timestamp(minute / 60 * 3600.0)")}
), days AS (
  {_of_minutes("day", "partner, day", f"partner, {_DAY}")}
), link_days AS (
  {_rollup("link_day", "link, day", f"link, {_DAY}", of="judged", counts=_COUNTED)}
), left_over AS (
  INSERT INTO tracking_click_waiting
    (partners, hours, links, countries, devices, referrers, reasons)
  SELECT array_agg(partner), array_agg(minute / 60), array_agg(link), array_agg(country),
         array_agg(device), array_agg(referrer), array_agg(verdict)
  FROM judged
)
SELECT count(*) FROM judged
"""  # noqa: S608


def array(values: Iterable[int | None]) -> str:
    """An array as PostgreSQL reads it: an eighth of the time that the driver's own takes."""
    return f"{{{repr([*values])[1:-1].replace('None', 'NULL')}}}"


def visitor_keys(clicks: Iterable[tuple[int, int, int, int]]) -> list[int | None]:
    """What tells the visitors of one batch apart: (number, visitor, link, reason) of each click.

    None for the second click of a visitor on a link in a day, and for those that cannot count. Two
    visitors of a day share a key once in 4.6 * 10^18 pairs; two links of one visitor never do.
    """
    keys: list[int | None] = []
    known: set[int] = set()
    for number, visitor, link, reason in clicks:
        slot = ((number >> _TIME_SHIFT) + _EPOCH_MS) // _DAY_MS % _SLOTS
        key = (visitor ^ link) & _LOW | slot << _SLOT_BITS
        if reason or key in known:  # 0 is `Reason.VALID`
            keys.append(None)
            continue
        known.add(key)
        keys.append(key - (1 << 64) if key >> 63 else key)
    return keys
