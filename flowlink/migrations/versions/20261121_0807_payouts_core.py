"""payouts: commissions, reserve lots, payout methods, withdrawals."""

from alembic import op

revision = "m0807"
down_revision = "m0806"

EARNING = """
CREATE TABLE payouts_commission (
  conversion_id uuid NOT NULL CONSTRAINT pk_payouts_commission PRIMARY KEY
    CONSTRAINT fk_payouts_commission_conversion_id REFERENCES tracking_conversion (id),
  partner_id uuid NOT NULL
    CONSTRAINT fk_payouts_commission_partner_id REFERENCES partners_partner (id),
  currency text NOT NULL,
  offer_version integer NOT NULL,
  share_bps integer NOT NULL
    CONSTRAINT ck_payouts_commission_share_bps CHECK (share_bps BETWEEN 0 AND 10000),
  reserve_bps integer NOT NULL
    CONSTRAINT ck_payouts_commission_reserve_bps CHECK (reserve_bps BETWEEN 0 AND 10000),
  posted_revision integer NOT NULL DEFAULT 0,
  gross_micro bigint NOT NULL DEFAULT 0,
  share_micro bigint NOT NULL DEFAULT 0,
  pending_micro bigint NOT NULL DEFAULT 0,
  CONSTRAINT ck_payouts_commission_share CHECK (share_micro BETWEEN 0 AND gross_micro),
  CONSTRAINT ck_payouts_commission_pending CHECK (pending_micro >= 0)
);
CREATE INDEX ix_payouts_commission_partner_id ON payouts_commission (partner_id, conversion_id);

CREATE TABLE payouts_commission_revision (
  conversion_id uuid NOT NULL CONSTRAINT fk_payouts_commission_revision_conversion_id
    REFERENCES payouts_commission (conversion_id),
  revision integer NOT NULL,
  entry_id uuid,
  posted_at timestamptz NOT NULL,
  CONSTRAINT pk_payouts_commission_revision PRIMARY KEY (conversion_id, revision)
);

CREATE TABLE payouts_reserve_lot (
  id uuid NOT NULL DEFAULT uuidv7() CONSTRAINT pk_payouts_reserve_lot PRIMARY KEY,
  partner_id uuid NOT NULL
    CONSTRAINT fk_payouts_reserve_lot_partner_id REFERENCES partners_partner (id),
  currency text NOT NULL,
  release_on date NOT NULL,
  remaining_micro bigint NOT NULL DEFAULT 0
    CONSTRAINT ck_payouts_reserve_lot_remaining CHECK (remaining_micro >= 0),
  released_micro bigint NOT NULL DEFAULT 0,
  released_at timestamptz,
  CONSTRAINT ck_payouts_reserve_lot_released CHECK (released_at IS NULL OR remaining_micro = 0)
);
CREATE UNIQUE INDEX uq_payouts_reserve_lot_open
  ON payouts_reserve_lot (partner_id, currency, release_on) WHERE released_at IS NULL;
CREATE INDEX ix_payouts_reserve_lot_due
  ON payouts_reserve_lot (release_on) WHERE released_at IS NULL;

CREATE TABLE payouts_reserve_share (
  conversion_id uuid NOT NULL CONSTRAINT fk_payouts_reserve_share_conversion_id
    REFERENCES payouts_commission (conversion_id),
  lot_id uuid NOT NULL
    CONSTRAINT fk_payouts_reserve_share_lot_id REFERENCES payouts_reserve_lot (id),
  amount_micro bigint NOT NULL
    CONSTRAINT ck_payouts_reserve_share_amount CHECK (amount_micro >= 0),
  CONSTRAINT pk_payouts_reserve_share PRIMARY KEY (conversion_id, lot_id)
);
CREATE INDEX ix_payouts_reserve_share_lot_id ON payouts_reserve_share (lot_id);
"""

PAYING = """
CREATE TABLE payouts_method (
  id uuid NOT NULL DEFAULT uuidv7() CONSTRAINT pk_payouts_method PRIMARY KEY,
  partner_id uuid NOT NULL
    CONSTRAINT fk_payouts_method_partner_id REFERENCES partners_partner (id),
  rail text NOT NULL CONSTRAINT ck_payouts_method_rail CHECK (rail IN ('paypal', 'bank')),
  sealed bytea NOT NULL,
  fingerprint bytea NOT NULL,
  masked text NOT NULL,
  settled_at timestamptz NOT NULL,
  used_at timestamptz NOT NULL,
  created_at timestamptz NOT NULL,
  CONSTRAINT uq_payouts_method_partner_id_fingerprint UNIQUE (partner_id, fingerprint)
);

CREATE TABLE payouts_withdrawal (
  id uuid NOT NULL DEFAULT uuidv7() CONSTRAINT pk_payouts_withdrawal PRIMARY KEY,
  partner_id uuid NOT NULL
    CONSTRAINT fk_payouts_withdrawal_partner_id REFERENCES partners_partner (id),
  method_id uuid NOT NULL
    CONSTRAINT fk_payouts_withdrawal_method_id REFERENCES payouts_method (id),
  amount_minor bigint NOT NULL CONSTRAINT ck_payouts_withdrawal_amount CHECK (amount_minor > 0),
  currency text NOT NULL,
  state text NOT NULL CONSTRAINT ck_payouts_withdrawal_state CHECK (
    state IN ('requested', 'approved', 'rejected', 'in_run', 'sent', 'settled', 'failed',
              'returned')),
  needs_person boolean NOT NULL,
  once text,
  requester_id uuid NOT NULL
    CONSTRAINT fk_payouts_withdrawal_requester_id REFERENCES identity_user (id),
  approved_by text,
  approver_id uuid
    CONSTRAINT fk_payouts_withdrawal_approver_id REFERENCES identity_user (id),
  reference text NOT NULL DEFAULT '',
  reason text NOT NULL DEFAULT '',
  created_at timestamptz NOT NULL,
  updated_at timestamptz NOT NULL,
  CONSTRAINT uq_payouts_withdrawal_partner_id_once UNIQUE (partner_id, once),
  CONSTRAINT ck_payouts_withdrawal_four_eyes CHECK (approver_id <> requester_id),
  CONSTRAINT ck_payouts_withdrawal_person CHECK (NOT needs_person OR approved_by <> 'policy'),
  CONSTRAINT ck_payouts_withdrawal_approved
    CHECK (state IN ('requested', 'rejected') OR approved_by IS NOT NULL),
  CONSTRAINT ck_payouts_withdrawal_reference CHECK (state <> 'settled' OR reference <> ''),
  CONSTRAINT ck_payouts_withdrawal_reason
    CHECK (state NOT IN ('rejected', 'failed', 'returned') OR reason <> '')
);
CREATE INDEX ix_payouts_withdrawal_partner_id_id ON payouts_withdrawal (partner_id, id);
CREATE INDEX ix_payouts_withdrawal_open ON payouts_withdrawal (id)
  WHERE state IN ('requested', 'approved', 'in_run', 'sent');

CREATE TABLE payouts_withdrawal_event (
  withdrawal_id uuid NOT NULL CONSTRAINT fk_payouts_withdrawal_event_withdrawal_id
    REFERENCES payouts_withdrawal (id),
  sequence integer NOT NULL,
  from_state text,
  to_state text NOT NULL,
  actor text NOT NULL,
  note text NOT NULL DEFAULT '',
  at timestamptz NOT NULL,
  CONSTRAINT pk_payouts_withdrawal_event PRIMARY KEY (withdrawal_id, sequence),
  CONSTRAINT ck_payouts_withdrawal_event_step CHECK (
    CASE WHEN from_state IS NULL THEN to_state = 'requested' ELSE
      (from_state, to_state) IN (
        ('requested', 'approved'), ('requested', 'rejected'), ('approved', 'rejected'),
        ('approved', 'in_run'), ('approved', 'settled'), ('approved', 'failed'),
        ('in_run', 'approved'), ('in_run', 'sent'), ('sent', 'settled'), ('sent', 'failed'),
        ('sent', 'returned'), ('settled', 'returned')) END)
);
"""

GUARDS = """
CREATE TRIGGER append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON payouts_withdrawal_event
  FOR EACH STATEMENT EXECUTE FUNCTION kernel_refuse_change();
CREATE TRIGGER append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON payouts_commission_revision
  FOR EACH STATEMENT EXECUTE FUNCTION kernel_refuse_change();
"""


def upgrade() -> None:
    for script in (EARNING, PAYING, GUARDS):
        op.execute(script)
