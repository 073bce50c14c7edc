"""What we know of Stripe's objects: a customer a team, a session or an intent a charge.

Revision ID: m1130
Revises: m1102
"""

from alembic import op

revision = "m1130"
down_revision = "m1103"
branch_labels = None
depends_on = None

TABLES = """
CREATE TABLE billing_stripe_payer (
  payer text NOT NULL CONSTRAINT pk_billing_stripe_payer PRIMARY KEY,
  customer_id text NOT NULL,
  method_id text NOT NULL DEFAULT '',
  method_at timestamptz,
  made_at timestamptz NOT NULL,
  CONSTRAINT ck_billing_stripe_payer_method CHECK ((method_id = '') = (method_at IS NULL))
);
CREATE TABLE billing_stripe_charge (
  ref text NOT NULL CONSTRAINT pk_billing_stripe_charge PRIMARY KEY,
  payer text NOT NULL,
  kind text NOT NULL CONSTRAINT ck_billing_stripe_charge_kind CHECK (kind IN ('page', 'away')),
  amount_minor bigint NOT NULL,
  currency text NOT NULL,
  title text NOT NULL,
  back_url text NOT NULL,
  number integer NOT NULL DEFAULT 1,
  session_id text NOT NULL DEFAULT '',
  intent_id text NOT NULL DEFAULT '',
  closed_at timestamptz,
  made_at timestamptz NOT NULL,
  changed_at timestamptz NOT NULL,
  CONSTRAINT ck_billing_stripe_charge_amount CHECK (amount_minor > 0 OR closed_at IS NOT NULL),
  CONSTRAINT ck_billing_stripe_charge_session CHECK (session_id = '' OR kind = 'page')
);
CREATE UNIQUE INDEX uq_billing_stripe_charge_intent_id ON billing_stripe_charge (intent_id)
  WHERE intent_id <> '';
CREATE UNIQUE INDEX uq_billing_stripe_charge_session_id ON billing_stripe_charge (session_id)
  WHERE session_id <> '';
CREATE TABLE billing_stripe_listing (
  id smallint NOT NULL CONSTRAINT pk_billing_stripe_listing PRIMARY KEY
    CONSTRAINT ck_billing_stripe_listing_one CHECK (id = 1),
  listed_until timestamptz NOT NULL
);
"""


def upgrade() -> None:
    op.execute(TABLES)
