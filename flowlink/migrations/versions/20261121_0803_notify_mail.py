"""notify: mails."""

from alembic import op

revision = "m0803"
down_revision = "m0802"

TABLES = """
CREATE TABLE notify_mail (
  id uuid NOT NULL DEFAULT uuidv7() CONSTRAINT pk_notify_mail PRIMARY KEY,
  source text CONSTRAINT uq_notify_mail_source UNIQUE,
  to_address text NOT NULL,
  template text NOT NULL,
  lang text NOT NULL,
  context jsonb,
  sealed_context bytea,
  is_secret boolean NOT NULL,
  useful_until timestamptz,
  state text NOT NULL DEFAULT 'queued'
    CONSTRAINT ck_notify_mail_state CHECK (state IN ('queued', 'sent', 'failed')),
  attempts integer NOT NULL DEFAULT 0,
  next_try_at timestamptz NOT NULL,
  error text NOT NULL DEFAULT '',
  transport text NOT NULL DEFAULT '',
  reference text NOT NULL DEFAULT '',
  subject text NOT NULL DEFAULT '',
  text_body text NOT NULL DEFAULT '',
  html_body text NOT NULL DEFAULT '',
  sealed_content bytea,
  created_at timestamptz NOT NULL,
  sent_at timestamptz,
  CONSTRAINT ck_notify_mail_sent_at CHECK ((state = 'sent') = (sent_at IS NOT NULL))
);
CREATE INDEX ix_notify_mail_due ON notify_mail (next_try_at) WHERE state = 'queued';
CREATE INDEX ix_notify_mail_to_address ON notify_mail (to_address);
"""


def upgrade() -> None:
    op.execute(TABLES)
