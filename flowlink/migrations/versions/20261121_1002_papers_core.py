"""papers: company, series, issued papers; payouts: what partners are on paper."""

from alembic import op

revision = "m1002"
down_revision = "m1000"

PAPERS = """
CREATE TABLE papers_company (
  id uuid NOT NULL DEFAULT uuidv7() CONSTRAINT pk_papers_company PRIMARY KEY,
  party jsonb NOT NULL,
  actor text NOT NULL,
  created_at timestamptz NOT NULL
);
CREATE TABLE papers_series (
  name text NOT NULL CONSTRAINT pk_papers_series PRIMARY KEY,
  last integer NOT NULL
);
CREATE TABLE papers_paper (
  id uuid NOT NULL DEFAULT uuidv7() CONSTRAINT pk_papers_paper PRIMARY KEY,
  kind text NOT NULL CONSTRAINT ck_papers_paper_kind CHECK (
    kind IN ('self_billing', 'credit_note')),
  series text NOT NULL,
  sequence integer NOT NULL CONSTRAINT ck_papers_paper_sequence CHECK (sequence > 0),
  owner uuid NOT NULL,
  subject text NOT NULL,
  source text NOT NULL CONSTRAINT uq_papers_paper_source UNIQUE,
  credits_id uuid CONSTRAINT uq_papers_paper_credits_id UNIQUE
    CONSTRAINT fk_papers_paper_credits_id REFERENCES papers_paper (id),
  lang text NOT NULL,
  issued_on date NOT NULL,
  issued_at timestamptz NOT NULL,
  currency text NOT NULL,
  net_minor bigint NOT NULL,
  vat_minor bigint NOT NULL,
  total_minor bigint NOT NULL,
  facts jsonb NOT NULL,
  sha256 text NOT NULL,
  pdf bytea NOT NULL,
  CONSTRAINT uq_papers_paper_series UNIQUE (series, sequence),
  CONSTRAINT ck_papers_paper_credits CHECK ((kind = 'credit_note') = (credits_id IS NOT NULL)),
  CONSTRAINT ck_papers_paper_total CHECK (
    total_minor > 0 AND vat_minor >= 0 AND total_minor = net_minor + vat_minor)
);
CREATE INDEX ix_papers_paper_owner_id ON papers_paper (owner, id);
CREATE INDEX ix_papers_paper_subject ON papers_paper (subject);
CREATE TRIGGER append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON papers_paper
  FOR EACH STATEMENT EXECUTE FUNCTION kernel_refuse_change();
CREATE TRIGGER append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON papers_company
  FOR EACH STATEMENT EXECUTE FUNCTION kernel_refuse_change();

CREATE FUNCTION papers_next_only() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  IF TG_OP <> 'UPDATE' OR NEW.name <> OLD.name OR NEW.last <> OLD.last + 1 THEN
    RAISE EXCEPTION 'a series only counts on' USING ERRCODE = 'restrict_violation';
  END IF;
  RETURN NEW;
END $$;
CREATE TRIGGER next_only BEFORE UPDATE OR DELETE ON papers_series
  FOR EACH ROW EXECUTE FUNCTION papers_next_only();
"""

TAX = """
CREATE TABLE payouts_tax_profile (
  id uuid NOT NULL DEFAULT uuidv7() CONSTRAINT pk_payouts_tax_profile PRIMARY KEY,
  partner_id uuid NOT NULL
    CONSTRAINT fk_payouts_tax_profile_partner_id REFERENCES partners_partner (id),
  party jsonb NOT NULL,
  sealed bytea NOT NULL,
  mandate_version text NOT NULL,
  mandate_at timestamptz,
  created_at timestamptz NOT NULL,
  CONSTRAINT ck_payouts_tax_profile_mandate CHECK ((mandate_version = '') = (mandate_at IS NULL))
);
CREATE INDEX ix_payouts_tax_profile_partner_id_id ON payouts_tax_profile (partner_id, id);
CREATE TRIGGER append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON payouts_tax_profile
  FOR EACH STATEMENT EXECUTE FUNCTION kernel_refuse_change();
"""


def upgrade() -> None:
    for script in (PAPERS, TAX):
        op.execute(script)
