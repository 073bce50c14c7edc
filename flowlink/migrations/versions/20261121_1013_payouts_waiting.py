"""payouts: clicks whose money waits for a person, and clicks that were no people's."""

from alembic import op

revision = "m1013"
down_revision = "m1014"

WAITING = """
CREATE TABLE payouts_waiting (
  id uuid NOT NULL DEFAULT uuidv7() CONSTRAINT pk_payouts_waiting PRIMARY KEY,
  watch_id uuid NOT NULL CONSTRAINT fk_payouts_waiting_watch_id REFERENCES risk_watch (id),
  partner_id uuid NOT NULL
    CONSTRAINT fk_payouts_waiting_partner_id REFERENCES partners_partner (id),
  offer_id uuid NOT NULL,
  version integer NOT NULL,
  terms_id uuid NOT NULL
    CONSTRAINT fk_payouts_waiting_terms_id REFERENCES payouts_terms (id),
  hour timestamptz NOT NULL,
  currency text NOT NULL,
  price_micro bigint NOT NULL,
  click_ids bigint[] NOT NULL,
  since timestamptz NOT NULL,
  accrual_id uuid CONSTRAINT fk_payouts_waiting_accrual_id REFERENCES payouts_accrual (id),
  settled_at timestamptz,
  CONSTRAINT fk_payouts_waiting_version FOREIGN KEY (offer_id, version)
    REFERENCES tracking_offer_version (offer_id, version),
  CONSTRAINT ck_payouts_waiting_clicks CHECK (cardinality(click_ids) > 0 AND price_micro > 0),
  CONSTRAINT ck_payouts_waiting_settled CHECK ((accrual_id IS NULL) = (settled_at IS NULL))
);
CREATE INDEX ix_payouts_waiting_watch_id ON payouts_waiting (watch_id);
CREATE INDEX ix_payouts_waiting_partner_id_hour ON payouts_waiting (partner_id, hour);
CREATE INDEX ix_payouts_waiting_open ON payouts_waiting (id) WHERE settled_at IS NULL;

-- What was settled is settled: its clicks are in the accrual, and stay there.
CREATE FUNCTION payouts_keep_settled() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  IF TG_OP = 'DELETE' OR OLD.settled_at IS NOT NULL THEN
    RAISE EXCEPTION 'clicks that were settled stay settled';
  END IF;
  RETURN NEW;
END $$;
CREATE TRIGGER keep_settled BEFORE UPDATE OR DELETE ON payouts_waiting
  FOR EACH ROW EXECUTE FUNCTION payouts_keep_settled();

ALTER TABLE payouts_accrual_zero DROP CONSTRAINT ck_payouts_accrual_zero_reason,
  ADD CONSTRAINT ck_payouts_accrual_zero_reason CHECK (
    reason IN ('paused', 'not_started', 'ended', 'cap_partner_daily', 'cap_daily', 'cap_total',
               'budget', 'fraud'));
"""


def upgrade() -> None:
    op.execute(WAITING)
