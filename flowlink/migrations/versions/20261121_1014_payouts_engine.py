"""payouts: deals, the terms pinned to each commission, disputes, referral rewards and cases."""

from alembic import op

revision = "m1014"
down_revision = "m1004"

RULES = """
INSERT INTO ledger_posting_rule (code, debits, credits) VALUES
  ('referral', '{revenue}', '{available,held}'),
  ('referral_back', '{available,held,debt}', '{revenue}'),
  ('adjustment', '{revenue}', '{available,held}');
UPDATE ledger_posting_rule SET debits = debits || '{revenue}' WHERE code = 'debt_repaid';
UPDATE ledger_posting_rule SET debits = '{available,reserve}' WHERE code = 'hold';
"""

DEALS = """
CREATE TABLE payouts_deal (
  id uuid NOT NULL DEFAULT uuidv7() CONSTRAINT pk_payouts_deal PRIMARY KEY,
  group_id uuid CONSTRAINT fk_payouts_deal_group_id REFERENCES partners_group (id),
  partner_id uuid CONSTRAINT fk_payouts_deal_partner_id REFERENCES partners_partner (id),
  offer_id uuid CONSTRAINT fk_payouts_deal_offer_id REFERENCES tracking_offer (id),
  version integer NOT NULL,
  in_force_at timestamptz NOT NULL,
  until_at timestamptz,
  ended boolean NOT NULL DEFAULT false,
  share_bps integer,
  own_share_bps integer,
  cpc_micro bigint,
  reserve_bps integer,
  release_days integer,
  cap_day_micro bigint,
  cap_month_micro bigint,
  months integer,
  tiers jsonb NOT NULL DEFAULT '[]',
  marginal boolean NOT NULL DEFAULT false,
  reason text NOT NULL,
  actor text NOT NULL,
  made_at timestamptz NOT NULL,
  CONSTRAINT uq_payouts_deal_scope
    UNIQUE NULLS NOT DISTINCT (group_id, partner_id, offer_id, version),
  CONSTRAINT ck_payouts_deal_scope CHECK (
    num_nonnulls(group_id, partner_id) <= 1
    AND num_nonnulls(group_id, partner_id, offer_id) >= 1),
  CONSTRAINT ck_payouts_deal_term CHECK (in_force_at < until_at),
  CONSTRAINT ck_payouts_deal_shares CHECK (
    share_bps BETWEEN 0 AND 10000 AND own_share_bps BETWEEN 0 AND 10000
    AND reserve_bps BETWEEN 0 AND 10000),
  CONSTRAINT ck_payouts_deal_numbers CHECK (
    cpc_micro > 0 AND release_days BETWEEN 0 AND 3650 AND cap_day_micro >= 0
    AND cap_month_micro >= 0 AND months BETWEEN 0 AND 600),
  CONSTRAINT ck_payouts_deal_reason CHECK (reason <> '')
);
CREATE INDEX ix_payouts_deal_partner_id ON payouts_deal (partner_id);
CREATE INDEX ix_payouts_deal_offer_id ON payouts_deal (offer_id);

CREATE TABLE payouts_terms (
  id uuid NOT NULL DEFAULT uuidv7() CONSTRAINT pk_payouts_terms PRIMARY KEY,
  digest bytea NOT NULL CONSTRAINT uq_payouts_terms_digest UNIQUE,
  body jsonb NOT NULL
);

ALTER TABLE payouts_commission
  ADD COLUMN terms_id uuid CONSTRAINT fk_payouts_commission_terms_id REFERENCES payouts_terms (id),
  ADD COLUMN release_days integer,
  ADD COLUMN volume_micro bigint,
  ADD COLUMN limited_by text,
  ADD CONSTRAINT ck_payouts_commission_limited_by CHECK (
    limited_by IN ('duration', 'cap_month')
    AND (limited_by <> 'duration' OR (share_micro = 0 AND pending_micro = 0))),
  ADD CONSTRAINT ck_payouts_commission_volume CHECK (volume_micro >= 0);
ALTER TABLE payouts_accrual
  ADD COLUMN terms_id uuid CONSTRAINT fk_payouts_accrual_terms_id REFERENCES payouts_terms (id);
"""

DISPUTES = """
CREATE TABLE payouts_dispute (
  id uuid NOT NULL DEFAULT uuidv7() CONSTRAINT pk_payouts_dispute PRIMARY KEY,
  conversion_id uuid NOT NULL
    CONSTRAINT fk_payouts_dispute_conversion_id REFERENCES payouts_commission (conversion_id),
  partner_id uuid NOT NULL
    CONSTRAINT fk_payouts_dispute_partner_id REFERENCES partners_partner (id),
  currency text NOT NULL,
  reference text NOT NULL CONSTRAINT ck_payouts_dispute_reference CHECK (reference <> ''),
  state text NOT NULL CONSTRAINT ck_payouts_dispute_state CHECK (state IN ('open', 'won', 'lost')),
  amount_micro bigint NOT NULL,
  held_micro bigint NOT NULL,
  opened_by text NOT NULL,
  opened_at timestamptz NOT NULL,
  decided_by text,
  decided_at timestamptz,
  CONSTRAINT uq_payouts_dispute_conversion_id UNIQUE (conversion_id, reference),
  CONSTRAINT ck_payouts_dispute_held CHECK (
    held_micro BETWEEN 0 AND amount_micro AND (state = 'open' OR held_micro = 0)),
  CONSTRAINT ck_payouts_dispute_decided CHECK (
    (state = 'open') = (decided_at IS NULL) AND (decided_at IS NULL) = (decided_by IS NULL))
);
CREATE UNIQUE INDEX uq_payouts_dispute_open ON payouts_dispute (conversion_id)
  WHERE state = 'open';
CREATE INDEX ix_payouts_dispute_partner_id_id ON payouts_dispute (partner_id, id);
"""

REWARDS = """
CREATE TABLE payouts_reward (
  id uuid NOT NULL DEFAULT uuidv7() CONSTRAINT pk_payouts_reward PRIMARY KEY,
  conversion_id uuid
    CONSTRAINT fk_payouts_reward_conversion_id REFERENCES payouts_commission (conversion_id),
  accrual_id uuid CONSTRAINT fk_payouts_reward_accrual_id REFERENCES payouts_accrual (id),
  referrer_id uuid NOT NULL
    CONSTRAINT fk_payouts_reward_referrer_id REFERENCES partners_partner (id),
  referred_id uuid NOT NULL
    CONSTRAINT fk_payouts_reward_referred_id REFERENCES partners_partner (id),
  currency text NOT NULL,
  base_micro bigint NOT NULL,
  amount_micro bigint NOT NULL,
  step integer NOT NULL,
  updated_at timestamptz NOT NULL,
  CONSTRAINT uq_payouts_reward_conversion_id UNIQUE (conversion_id),
  CONSTRAINT uq_payouts_reward_accrual_id UNIQUE (accrual_id),
  CONSTRAINT ck_payouts_reward_subject CHECK (num_nonnulls(conversion_id, accrual_id) = 1),
  CONSTRAINT ck_payouts_reward_amount CHECK (amount_micro BETWEEN 0 AND base_micro)
);
CREATE INDEX ix_payouts_reward_referrer_id_id ON payouts_reward (referrer_id, id);
"""

CASES = """
CREATE TABLE payouts_case (
  id uuid NOT NULL DEFAULT uuidv7() CONSTRAINT pk_payouts_case PRIMARY KEY,
  partner_id uuid NOT NULL CONSTRAINT fk_payouts_case_partner_id REFERENCES partners_partner (id),
  link_id uuid CONSTRAINT fk_payouts_case_link_id REFERENCES tracking_link (id),
  click text NOT NULL DEFAULT '',
  happened_on date NOT NULL,
  claimed_micro bigint NOT NULL,
  currency text NOT NULL DEFAULT 'EUR',
  order_reference text NOT NULL DEFAULT '',
  story text NOT NULL,
  trail jsonb NOT NULL,
  state text NOT NULL
    CONSTRAINT ck_payouts_case_state CHECK (state IN ('open', 'accepted', 'declined', 'withdrawn')),
  granted_micro bigint,
  answer text NOT NULL DEFAULT '',
  once text,
  entry_id uuid,
  decided_by text,
  decided_at timestamptz,
  created_at timestamptz NOT NULL,
  CONSTRAINT uq_payouts_case_partner_id UNIQUE (partner_id, once),
  CONSTRAINT ck_payouts_case_claimed CHECK (claimed_micro > 0 AND story <> ''),
  CONSTRAINT ck_payouts_case_decided CHECK (
    (state = 'open') = (decided_at IS NULL) AND (decided_at IS NULL) = (decided_by IS NULL)
    AND (state IN ('open', 'withdrawn') OR answer <> '')),
  CONSTRAINT ck_payouts_case_granted CHECK (
    (state = 'accepted') = (granted_micro IS NOT NULL)
    AND (state = 'accepted') = (entry_id IS NOT NULL) AND granted_micro > 0)
);
CREATE INDEX ix_payouts_case_partner_id_id ON payouts_case (partner_id, id);
CREATE INDEX ix_payouts_case_open ON payouts_case (id) WHERE state = 'open';
"""

GUARDS = """
CREATE TRIGGER append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON payouts_deal
  FOR EACH STATEMENT EXECUTE FUNCTION kernel_refuse_change();
CREATE TRIGGER append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON payouts_terms
  FOR EACH STATEMENT EXECUTE FUNCTION kernel_refuse_change();
"""


def upgrade() -> None:
    for script in (RULES, DEALS, DISPUTES, REWARDS, CASES, GUARDS):
        op.execute(script)
