"""tracking: how far each edge's journal is stored, and what of it could not be."""

from alembic import op

revision = "m0808"
down_revision = "m0902"

JOURNAL = """
CREATE TABLE tracking_journal_position (
  edge text NOT NULL CONSTRAINT pk_tracking_journal_position PRIMARY KEY,
  segment bigint NOT NULL,
  byte_offset bigint NOT NULL,
  sequence bigint NOT NULL
);

CREATE TABLE tracking_journal_loss (
  id bigint GENERATED ALWAYS AS IDENTITY CONSTRAINT pk_tracking_journal_loss PRIMARY KEY,
  edge text NOT NULL,
  number bigint NOT NULL,
  start_offset bigint NOT NULL,
  end_offset bigint NOT NULL,
  damage text NOT NULL,
  records bigint,
  at timestamptz NOT NULL
);

CREATE TABLE tracking_journal_refusal (
  id bigint GENERATED ALWAYS AS IDENTITY CONSTRAINT pk_tracking_journal_refusal PRIMARY KEY,
  edge text NOT NULL,
  segment bigint NOT NULL,
  byte_offset bigint NOT NULL,
  record bytea NOT NULL,
  reason text NOT NULL,
  at timestamptz NOT NULL
);
"""


def upgrade() -> None:
    op.execute(JOURNAL)
