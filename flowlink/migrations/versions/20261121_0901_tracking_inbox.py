"""tracking: networks that change, words to be taught, reports; notify: endpoints of others."""

from alembic import op

revision = "m0901"
down_revision = "m0911"

NETWORKS = """
ALTER TABLE tracking_network
  ADD COLUMN preset text,
  ADD COLUMN old_key_digest bytea CONSTRAINT uq_tracking_network_old_key_digest UNIQUE,
  ADD COLUMN old_key_until timestamptz,
  ADD CONSTRAINT ck_tracking_network_old_key
    CHECK ((old_key_digest IS NULL) = (old_key_until IS NULL));

ALTER TABLE tracking_postback
  ADD COLUMN word text,
  ADD COLUMN happened_at timestamptz;
CREATE INDEX ix_tracking_postback_quarantine ON tracking_postback (network_id, word, id)
  WHERE result = 'quarantined';
CREATE INDEX ix_tracking_postback_strangers ON tracking_postback (id) WHERE NOT key_ok;
"""

REPORTS = """
CREATE TABLE tracking_report (
  id uuid NOT NULL DEFAULT uuidv7() CONSTRAINT pk_tracking_report PRIMARY KEY,
  network_id uuid NOT NULL
    CONSTRAINT fk_tracking_report_network_id_tracking_network REFERENCES tracking_network (id),
  filename text NOT NULL,
  header text[] NOT NULL,
  columns jsonb NOT NULL,
  state text NOT NULL,
  rows integer NOT NULL,
  made_by text NOT NULL,
  created_at timestamptz NOT NULL,
  started_at timestamptz,
  done_at timestamptz,
  CONSTRAINT ck_tracking_report_state CHECK (state IN ('draft', 'running', 'done'))
);
CREATE INDEX ix_tracking_report_network_id ON tracking_report (network_id);

CREATE TABLE tracking_report_row (
  report_id uuid NOT NULL
    CONSTRAINT fk_tracking_report_row_report_id_tracking_report REFERENCES tracking_report (id),
  number integer NOT NULL,
  cells text[] NOT NULL,
  result text,
  reason text,
  postback_id uuid
    CONSTRAINT fk_tracking_report_row_postback_id_tracking_postback
    REFERENCES tracking_postback (id),
  CONSTRAINT pk_tracking_report_row PRIMARY KEY (report_id, number),
  CONSTRAINT ck_tracking_report_row_result CHECK
    (result IN ('ok', 'duplicate', 'orphan', 'quarantined', 'rejected'))
);
CREATE INDEX ix_tracking_report_row_todo ON tracking_report_row (report_id, number)
  WHERE result IS NULL;
CREATE INDEX ix_tracking_report_row_postback_id ON tracking_report_row (postback_id);
"""

ENDPOINTS = """
CREATE TABLE notify_endpoint (
  id uuid NOT NULL DEFAULT uuidv7() CONSTRAINT pk_notify_endpoint PRIMARY KEY,
  owner_id uuid NOT NULL,
  method text NOT NULL,
  url text NOT NULL,
  events text[] NOT NULL,
  secret_sealed bytea NOT NULL,
  state text NOT NULL,
  failing_since timestamptz,
  created_at timestamptz NOT NULL,
  CONSTRAINT ck_notify_endpoint_method CHECK (method IN ('POST', 'GET')),
  CONSTRAINT ck_notify_endpoint_state CHECK (state IN ('active', 'paused', 'disabled'))
);
CREATE INDEX ix_notify_endpoint_owner_id ON notify_endpoint (owner_id, id);

CREATE TABLE notify_delivery (
  id uuid NOT NULL DEFAULT uuidv7() CONSTRAINT pk_notify_delivery PRIMARY KEY,
  endpoint_id uuid NOT NULL
    CONSTRAINT fk_notify_delivery_endpoint_id_notify_endpoint
    REFERENCES notify_endpoint (id) ON DELETE CASCADE,
  source text NOT NULL,
  event text NOT NULL,
  body jsonb NOT NULL,
  state text NOT NULL DEFAULT 'queued',
  attempts integer NOT NULL DEFAULT 0,
  next_try_at timestamptz NOT NULL,
  answer_status integer,
  answer text NOT NULL DEFAULT '',
  error text NOT NULL DEFAULT '',
  took_ms integer,
  created_at timestamptz NOT NULL,
  tried_at timestamptz,
  CONSTRAINT uq_notify_delivery_endpoint_id_source UNIQUE (endpoint_id, source),
  CONSTRAINT ck_notify_delivery_state CHECK (state IN ('queued', 'delivered', 'failed'))
);
CREATE INDEX ix_notify_delivery_endpoint_id_id ON notify_delivery (endpoint_id, id);
CREATE INDEX ix_notify_delivery_due ON notify_delivery (next_try_at) WHERE state = 'queued';
"""


def upgrade() -> None:
    for script in (NETWORKS, REPORTS, ENDPOINTS):
        op.execute(script)
