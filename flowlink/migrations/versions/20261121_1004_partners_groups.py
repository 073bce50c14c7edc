"""partners: groups and who was in them when, terms and questions, and who brought whom."""

from alembic import op

revision = "m1004"
down_revision = "m1001"

GROUPS = """
CREATE TABLE partners_group (
  id uuid NOT NULL DEFAULT uuidv7() CONSTRAINT pk_partners_group PRIMARY KEY,
  name text NOT NULL CONSTRAINT ck_partners_group_name CHECK (name <> ''),
  description text NOT NULL DEFAULT '',
  for_newcomers boolean NOT NULL DEFAULT false,
  version integer NOT NULL DEFAULT 1,
  created_at timestamptz NOT NULL,
  CONSTRAINT uq_partners_group_name UNIQUE (name)
);
CREATE UNIQUE INDEX uq_partners_group_for_newcomers ON partners_group (for_newcomers)
  WHERE for_newcomers;

CREATE TABLE partners_membership (
  id uuid NOT NULL DEFAULT uuidv7() CONSTRAINT pk_partners_membership PRIMARY KEY,
  partner_id uuid NOT NULL
    CONSTRAINT fk_partners_membership_partner_id REFERENCES partners_partner (id),
  group_id uuid CONSTRAINT fk_partners_membership_group_id REFERENCES partners_group (id),
  from_at timestamptz NOT NULL,
  reason text NOT NULL CONSTRAINT ck_partners_membership_reason CHECK (reason <> ''),
  actor text NOT NULL
);
CREATE INDEX ix_partners_membership_partner_id_id ON partners_membership (partner_id, id);
CREATE INDEX ix_partners_membership_group_id ON partners_membership (group_id);
"""

ONBOARDING = """
CREATE TABLE partners_terms (
  version text NOT NULL CONSTRAINT pk_partners_terms PRIMARY KEY,
  in_force_at timestamptz NOT NULL,
  body_fr text NOT NULL,
  body_en text NOT NULL,
  changes_fr text NOT NULL,
  changes_en text NOT NULL,
  actor text NOT NULL,
  created_at timestamptz NOT NULL,
  CONSTRAINT ck_partners_terms_body CHECK (
    version <> '' AND body_fr <> '' AND body_en <> '' AND changes_fr <> '' AND changes_en <> '')
);

CREATE TABLE partners_acceptance (
  partner_id uuid NOT NULL
    CONSTRAINT fk_partners_acceptance_partner_id REFERENCES partners_partner (id),
  version text NOT NULL,
  at timestamptz NOT NULL,
  CONSTRAINT pk_partners_acceptance PRIMARY KEY (partner_id, version)
);
INSERT INTO partners_acceptance (partner_id, version, at)
  SELECT id, terms_version, terms_accepted_at FROM partners_partner;

CREATE TABLE partners_question (
  id uuid NOT NULL DEFAULT uuidv7() CONSTRAINT pk_partners_question PRIMARY KEY,
  asked_fr text NOT NULL,
  asked_en text NOT NULL,
  required boolean NOT NULL,
  retired_at timestamptz,
  created_at timestamptz NOT NULL,
  CONSTRAINT ck_partners_question_asked CHECK (asked_fr <> '' AND asked_en <> '')
);

CREATE TABLE partners_answer (
  partner_id uuid NOT NULL
    CONSTRAINT fk_partners_answer_partner_id REFERENCES partners_partner (id),
  question_id uuid NOT NULL
    CONSTRAINT fk_partners_answer_question_id REFERENCES partners_question (id),
  answer text NOT NULL,
  at timestamptz NOT NULL,
  CONSTRAINT pk_partners_answer PRIMARY KEY (partner_id, question_id)
);

CREATE TABLE partners_referral (
  referred_id uuid NOT NULL CONSTRAINT pk_partners_referral PRIMARY KEY
    CONSTRAINT fk_partners_referral_referred_id REFERENCES partners_partner (id),
  referrer_id uuid NOT NULL
    CONSTRAINT fk_partners_referral_referrer_id REFERENCES partners_partner (id),
  share_bps integer NOT NULL,
  started_at timestamptz NOT NULL,
  ends_at timestamptz NOT NULL,
  void_at timestamptz,
  void_reason text,
  CONSTRAINT ck_partners_referral_self CHECK (referrer_id <> referred_id),
  CONSTRAINT ck_partners_referral_share CHECK (share_bps BETWEEN 0 AND 10000),
  CONSTRAINT ck_partners_referral_term CHECK (started_at <= ends_at),
  CONSTRAINT ck_partners_referral_void CHECK (
    (void_at IS NULL) = (void_reason IS NULL)
    AND void_reason IN ('same_person', 'same_details'))
);
CREATE INDEX ix_partners_referral_referrer_id ON partners_referral (referrer_id, referred_id);
"""

# Whoever chose a name before chose it for the leaderboard: it was shown nowhere else.
CONSENT = "UPDATE partners_partner SET leaderboard_consent = true WHERE handle IS NOT NULL"

GUARDS = """
CREATE TRIGGER append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON partners_membership
  FOR EACH STATEMENT EXECUTE FUNCTION kernel_refuse_change();
CREATE TRIGGER append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON partners_terms
  FOR EACH STATEMENT EXECUTE FUNCTION kernel_refuse_change();
CREATE TRIGGER append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON partners_acceptance
  FOR EACH STATEMENT EXECUTE FUNCTION kernel_refuse_change();
"""


def upgrade() -> None:
    for script in (GROUPS, ONBOARDING, CONSENT, GUARDS):
        op.execute(script)
