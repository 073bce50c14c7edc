"""tracking: networks, offers, links, clicks by day with their rollups, postbacks, conversions."""

from alembic import op

revision = "m0805"
down_revision = "m0804"

OFFERS = """
CREATE TABLE tracking_network (
  id uuid NOT NULL DEFAULT uuidv7() CONSTRAINT pk_tracking_network PRIMARY KEY,
  name text NOT NULL CONSTRAINT uq_tracking_network_name UNIQUE,
  click_param text NOT NULL,
  fields jsonb NOT NULL,
  statuses jsonb NOT NULL,
  default_status text,
  amount_unit text NOT NULL,
  fixed_currency text,
  key_sealed bytea NOT NULL,
  key_digest bytea NOT NULL CONSTRAINT uq_tracking_network_key_digest UNIQUE,
  addresses text[] NOT NULL DEFAULT '{}',
  rebill boolean NOT NULL DEFAULT false,
  lookback_days integer NOT NULL DEFAULT 90,
  active boolean NOT NULL DEFAULT true,
  created_at timestamptz NOT NULL,
  CONSTRAINT ck_tracking_network_amount_unit CHECK (amount_unit IN ('units', 'cents')),
  CONSTRAINT ck_tracking_network_default_status
    CHECK (default_status IN ('pending', 'approved', 'rejected', 'reversed')),
  CONSTRAINT ck_tracking_network_lookback_days CHECK (lookback_days > 0)
);

CREATE TABLE tracking_offer (
  id uuid NOT NULL DEFAULT uuidv7() CONSTRAINT pk_tracking_offer PRIMARY KEY,
  name text NOT NULL CONSTRAINT uq_tracking_offer_name UNIQUE,
  network_id uuid NOT NULL
    CONSTRAINT fk_tracking_offer_network_id_tracking_network REFERENCES tracking_network (id),
  mode text NOT NULL,
  destination text NOT NULL,
  share_bps integer,
  cpc_micro bigint,
  budget_micro bigint,
  daily_budget_micro bigint,
  currency text NOT NULL DEFAULT 'EUR',
  allowed_hosts text[] NOT NULL DEFAULT '{}',
  version integer NOT NULL DEFAULT 1,
  active boolean NOT NULL DEFAULT true,
  created_at timestamptz NOT NULL,
  CONSTRAINT ck_tracking_offer_mode CHECK (mode IN ('cpc', 'revshare')),
  CONSTRAINT ck_tracking_offer_share CHECK (share_bps BETWEEN 0 AND 10000),
  CONSTRAINT ck_tracking_offer_cpc
    CHECK ((mode = 'cpc') = (cpc_micro IS NOT NULL) AND cpc_micro > 0),
  CONSTRAINT ck_tracking_offer_budget CHECK (budget_micro >= 0 AND daily_budget_micro >= 0)
);
CREATE INDEX ix_tracking_offer_network_id ON tracking_offer (network_id);

CREATE TABLE tracking_link (
  id uuid NOT NULL DEFAULT uuidv7() CONSTRAINT pk_tracking_link PRIMARY KEY,
  number bigint GENERATED ALWAYS AS IDENTITY NOT NULL CONSTRAINT uq_tracking_link_number UNIQUE,
  code text NOT NULL CONSTRAINT uq_tracking_link_code UNIQUE,
  partner_id uuid NOT NULL
    CONSTRAINT fk_tracking_link_partner_id_partners_partner REFERENCES partners_partner (id),
  offer_id uuid NOT NULL
    CONSTRAINT fk_tracking_link_offer_id_tracking_offer REFERENCES tracking_offer (id),
  destination text,
  own_content boolean NOT NULL DEFAULT false,
  disabled_at timestamptz,
  created_at timestamptz NOT NULL
);
CREATE INDEX ix_tracking_link_partner_id_id ON tracking_link (partner_id, id);
CREATE INDEX ix_tracking_link_offer_id ON tracking_link (offer_id);
"""

CLICKS = """
-- Each process that makes click ids holds a number of its own, so that no two ids meet.
CREATE SEQUENCE tracking_node MINVALUE 0 MAXVALUE 1023 START 0 CYCLE;

CREATE TABLE tracking_salt (
  day date NOT NULL CONSTRAINT pk_tracking_salt PRIMARY KEY,
  salt bytea NOT NULL
);

CREATE TABLE tracking_agent (
  id integer GENERATED ALWAYS AS IDENTITY CONSTRAINT pk_tracking_agent PRIMARY KEY,
  text text NOT NULL CONSTRAINT uq_tracking_agent_text UNIQUE
);

CREATE TABLE tracking_referrer (
  id integer GENERATED ALWAYS AS IDENTITY CONSTRAINT pk_tracking_referrer PRIMARY KEY,
  host text NOT NULL CONSTRAINT uq_tracking_referrer_host UNIQUE
);

CREATE TABLE tracking_click (
  id bigint NOT NULL,
  visitor bigint NOT NULL,
  link bigint NOT NULL,
  partner integer NOT NULL,
  agent integer NOT NULL,
  referrer integer NOT NULL,
  reason smallint NOT NULL
) PARTITION BY RANGE (id);
CREATE INDEX ix_tracking_click_id ON tracking_click USING brin (id)
  WITH (pages_per_range = 16, autosummarize = on);
CREATE TABLE tracking_click_default PARTITION OF tracking_click DEFAULT;

-- Who clicked what today: the second click of the same visitor on the same link is a duplicate.
CREATE TABLE tracking_seen (
  link bigint NOT NULL,
  visitor bigint NOT NULL,
  day date NOT NULL,
  CONSTRAINT pk_tracking_seen PRIMARY KEY (link, visitor, day)
);

CREATE TABLE tracking_click_minute (
  minute timestamptz NOT NULL,
  partner integer NOT NULL,
  valid integer NOT NULL,
  flagged integer NOT NULL,
  CONSTRAINT pk_tracking_click_minute PRIMARY KEY (minute, partner)
);
CREATE TABLE tracking_click_hour (
  partner integer NOT NULL,
  hour timestamptz NOT NULL,
  valid integer NOT NULL,
  flagged integer NOT NULL,
  CONSTRAINT pk_tracking_click_hour PRIMARY KEY (partner, hour)
);
CREATE TABLE tracking_click_day (
  partner integer NOT NULL,
  day date NOT NULL,
  valid integer NOT NULL,
  flagged integer NOT NULL,
  CONSTRAINT pk_tracking_click_day PRIMARY KEY (partner, day)
);
CREATE INDEX ix_tracking_click_day_day ON tracking_click_day (day);
CREATE TABLE tracking_click_link_day (
  link bigint NOT NULL,
  day date NOT NULL,
  valid integer NOT NULL,
  flagged integer NOT NULL,
  CONSTRAINT pk_tracking_click_link_day PRIMARY KEY (link, day)
);
CREATE INDEX ix_tracking_click_link_day_day ON tracking_click_link_day (day);

CREATE TABLE tracking_miss (
  day date NOT NULL,
  reason text NOT NULL,
  count bigint NOT NULL,
  CONSTRAINT pk_tracking_miss PRIMARY KEY (day, reason)
);
"""

# The running product may not make tables, so the partitions' owner does it on its behalf. What
# waits in the default partition moves along, or the new one could not be attached.
PARTITIONS = """
CREATE FUNCTION tracking_ensure_partition(wanted date) RETURNS boolean
LANGUAGE plpgsql SECURITY DEFINER SET search_path = public, pg_temp AS $$
DECLARE
  name text := 'tracking_click_' || to_char(wanted, 'YYYYMMDD');
  epoch_ms constant bigint := 1704067200000;
  low bigint := ((extract(epoch FROM wanted)::bigint * 1000) - epoch_ms) << 22;
  high bigint := ((extract(epoch FROM wanted + 1)::bigint * 1000) - epoch_ms) << 22;
BEGIN
  IF to_regclass(name) IS NOT NULL THEN
    RETURN false;
  END IF;
  IF wanted < DATE '2024-01-01' OR wanted > DATE '2090-01-01' THEN
    RETURN false;
  END IF;
  PERFORM set_config('lock_timeout', '2s', true);
  -- One at a time, clicks go on; and a lock on a table makes us see what was made meanwhile.
  LOCK TABLE tracking_click IN SHARE UPDATE EXCLUSIVE MODE;
  IF to_regclass(name) IS NOT NULL THEN
    RETURN false;
  END IF;
  LOCK TABLE tracking_click_default IN ACCESS EXCLUSIVE MODE;
  EXECUTE format('CREATE TABLE %I (LIKE tracking_click INCLUDING DEFAULTS)', name);
  EXECUTE format(
    'WITH moved AS (DELETE FROM tracking_click_default WHERE id >= %s AND id < %s RETURNING *) '
    'INSERT INTO %I SELECT * FROM moved ORDER BY id', low, high, name);
  EXECUTE format(
    'ALTER TABLE tracking_click ATTACH PARTITION %I FOR VALUES FROM (%s) TO (%s)', name, low, high);
  RETURN true;
END $$;
REVOKE ALL ON FUNCTION tracking_ensure_partition(date) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION tracking_ensure_partition(date) TO flowlink_app;
"""

CONVERSIONS = """
CREATE TABLE tracking_conversion (
  id uuid NOT NULL DEFAULT uuidv7() CONSTRAINT pk_tracking_conversion PRIMARY KEY,
  network_id uuid NOT NULL
    CONSTRAINT fk_tracking_conversion_network_id_tracking_network REFERENCES tracking_network (id),
  dedupe_key text NOT NULL CONSTRAINT uq_tracking_conversion_dedupe_key UNIQUE,
  txn_id text,
  goal text NOT NULL DEFAULT '',
  click_id bigint,
  link_id uuid NOT NULL
    CONSTRAINT fk_tracking_conversion_link_id_tracking_link REFERENCES tracking_link (id),
  partner_id uuid NOT NULL
    CONSTRAINT fk_tracking_conversion_partner_id_partners_partner REFERENCES partners_partner (id),
  offer_id uuid NOT NULL
    CONSTRAINT fk_tracking_conversion_offer_id_tracking_offer REFERENCES tracking_offer (id),
  offer_version integer NOT NULL,
  share_bps integer NOT NULL,
  status text NOT NULL,
  amount_micro bigint NOT NULL,
  currency text NOT NULL,
  revision integer NOT NULL,
  occurred_at timestamptz NOT NULL,
  updated_at timestamptz NOT NULL,
  CONSTRAINT ck_tracking_conversion_status
    CHECK (status IN ('pending', 'approved', 'rejected', 'reversed')),
  CONSTRAINT ck_tracking_conversion_amount CHECK (amount_micro >= 0),
  CONSTRAINT ck_tracking_conversion_share CHECK (share_bps BETWEEN 0 AND 10000)
);
CREATE INDEX ix_tracking_conversion_partner_id_id ON tracking_conversion (partner_id, id);
CREATE INDEX ix_tracking_conversion_link_id ON tracking_conversion (link_id);
CREATE INDEX ix_tracking_conversion_click_id ON tracking_conversion (click_id);
CREATE INDEX ix_tracking_conversion_occurred_at ON tracking_conversion (occurred_at);

CREATE TABLE tracking_conversion_revision (
  conversion_id uuid NOT NULL
    CONSTRAINT fk_tracking_conversion_revision_conversion_id_tracking_conversion
    REFERENCES tracking_conversion (id),
  revision integer NOT NULL,
  status text NOT NULL,
  amount_micro bigint NOT NULL,
  at timestamptz NOT NULL,
  CONSTRAINT pk_tracking_conversion_revision PRIMARY KEY (conversion_id, revision),
  CONSTRAINT ck_tracking_conversion_revision_status
    CHECK (status IN ('pending', 'approved', 'rejected', 'reversed')),
  CONSTRAINT ck_tracking_conversion_revision_amount CHECK (amount_micro >= 0)
);
CREATE INDEX ix_tracking_conversion_revision_at ON tracking_conversion_revision (at);
CREATE TRIGGER append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON tracking_conversion_revision
  FOR EACH STATEMENT EXECUTE FUNCTION kernel_refuse_change();

CREATE TABLE tracking_postback (
  id uuid NOT NULL DEFAULT uuidv7() CONSTRAINT pk_tracking_postback PRIMARY KEY,
  received_at timestamptz NOT NULL,
  method text NOT NULL,
  query text NOT NULL,
  content_type text NOT NULL,
  body bytea NOT NULL,
  address text NOT NULL,
  network_id uuid
    CONSTRAINT fk_tracking_postback_network_id_tracking_network REFERENCES tracking_network (id),
  key_ok boolean NOT NULL,
  result text NOT NULL,
  reason text,
  conversion_id uuid
    CONSTRAINT fk_tracking_postback_conversion_id_tracking_conversion
    REFERENCES tracking_conversion (id),
  revision integer,
  handled_at timestamptz,
  attempts integer NOT NULL DEFAULT 0,
  CONSTRAINT ck_tracking_postback_result CHECK
    (result IN ('received', 'ok', 'duplicate', 'orphan', 'quarantined', 'rejected'))
);
CREATE INDEX ix_tracking_postback_waiting ON tracking_postback (id)
  WHERE result IN ('received', 'orphan');
CREATE INDEX ix_tracking_postback_conversion_id ON tracking_postback (conversion_id);
CREATE INDEX ix_tracking_postback_network_id_id ON tracking_postback (network_id, id);
"""


def upgrade() -> None:
    for script in (OFFERS, CLICKS, PARTITIONS, CONVERSIONS):
        op.execute(script)
