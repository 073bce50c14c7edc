"""tracking: versions, caps and term of offers; payouts: what clicks earn, hour by hour."""

from alembic import op

revision = "m0902"
down_revision = "m0807"

OFFERS = """
ALTER TABLE tracking_offer RENAME COLUMN budget_micro TO cap_total_micro;
ALTER TABLE tracking_offer RENAME COLUMN daily_budget_micro TO cap_daily_micro;
ALTER TABLE tracking_offer DROP CONSTRAINT ck_tracking_offer_budget,
  ADD COLUMN cap_partner_daily_micro bigint,
  ADD COLUMN starts_at timestamptz,
  ADD COLUMN ends_at timestamptz,
  ADD CONSTRAINT ck_tracking_offer_caps CHECK (
    cap_total_micro >= 0 AND cap_daily_micro >= 0 AND cap_partner_daily_micro >= 0),
  ADD CONSTRAINT ck_tracking_offer_term CHECK (starts_at < ends_at);

CREATE TABLE tracking_offer_version (
  offer_id uuid NOT NULL
    CONSTRAINT fk_tracking_offer_version_offer_id REFERENCES tracking_offer (id),
  version integer NOT NULL,
  in_force_at timestamptz NOT NULL,
  mode text NOT NULL,
  destination text NOT NULL,
  share_bps integer,
  cpc_micro bigint,
  cap_total_micro bigint,
  cap_daily_micro bigint,
  cap_partner_daily_micro bigint,
  starts_at timestamptz,
  ends_at timestamptz,
  allowed_hosts text[] NOT NULL DEFAULT '{}',
  active boolean NOT NULL,
  actor text NOT NULL,
  CONSTRAINT pk_tracking_offer_version PRIMARY KEY (offer_id, version),
  CONSTRAINT uq_tracking_offer_version_in_force UNIQUE (offer_id, in_force_at)
);
INSERT INTO tracking_offer_version (offer_id, version, in_force_at, mode, destination, share_bps,
    cpc_micro, cap_total_micro, cap_daily_micro, allowed_hosts, active, actor)
  SELECT id, version, created_at, mode, destination, share_bps,
         cpc_micro, cap_total_micro, cap_daily_micro, allowed_hosts, active, 'migration'
    FROM tracking_offer;
CREATE TRIGGER append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON tracking_offer_version
  FOR EACH STATEMENT EXECUTE FUNCTION kernel_refuse_change();
"""

ACCRUALS = """
CREATE TABLE payouts_click_hour (
  partner integer NOT NULL,
  hour timestamptz NOT NULL,
  seen integer NOT NULL,
  CONSTRAINT pk_payouts_click_hour PRIMARY KEY (partner, hour)
);

CREATE TABLE payouts_accrual (
  id uuid NOT NULL DEFAULT uuidv7() CONSTRAINT pk_payouts_accrual PRIMARY KEY,
  partner_id uuid NOT NULL
    CONSTRAINT fk_payouts_accrual_partner_id REFERENCES partners_partner (id),
  offer_id uuid NOT NULL,
  version integer NOT NULL,
  hour timestamptz NOT NULL,
  sequence integer NOT NULL,
  currency text NOT NULL,
  price_micro bigint NOT NULL,
  click_ids bigint[] NOT NULL,
  amount_micro bigint NOT NULL,
  reserve_micro bigint NOT NULL,
  lot_id uuid CONSTRAINT fk_payouts_accrual_lot_id REFERENCES payouts_reserve_lot (id),
  entry_id uuid,
  posted_at timestamptz NOT NULL,
  CONSTRAINT fk_payouts_accrual_version FOREIGN KEY (offer_id, version)
    REFERENCES tracking_offer_version (offer_id, version),
  CONSTRAINT uq_payouts_accrual_partner_id UNIQUE (partner_id, offer_id, hour, sequence),
  CONSTRAINT ck_payouts_accrual_amount CHECK (
    price_micro > 0 AND amount_micro = price_micro * cardinality(click_ids)),
  CONSTRAINT ck_payouts_accrual_reserve CHECK (
    reserve_micro BETWEEN 0 AND amount_micro AND (reserve_micro = 0 OR lot_id IS NOT NULL)),
  CONSTRAINT ck_payouts_accrual_entry CHECK ((amount_micro > 0) = (entry_id IS NOT NULL))
);
CREATE INDEX ix_payouts_accrual_partner_id_id ON payouts_accrual (partner_id, id);
CREATE INDEX ix_payouts_accrual_offer_id_hour ON payouts_accrual (offer_id, hour);
CREATE INDEX ix_payouts_accrual_lot_id ON payouts_accrual (lot_id);
CREATE INDEX ix_payouts_accrual_entry_id ON payouts_accrual (entry_id);

CREATE TABLE payouts_accrual_zero (
  accrual_id uuid NOT NULL
    CONSTRAINT fk_payouts_accrual_zero_accrual_id REFERENCES payouts_accrual (id),
  reason text NOT NULL CONSTRAINT ck_payouts_accrual_zero_reason CHECK (
    reason IN ('paused', 'not_started', 'ended', 'cap_partner_daily', 'cap_daily', 'cap_total',
               'budget')),
  click_ids bigint[] NOT NULL,
  CONSTRAINT pk_payouts_accrual_zero PRIMARY KEY (accrual_id, reason)
);
CREATE TRIGGER append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON payouts_accrual
  FOR EACH STATEMENT EXECUTE FUNCTION kernel_refuse_change();
CREATE TRIGGER append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON payouts_accrual_zero
  FOR EACH STATEMENT EXECUTE FUNCTION kernel_refuse_change();
"""


def upgrade() -> None:
    for script in (OFFERS, ACCRUALS):
        op.execute(script)
