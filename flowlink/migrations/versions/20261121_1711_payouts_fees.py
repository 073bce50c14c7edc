"""payouts: what a provider keeps for paying a partner."""

from alembic import op

revision = "m1711"
down_revision = "m1701"

RULES = """
INSERT INTO ledger_account_kind (kind, owned, system, shards, floor, ceiling) VALUES
  ('provider_fees', false, true, 16, NULL, NULL);

INSERT INTO ledger_posting_rule (code, debits, credits) VALUES
  ('fee', '{provider_fees}', '{paypal}');

UPDATE ledger_posting_rule SET debits = kinds.every, credits = kinds.every
  FROM (SELECT array_agg(kind) AS every FROM ledger_account_kind) AS kinds
 WHERE code = 'correction';
"""

ITEMS = """
ALTER TABLE payouts_run_item ADD COLUMN fee_micro bigint NOT NULL DEFAULT 0
  CONSTRAINT ck_payouts_run_item_fee CHECK (fee_micro >= 0);
"""


def upgrade() -> None:
    for script in (RULES, ITEMS):
        op.execute(script)
