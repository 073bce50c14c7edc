"""billing: resources, grants, payments, the sandbox; kernel: what providers tell us."""

from alembic import op

revision = "m1102"
down_revision = "m1101"

# Also made by the revision of payout runs, whichever comes first.
EVENTS = """
CREATE TABLE IF NOT EXISTS kernel_provider_event (
  id uuid NOT NULL DEFAULT uuidv7() CONSTRAINT pk_kernel_provider_event PRIMARY KEY,
  provider text NOT NULL,
  event_id text NOT NULL,
  kind text NOT NULL,
  body bytea NOT NULL,
  received_at timestamptz NOT NULL,
  copies integer NOT NULL DEFAULT 1,
  tries integer NOT NULL DEFAULT 0,
  next_try_at timestamptz NOT NULL,
  trouble text NOT NULL DEFAULT '',
  handled_at timestamptz,
  outcome text NOT NULL DEFAULT '',
  CONSTRAINT uq_kernel_provider_event_provider_event_id UNIQUE (provider, event_id),
  CONSTRAINT ck_kernel_provider_event_outcome CHECK ((handled_at IS NULL) = (outcome = ''))
);
CREATE INDEX IF NOT EXISTS ix_kernel_provider_event_waiting
  ON kernel_provider_event (provider, next_try_at) WHERE handled_at IS NULL;
"""

RESOURCES = """
CREATE TABLE billing_pricing (
  digest text NOT NULL CONSTRAINT pk_billing_pricing PRIMARY KEY,
  specs jsonb NOT NULL,
  seen_at timestamptz NOT NULL
);

CREATE TABLE billing_resource (
  id uuid NOT NULL DEFAULT uuidv7() CONSTRAINT pk_billing_resource PRIMARY KEY,
  team_id uuid NOT NULL CONSTRAINT fk_billing_resource_team_id REFERENCES teams_team (id),
  kind text NOT NULL CONSTRAINT ck_billing_resource_kind CHECK (
    kind IN ('plan', 'ram', 'cpu', 'traffic', 'storage')),
  plan text NOT NULL,
  quantity integer NOT NULL,
  next_quantity integer NOT NULL,
  unit_price_minor bigint NOT NULL
    CONSTRAINT ck_billing_resource_price CHECK (unit_price_minor >= 0),
  currency text NOT NULL,
  pricing text NOT NULL
    CONSTRAINT fk_billing_resource_pricing REFERENCES billing_pricing (digest),
  cpu_cores integer NOT NULL,
  memory_mb integer NOT NULL,
  traffic_gb integer NOT NULL,
  storage_mb integer NOT NULL,
  status text NOT NULL CONSTRAINT ck_billing_resource_status CHECK (status IN (
    'pending', 'active', 'renewing', 'past_due', 'expired', 'cancelled', 'voided')),
  auto_renew boolean NOT NULL,
  created_at timestamptz NOT NULL,
  activated_at timestamptz,
  expires_at timestamptz,
  failed_at timestamptz,
  grace_until timestamptz,
  cancelled_at timestamptz,
  CONSTRAINT ck_billing_resource_plan CHECK ((kind = 'plan') = (plan <> '')),
  CONSTRAINT ck_billing_resource_quantity CHECK (quantity > 0 AND next_quantity > 0)
);
CREATE UNIQUE INDEX uq_billing_resource_plan ON billing_resource (team_id)
  WHERE kind = 'plan' AND status IN ('active', 'renewing', 'past_due');
CREATE INDEX ix_billing_resource_team_id_id ON billing_resource (team_id, id);
CREATE INDEX ix_billing_resource_expires_at ON billing_resource (expires_at)
  WHERE status IN ('active', 'renewing', 'past_due');
"""

PAYMENTS = """
CREATE TABLE billing_payment (
  id uuid NOT NULL DEFAULT uuidv7() CONSTRAINT pk_billing_payment PRIMARY KEY,
  team_id uuid NOT NULL CONSTRAINT fk_billing_payment_team_id REFERENCES teams_team (id),
  resource_id uuid NOT NULL
    CONSTRAINT fk_billing_payment_resource_id REFERENCES billing_resource (id),
  purpose text NOT NULL CONSTRAINT ck_billing_payment_purpose CHECK (
    purpose IN ('purchase', 'renewal', 'more')),
  quantity integer NOT NULL,
  amount_minor bigint NOT NULL,
  currency text NOT NULL,
  provider text NOT NULL,
  attempt integer NOT NULL DEFAULT 1,
  status text NOT NULL CONSTRAINT ck_billing_payment_status CHECK (
    status IN ('pending', 'paid', 'failed', 'cancelled')),
  trouble text NOT NULL DEFAULT '',
  payer text NOT NULL,
  idempotency_key text,
  fingerprint text NOT NULL,
  created_at timestamptz NOT NULL,
  tried_at timestamptz,
  paid_at timestamptz,
  starts_at timestamptz,
  ends_at timestamptz,
  vat_case text NOT NULL DEFAULT '',
  vat_country text NOT NULL DEFAULT '',
  vat_rate_bps integer NOT NULL DEFAULT 0,
  net_minor bigint NOT NULL DEFAULT 0,
  recognised_micro bigint NOT NULL DEFAULT 0,
  recognised_until timestamptz,
  undeferred_micro bigint NOT NULL DEFAULT 0,
  refund_asked_minor bigint NOT NULL DEFAULT 0,
  refunded_minor bigint NOT NULL DEFAULT 0,
  refund_reason text NOT NULL DEFAULT '',
  dispute text NOT NULL DEFAULT 'none' CONSTRAINT ck_billing_payment_dispute CHECK (
    dispute IN ('none', 'open', 'won', 'lost')),
  CONSTRAINT ck_billing_payment_amount CHECK (amount_minor > 0 AND quantity > 0),
  CONSTRAINT ck_billing_payment_refunded CHECK (
    refunded_minor BETWEEN 0 AND amount_minor AND refund_asked_minor <= amount_minor),
  CONSTRAINT ck_billing_payment_paid CHECK ((status = 'paid') = (paid_at IS NOT NULL)),
  CONSTRAINT uq_billing_payment_idempotency_key UNIQUE (team_id, idempotency_key)
);
CREATE UNIQUE INDEX uq_billing_payment_period ON billing_payment (resource_id, starts_at)
  WHERE purpose = 'renewal';
CREATE INDEX ix_billing_payment_team_id_id ON billing_payment (team_id, id);
CREATE INDEX ix_billing_payment_resource_id ON billing_payment (resource_id);
CREATE INDEX ix_billing_payment_pending ON billing_payment (created_at) WHERE status = 'pending';
CREATE INDEX ix_billing_payment_refund ON billing_payment (id)
  WHERE refund_asked_minor > refunded_minor;
"""

GRANTS = """
CREATE TABLE billing_grant (
  id uuid NOT NULL DEFAULT uuidv7() CONSTRAINT pk_billing_grant PRIMARY KEY,
  team_id uuid NOT NULL CONSTRAINT fk_billing_grant_team_id REFERENCES teams_team (id),
  resource_id uuid NOT NULL
    CONSTRAINT fk_billing_grant_resource_id REFERENCES billing_resource (id),
  payment_id uuid CONSTRAINT fk_billing_grant_payment_id REFERENCES billing_payment (id),
  reason text NOT NULL CONSTRAINT ck_billing_grant_reason CHECK (
    reason IN ('paid', 'given', 'grace', 'rest')),
  kind text NOT NULL CONSTRAINT ck_billing_grant_kind CHECK (
    kind IN ('plan', 'ram', 'cpu', 'traffic', 'storage')),
  plan text NOT NULL,
  cpu_cores integer NOT NULL,
  memory_mb integer NOT NULL,
  traffic_gb integer NOT NULL,
  storage_mb integer NOT NULL,
  starts_at timestamptz NOT NULL,
  ends_at timestamptz,
  created_at timestamptz NOT NULL,
  CONSTRAINT ck_billing_grant_term CHECK (starts_at < ends_at),
  CONSTRAINT ck_billing_grant_payment CHECK ((reason = 'paid') = (payment_id IS NOT NULL))
);
CREATE UNIQUE INDEX uq_billing_grant_payment_id ON billing_grant (payment_id);
CREATE INDEX ix_billing_grant_team_id ON billing_grant (team_id, ends_at);
CREATE INDEX ix_billing_grant_resource_id ON billing_grant (resource_id);

CREATE TABLE billing_grant_void (
  grant_id uuid NOT NULL CONSTRAINT pk_billing_grant_void PRIMARY KEY
    CONSTRAINT fk_billing_grant_void_grant_id REFERENCES billing_grant (id),
  team_id uuid NOT NULL CONSTRAINT fk_billing_grant_void_team_id REFERENCES teams_team (id),
  voided_at timestamptz NOT NULL,
  reason text NOT NULL,
  created_at timestamptz NOT NULL
);
CREATE INDEX ix_billing_grant_void_team_id ON billing_grant_void (team_id);

CREATE TABLE billing_details (
  id uuid NOT NULL DEFAULT uuidv7() CONSTRAINT pk_billing_details PRIMARY KEY,
  team_id uuid NOT NULL CONSTRAINT fk_billing_details_team_id REFERENCES teams_team (id),
  party jsonb NOT NULL,
  created_at timestamptz NOT NULL
);
CREATE INDEX ix_billing_details_team_id_id ON billing_details (team_id, id);

CREATE TRIGGER append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON billing_pricing
  FOR EACH STATEMENT EXECUTE FUNCTION kernel_refuse_change();
CREATE TRIGGER append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON billing_grant
  FOR EACH STATEMENT EXECUTE FUNCTION kernel_refuse_change();
CREATE TRIGGER append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON billing_grant_void
  FOR EACH STATEMENT EXECUTE FUNCTION kernel_refuse_change();
CREATE TRIGGER append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON billing_details
  FOR EACH STATEMENT EXECUTE FUNCTION kernel_refuse_change();
"""

# Nothing is granted unpaid, whoever writes the row; checked when its transaction ends.
GUARD = """
CREATE FUNCTION billing_granted_is_paid() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  IF NEW.reason = 'paid' AND NOT EXISTS (
      SELECT FROM billing_payment
       WHERE id = NEW.payment_id AND status = 'paid' AND resource_id = NEW.resource_id) THEN
    RAISE EXCEPTION 'grant % is not paid', NEW.id USING ERRCODE = 'restrict_violation';
  END IF;
  RETURN NULL;
END $$;
CREATE CONSTRAINT TRIGGER granted_is_paid AFTER INSERT ON billing_grant
  DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION billing_granted_is_paid();
"""

SANDBOX = """
CREATE TABLE billing_sandbox_charge (
  ref text NOT NULL CONSTRAINT pk_billing_sandbox_charge PRIMARY KEY,
  payer text NOT NULL,
  amount_minor bigint NOT NULL,
  currency text NOT NULL,
  title text NOT NULL,
  back_url text NOT NULL,
  status text NOT NULL CONSTRAINT ck_billing_sandbox_charge_status CHECK (
    status IN ('open', 'action', 'paid', 'failed', 'closed')),
  card text NOT NULL DEFAULT '',
  failure text NOT NULL DEFAULT '',
  refunded_minor bigint NOT NULL DEFAULT 0,
  dispute text NOT NULL DEFAULT 'none',
  made_at timestamptz NOT NULL,
  changed_at timestamptz NOT NULL,
  CONSTRAINT ck_billing_sandbox_charge_refunded CHECK (
    refunded_minor BETWEEN 0 AND amount_minor)
);
CREATE TABLE billing_sandbox_payer (
  payer text NOT NULL CONSTRAINT pk_billing_sandbox_payer PRIMARY KEY,
  card text NOT NULL,
  kept_at timestamptz NOT NULL
);
"""


def upgrade() -> None:
    for script in (EVENTS, RESOURCES, PAYMENTS, GRANTS, GUARD, SANDBOX):
        op.execute(script)
