"""tracking: domains, what links can do, where clicks came from, and days put away."""

from alembic import op

revision = "m0900"
down_revision = "m0808"

LINKS = """
CREATE TABLE tracking_domain (
  id uuid NOT NULL DEFAULT uuidv7() CONSTRAINT pk_tracking_domain PRIMARY KEY,
  host text NOT NULL CONSTRAINT uq_tracking_domain_host UNIQUE,
  active boolean NOT NULL DEFAULT true,
  created_at timestamptz NOT NULL
);

ALTER TABLE tracking_link
  ADD COLUMN domain_id uuid
    CONSTRAINT fk_tracking_link_domain_id_tracking_domain REFERENCES tracking_domain (id),
  ADD COLUMN expires_at timestamptz,
  ADD COLUMN note text NOT NULL DEFAULT '',
  ADD COLUMN tags text[] NOT NULL DEFAULT '{}',
  ADD COLUMN routing jsonb,
  DROP CONSTRAINT uq_tracking_link_code,
  ADD CONSTRAINT uq_tracking_link_code UNIQUE NULLS NOT DISTINCT (code, domain_id);
CREATE INDEX ix_tracking_link_domain_id ON tracking_link (domain_id);
"""

ORIGINS = """
ALTER TABLE tracking_agent ADD COLUMN device smallint NOT NULL DEFAULT 0;
ALTER TABLE tracking_click ADD COLUMN country smallint NOT NULL DEFAULT 0;

CREATE TABLE tracking_click_link_hour (
  link bigint NOT NULL,
  hour timestamptz NOT NULL,
  valid integer NOT NULL,
  flagged integer NOT NULL,
  CONSTRAINT pk_tracking_click_link_hour PRIMARY KEY (link, hour)
);

-- One row for each kind of visit that a link had on a day; what pages show are sums of it.
CREATE TABLE tracking_click_origin (
  partner integer NOT NULL,
  day date NOT NULL,
  link bigint NOT NULL,
  country smallint NOT NULL,
  device smallint NOT NULL,
  referrer integer NOT NULL,
  reason smallint NOT NULL,
  count integer NOT NULL,
  CONSTRAINT pk_tracking_click_origin
    PRIMARY KEY (partner, day, link, country, device, referrer, reason)
);
CREATE INDEX ix_tracking_click_origin_day ON tracking_click_origin (day);

-- What was clicked before these counts existed.
INSERT INTO tracking_click_link_hour (link, hour, valid, flagged)
SELECT link, date_trunc('hour', to_timestamp(((id >> 22) + 1704067200000) / 1000.0), 'UTC') AS hour,
       count(*) FILTER (WHERE reason = 0), count(*) FILTER (WHERE reason <> 0)
FROM tracking_click GROUP BY 1, 2;
INSERT INTO tracking_click_origin (partner, day, link, country, device, referrer, reason, count)
SELECT partner, (to_timestamp(((id >> 22) + 1704067200000) / 1000.0) AT TIME ZONE 'UTC')::date,
       link, 0, 0, referrer, reason, count(*)
FROM tracking_click GROUP BY 1, 2, 3, 6, 7;
"""

# A day that was put away keeps its counts: they can no longer be counted again from its clicks.
# The running product may neither detach nor drop tables, so the partitions' owner does it.
ARCHIVE = """
CREATE TABLE tracking_archive (
  day date NOT NULL CONSTRAINT pk_tracking_archive PRIMARY KEY,
  clicks bigint NOT NULL,
  file text NOT NULL,
  sha256 text NOT NULL,
  archived_at timestamptz NOT NULL
);

CREATE FUNCTION tracking_drop_day(wanted date) RETURNS boolean
LANGUAGE plpgsql SECURITY DEFINER SET search_path = public, pg_temp AS $$
DECLARE
  name text := 'tracking_click_' || to_char(wanted, 'YYYYMMDD');
  kept bigint;
  there bigint;
BEGIN
  SELECT clicks INTO kept FROM tracking_archive WHERE day = wanted;
  IF kept IS NULL OR to_regclass(name) IS NULL THEN
    RETURN false;
  END IF;
  PERFORM set_config('lock_timeout', '2s', true);
  EXECUTE format('LOCK TABLE %I IN ACCESS EXCLUSIVE MODE', name);
  EXECUTE format('SELECT count(*) FROM %I', name) INTO there;
  IF there <> kept THEN
    RAISE EXCEPTION 'day % has % clicks, its file %', wanted, there, kept;
  END IF;
  EXECUTE format('ALTER TABLE tracking_click DETACH PARTITION %I', name);
  EXECUTE format('DROP TABLE %I', name);
  RETURN true;
END $$;
REVOKE ALL ON FUNCTION tracking_drop_day(date) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION tracking_drop_day(date) TO flowlink_app;
"""


def upgrade() -> None:
    for script in (LINKS, ORIGINS, ARCHIVE):
        op.execute(script)
