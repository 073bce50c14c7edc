"""tracking: origins of clicks; risk: watches, and how much traffic a partner may have."""

from alembic import op

revision = "m1003"
down_revision = "m0901"

ORIGIN = "ALTER TABLE tracking_click ADD COLUMN origin bigint NOT NULL DEFAULT 0;"

WATCH = """
CREATE TABLE risk_watch (
  id uuid NOT NULL DEFAULT uuidv7() CONSTRAINT pk_risk_watch PRIMARY KEY,
  partner_id uuid NOT NULL
    CONSTRAINT fk_risk_watch_partner_id REFERENCES partners_partner (id),
  rule text NOT NULL CONSTRAINT ck_risk_watch_rule CHECK (
    rule IN ('own', 'datacenter', 'network', 'agent', 'referrer', 'link', 'account')),
  state text NOT NULL DEFAULT 'open' CONSTRAINT ck_risk_watch_state CHECK (
    state IN ('open', 'cleared', 'confirmed')),
  score integer NOT NULL CONSTRAINT ck_risk_watch_score CHECK (score > 0),
  evidence jsonb NOT NULL,
  created_at timestamptz NOT NULL,
  seen_at timestamptz NOT NULL,
  deadline timestamptz NOT NULL,
  decided_by text,
  decided_at timestamptz,
  decided_reason text,
  CONSTRAINT ck_risk_watch_decided CHECK (
    (state = 'open') = (decided_at IS NULL) AND (decided_at IS NULL) = (decided_by IS NULL)
    AND (decided_at IS NULL) = (decided_reason IS NULL) AND decided_reason <> '')
);
CREATE UNIQUE INDEX uq_risk_watch_open ON risk_watch (partner_id, rule) WHERE state = 'open';
CREATE INDEX ix_risk_watch_partner_id_decided_at ON risk_watch (partner_id, decided_at);
CREATE INDEX ix_risk_watch_due ON risk_watch (deadline, id) WHERE state = 'open';
CREATE INDEX ix_risk_hold_due ON risk_hold (deadline, id) WHERE lifted_at IS NULL;

-- A decision is made once, and by a person: rows are never deleted, nor decided again.
CREATE FUNCTION risk_keep_decision() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  IF TG_OP = 'DELETE' OR OLD.state <> 'open' THEN
    RAISE EXCEPTION 'a decision about watched clicks is never changed';
  END IF;
  IF NEW.state <> 'open' AND NEW.decided_by LIKE 'job:%' THEN
    RAISE EXCEPTION 'a person decides about watched clicks';
  END IF;
  RETURN NEW;
END $$;
CREATE TRIGGER keep_decision BEFORE UPDATE OR DELETE ON risk_watch
  FOR EACH ROW EXECUTE FUNCTION risk_keep_decision();

CREATE TABLE risk_velocity_scale (
  scope text NOT NULL CONSTRAINT ck_risk_velocity_scale_scope CHECK (
    scope IN ('partner', 'group')),
  subject uuid NOT NULL,
  percent integer NOT NULL CONSTRAINT ck_risk_velocity_scale_percent CHECK (
    percent BETWEEN 10 AND 100000),
  reason text NOT NULL CONSTRAINT ck_risk_velocity_scale_reason CHECK (reason <> ''),
  actor text NOT NULL,
  at timestamptz NOT NULL,
  CONSTRAINT pk_risk_velocity_scale PRIMARY KEY (scope, subject)
);
"""


def upgrade() -> None:
    for script in (ORIGIN, WATCH):
        op.execute(script)
