"""kernel: what providers tell us; payouts: runs, their items, and what banks answered."""

from alembic import op

revision = "m1001"
down_revision = "m1003"

EVENTS = """
CREATE TABLE kernel_provider_event (
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
CREATE INDEX ix_kernel_provider_event_waiting
  ON kernel_provider_event (provider, next_try_at) WHERE handled_at IS NULL;
"""

RUNS = """
ALTER TABLE payouts_method ADD COLUMN holder text NOT NULL DEFAULT '';

CREATE TABLE payouts_run (
  id uuid NOT NULL DEFAULT uuidv7() CONSTRAINT pk_payouts_run PRIMARY KEY,
  rail text NOT NULL CONSTRAINT ck_payouts_run_rail CHECK (rail IN ('paypal', 'bank')),
  currency text NOT NULL,
  state text NOT NULL
    CONSTRAINT ck_payouts_run_state CHECK (state IN ('proposed', 'released', 'cancelled')),
  message_id text CONSTRAINT uq_payouts_run_message_id UNIQUE,
  execute_on date NOT NULL,
  item_count integer NOT NULL,
  total_minor bigint NOT NULL,
  sha256 text NOT NULL,
  debtor_name text NOT NULL,
  debtor_iban text NOT NULL,
  debtor_bic text NOT NULL,
  made_by text NOT NULL,
  maker_id uuid CONSTRAINT fk_payouts_run_maker_id REFERENCES identity_user (id),
  made_at timestamptz NOT NULL,
  released_by text,
  releaser_id uuid CONSTRAINT fk_payouts_run_releaser_id REFERENCES identity_user (id),
  released_at timestamptz,
  cancelled_by text,
  cancelled_at timestamptz,
  provider_batch_id text CONSTRAINT uq_payouts_run_provider_batch_id UNIQUE,
  first_tried_at timestamptz,
  next_try_at timestamptz,
  tries integer NOT NULL DEFAULT 0,
  trouble text NOT NULL DEFAULT '',
  CONSTRAINT ck_payouts_run_totals CHECK (item_count >= 0 AND total_minor >= 0),
  CONSTRAINT ck_payouts_run_released CHECK ((state = 'released') = (released_by IS NOT NULL)),
  CONSTRAINT ck_payouts_run_cancelled CHECK ((state = 'cancelled') = (cancelled_by IS NOT NULL)),
  CONSTRAINT ck_payouts_run_four_eyes CHECK (released_by <> made_by),
  CONSTRAINT ck_payouts_run_four_eyes_person CHECK (releaser_id <> maker_id)
);
CREATE INDEX ix_payouts_run_due ON payouts_run (next_try_at) WHERE next_try_at IS NOT NULL;

CREATE TABLE payouts_run_item (
  run_id uuid NOT NULL CONSTRAINT fk_payouts_run_item_run_id REFERENCES payouts_run (id),
  withdrawal_id uuid NOT NULL
    CONSTRAINT fk_payouts_run_item_withdrawal_id REFERENCES payouts_withdrawal (id),
  end_to_end_id text NOT NULL CONSTRAINT uq_payouts_run_item_end_to_end_id UNIQUE,
  amount_minor bigint NOT NULL CONSTRAINT ck_payouts_run_item_amount CHECK (amount_minor > 0),
  holder text NOT NULL,
  left_at timestamptz,
  answer text NOT NULL DEFAULT 'unknown',
  answered_at timestamptz,
  provider_item_id text,
  trouble text NOT NULL DEFAULT '',
  contradiction text NOT NULL DEFAULT '',
  CONSTRAINT pk_payouts_run_item PRIMARY KEY (run_id, withdrawal_id)
);
CREATE UNIQUE INDEX uq_payouts_run_item_live
  ON payouts_run_item (withdrawal_id) WHERE left_at IS NULL;
"""

ANSWERS = """
CREATE TABLE payouts_bank_file (
  id uuid NOT NULL DEFAULT uuidv7() CONSTRAINT pk_payouts_bank_file PRIMARY KEY,
  kind text NOT NULL
    CONSTRAINT ck_payouts_bank_file_kind CHECK (kind IN ('pain.002', 'camt.053')),
  sha256 text NOT NULL CONSTRAINT uq_payouts_bank_file_sha256 UNIQUE,
  name text NOT NULL,
  body bytea NOT NULL,
  line_count integer NOT NULL,
  uploaded_by text NOT NULL,
  uploaded_at timestamptz NOT NULL
);
CREATE TRIGGER append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON payouts_bank_file
  FOR EACH STATEMENT EXECUTE FUNCTION kernel_refuse_change();

CREATE TABLE payouts_bank_line (
  id uuid NOT NULL DEFAULT uuidv7() CONSTRAINT pk_payouts_bank_line PRIMARY KEY,
  file_id uuid NOT NULL
    CONSTRAINT fk_payouts_bank_line_file_id REFERENCES payouts_bank_file (id),
  key text NOT NULL CONSTRAINT uq_payouts_bank_line_key UNIQUE,
  end_to_end_id text NOT NULL,
  says text NOT NULL,
  amount_minor bigint,
  currency text NOT NULL,
  booked_on date,
  reference text NOT NULL,
  reason text NOT NULL,
  withdrawal_id uuid
    CONSTRAINT fk_payouts_bank_line_withdrawal_id REFERENCES payouts_withdrawal (id),
  outcome text NOT NULL CONSTRAINT ck_payouts_bank_line_outcome CHECK (
    outcome IN ('applied', 'known', 'noted', 'unmatched', 'contradiction')),
  looked_by text,
  looked_at timestamptz,
  looked_note text NOT NULL DEFAULT ''
);
CREATE INDEX ix_payouts_bank_line_file_id ON payouts_bank_line (file_id);
CREATE INDEX ix_payouts_bank_line_waiting ON payouts_bank_line (id)
  WHERE outcome IN ('unmatched', 'contradiction') AND looked_at IS NULL;
"""


def upgrade() -> None:
    for script in (EVENTS, RUNS, ANSWERS):
        op.execute(script)
