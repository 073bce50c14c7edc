"""ledger: what customers pay, earn their service and get back; papers: invoices for teams."""

from alembic import op

revision = "m1101"
down_revision = "m1600"

# A payment's `deferred` account is its own, and cannot fall below zero: of no payment more is
# recognised or given back than came in.
RULES = """
INSERT INTO ledger_account_kind (kind, owned, system, shards, floor, ceiling) VALUES
  ('clearing', true, true, 64, NULL, NULL),
  ('disputed', true, true, 64, NULL, NULL),
  ('deferred', true, false, 1, 0, NULL),
  ('sales', false, true, 64, NULL, NULL),
  ('vat', true, true, 64, NULL, NULL);

INSERT INTO ledger_posting_rule (code, debits, credits) VALUES
  ('sale', '{clearing}', '{deferred}'),
  ('sale_vat', '{clearing}', '{vat}'),
  ('recognition', '{deferred}', '{sales}'),
  ('refund', '{deferred,sales}', '{clearing}'),
  ('refund_vat', '{vat}', '{clearing}'),
  ('dispute', '{disputed}', '{clearing}'),
  ('dispute_won', '{clearing}', '{disputed}'),
  ('dispute_lost', '{deferred,sales,vat}', '{disputed}');

UPDATE ledger_posting_rule SET debits = kinds.every, credits = kinds.every
  FROM (SELECT array_agg(kind) AS every FROM ledger_account_kind) AS kinds
 WHERE code = 'correction';
"""

INVOICES = """
ALTER TABLE papers_paper DROP CONSTRAINT ck_papers_paper_kind,
  ADD CONSTRAINT ck_papers_paper_kind CHECK (kind IN ('self_billing', 'invoice', 'credit_note'));
"""

# One invoice can be given back in parts, each with a credit note. That none is written twice is
# kept by its source.
CREDITS = """
ALTER TABLE papers_paper DROP CONSTRAINT uq_papers_paper_credits_id;
CREATE INDEX ix_papers_paper_credits_id ON papers_paper (credits_id);
"""


def upgrade() -> None:
    for script in (RULES, INVOICES, CREDITS):
        op.execute(script)
