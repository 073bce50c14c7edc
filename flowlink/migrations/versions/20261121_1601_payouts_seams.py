"""payouts: what a dispute took out of the reserve; nobody decides about themselves."""

from alembic import op

revision = "m1601"
down_revision = "m1130"

RULES = """
UPDATE ledger_posting_rule SET credits = '{available,reserve}' WHERE code = 'unhold';
"""

SHARES = """
CREATE TABLE payouts_dispute_share (
  dispute_id uuid NOT NULL
    CONSTRAINT fk_payouts_dispute_share_dispute_id REFERENCES payouts_dispute (id),
  lot_id uuid NOT NULL
    CONSTRAINT fk_payouts_dispute_share_lot_id REFERENCES payouts_reserve_lot (id),
  amount_micro bigint NOT NULL,
  CONSTRAINT pk_payouts_dispute_share PRIMARY KEY (dispute_id, lot_id),
  CONSTRAINT ck_payouts_dispute_share_amount CHECK (amount_micro > 0)
);
CREATE INDEX ix_payouts_dispute_share_lot_id ON payouts_dispute_share (lot_id);
CREATE TRIGGER append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON payouts_dispute_share
  FOR EACH STATEMENT EXECUTE FUNCTION kernel_refuse_change();
"""

# As `kernel.ids.public` writes a key: 26 letters of five bits each.
NAMES = """
CREATE FUNCTION kernel_public_id(prefix text, key uuid) RETURNS text LANGUAGE sql IMMUTABLE AS $$
  SELECT prefix || '_' || string_agg(
           substr('0123456789abcdefghjkmnpqrstvwxyz',
                  substring(B'00' || ('x' || replace(key::text, '-', ''))::bit(128)
                            FROM place * 5 + 1 FOR 5)::integer + 1, 1), '' ORDER BY place)
    FROM generate_series(0, 25) AS place
$$;
"""

# The column that names who decided; the service's guard is partners/own_affairs.py.
OWN = """
CREATE FUNCTION partners_refuse_own() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
  actor text := to_jsonb(NEW) ->> TG_ARGV[0];
  person uuid := (SELECT user_id FROM partners_partner WHERE id = NEW.partner_id);
BEGIN
  IF actor = 'user:' || kernel_public_id('usr', person) OR EXISTS (
    SELECT FROM identity_api_key AS k
     WHERE coalesce(k.user_id, k.owner_id) = person
       AND actor = 'key:' || kernel_public_id('key', k.id)) THEN
    RAISE EXCEPTION 'nobody decides about themselves' USING ERRCODE = 'check_violation';
  END IF;
  RETURN NEW;
END $$;
CREATE TRIGGER refuse_own BEFORE UPDATE ON risk_hold
  FOR EACH ROW WHEN (NEW.lifted_by IS NOT NULL) EXECUTE FUNCTION partners_refuse_own('lifted_by');
CREATE TRIGGER refuse_own BEFORE UPDATE ON risk_watch FOR EACH ROW
  WHEN (NEW.decided_by IS NOT NULL) EXECUTE FUNCTION partners_refuse_own('decided_by');
CREATE TRIGGER refuse_own BEFORE UPDATE ON payouts_dispute FOR EACH ROW
  WHEN (NEW.decided_by IS NOT NULL) EXECUTE FUNCTION partners_refuse_own('decided_by');
CREATE TRIGGER refuse_own BEFORE UPDATE ON payouts_case FOR EACH ROW
  WHEN (NEW.state = 'accepted') EXECUTE FUNCTION partners_refuse_own('decided_by');
CREATE TRIGGER refuse_own BEFORE INSERT ON payouts_deal FOR EACH ROW
  WHEN (NEW.partner_id IS NOT NULL) EXECUTE FUNCTION partners_refuse_own('actor');
"""

# How much a partner owed when a person let this withdrawal be paid all the same.
DEBTS = """
ALTER TABLE payouts_withdrawal ADD COLUMN debt_seen_micro bigint NOT NULL DEFAULT 0
  CONSTRAINT ck_payouts_withdrawal_debt_seen CHECK (debt_seen_micro >= 0);
"""


def upgrade() -> None:
    for script in (RULES, SHARES, NAMES, OWN, DEBTS):
        op.execute(script)
