"""payouts: what a dispute took out of the reserve, so that a won one puts it back there."""

from alembic import op

revision = "m1601"
down_revision = "m1600"

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


def upgrade() -> None:
    for script in (RULES, SHARES):
        op.execute(script)
