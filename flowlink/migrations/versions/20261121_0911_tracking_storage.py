"""tracking: visitors told apart in less space, origins folded later, late clicks filed."""

from alembic import op

revision = "m0911"
down_revision = "m1100"

# One number tells a visitor of a link on a day: the day's slot above, visitor xor link below.
# Each of four slots is a table, emptied at once when its day is over.
SEEN = """
ALTER TABLE tracking_seen RENAME TO tracking_seen_before;
ALTER TABLE tracking_seen_before RENAME CONSTRAINT pk_tracking_seen TO pk_tracking_seen_before;
CREATE TABLE tracking_seen (
  key bigint NOT NULL,
  CONSTRAINT pk_tracking_seen PRIMARY KEY (key)
) PARTITION BY RANGE (key);
CREATE TABLE tracking_seen_2 PARTITION OF tracking_seen
  FOR VALUES FROM (MINVALUE) TO (-4611686018427387904);
CREATE TABLE tracking_seen_3 PARTITION OF tracking_seen
  FOR VALUES FROM (-4611686018427387904) TO (0);
CREATE TABLE tracking_seen_0 PARTITION OF tracking_seen
  FOR VALUES FROM (0) TO (4611686018427387904);
CREATE TABLE tracking_seen_1 PARTITION OF tracking_seen
  FOR VALUES FROM (4611686018427387904) TO (MAXVALUE);
INSERT INTO tracking_seen (key)
SELECT ((visitor # link) & 4611686018427387903)
       | (((day - DATE '1970-01-01') % 4)::bigint << 62)
FROM tracking_seen_before ON CONFLICT DO NOTHING;
DROP TABLE tracking_seen_before;

CREATE FUNCTION tracking_forget_seen(wanted date) RETURNS void
LANGUAGE plpgsql SECURITY DEFINER SET search_path = public, pg_temp AS $$
BEGIN
  PERFORM set_config('lock_timeout', '2s', true);
  EXECUTE format('TRUNCATE %I', 'tracking_seen_' || (wanted - DATE '1970-01-01') % 4);
END $$;
REVOKE ALL ON FUNCTION tracking_forget_seen(date) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION tracking_forget_seen(date) TO flowlink_app;
"""

# What a batch's clicks were, column by column, until it is folded into the counts by origin and by
# hour of a link. Kept out of line and as it is: to press it would cost more than it saves.
WAITING = """
CREATE TABLE tracking_click_waiting (
  id bigint GENERATED ALWAYS AS IDENTITY CONSTRAINT pk_tracking_click_waiting PRIMARY KEY,
  partners integer[] NOT NULL,
  hours integer[] NOT NULL,
  links bigint[] NOT NULL,
  countries smallint[] NOT NULL,
  devices smallint[] NOT NULL,
  referrers integer[] NOT NULL,
  reasons smallint[] NOT NULL
);
ALTER TABLE tracking_click_waiting
  ALTER partners SET STORAGE EXTERNAL, ALTER hours SET STORAGE EXTERNAL,
  ALTER links SET STORAGE EXTERNAL, ALTER countries SET STORAGE EXTERNAL,
  ALTER devices SET STORAGE EXTERNAL, ALTER referrers SET STORAGE EXTERNAL,
  ALTER reasons SET STORAGE EXTERNAL;
"""

# Counts by origin of a day that is over: one row a link, a fifth of the room of one a count.
PACKED = """
CREATE TABLE tracking_click_origin_day (
  partner integer NOT NULL,
  day date NOT NULL,
  link bigint NOT NULL,
  countries smallint[] NOT NULL,
  devices smallint[] NOT NULL,
  referrers integer[] NOT NULL,
  reasons smallint[] NOT NULL,
  counts integer[] NOT NULL,
  CONSTRAINT pk_tracking_click_origin_day PRIMARY KEY (partner, day, link)
);
CREATE INDEX ix_tracking_click_origin_day_day ON tracking_click_origin_day (day);
"""

# The counts of partners are changed with every batch, none of it in an index: room on their pages
# lets each change stay where the row is.
ROOM = """
ALTER TABLE tracking_click_minute SET (fillfactor = 70);
ALTER TABLE tracking_click_hour SET (fillfactor = 70);
ALTER TABLE tracking_click_day SET (fillfactor = 70);
ALTER TABLE tracking_click_link_day SET (fillfactor = 85);
"""

# A click may come after its day was put away: it gets a file of its own, part 2 of the day.
PARTS = """
ALTER TABLE tracking_archive ADD COLUMN part smallint NOT NULL DEFAULT 1;
ALTER TABLE tracking_archive ADD COLUMN dropped boolean NOT NULL DEFAULT true;
ALTER TABLE tracking_archive ALTER COLUMN part DROP DEFAULT, ALTER COLUMN dropped DROP DEFAULT;
ALTER TABLE tracking_archive DROP CONSTRAINT pk_tracking_archive;
ALTER TABLE tracking_archive ADD CONSTRAINT pk_tracking_archive PRIMARY KEY (day, part);

CREATE OR REPLACE FUNCTION tracking_drop_day(wanted date) RETURNS boolean
LANGUAGE plpgsql SECURITY DEFINER SET search_path = public, pg_temp AS $$
DECLARE
  name text := 'tracking_click_' || to_char(wanted, 'YYYYMMDD');
  kept bigint;
  there bigint;
BEGIN
  SELECT clicks INTO kept FROM tracking_archive WHERE day = wanted AND NOT dropped;
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
  UPDATE tracking_archive SET dropped = true WHERE day = wanted;
  RETURN true;
END $$;
"""


def upgrade() -> None:
    for script in (SEEN, WAITING, PACKED, ROOM, PARTS):
        op.execute(script)
