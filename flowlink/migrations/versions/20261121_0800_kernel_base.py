"""kernel: roles, the job queue, outbox, flags, policy, audit log, rate limits."""

from importlib.resources import files

from alembic import op

revision = "m0800"
down_revision = None

ROLES = """
DO $$
DECLARE
  name text;
BEGIN
  FOREACH name IN ARRAY ARRAY['flowlink_app', 'flowlink_ledger'] LOOP
    IF NOT EXISTS (SELECT FROM pg_roles WHERE rolname = name) THEN
      BEGIN
        EXECUTE format('CREATE ROLE %I NOLOGIN', name);
      EXCEPTION WHEN duplicate_object OR unique_violation THEN
        NULL;  -- another database of this server is being migrated at the same moment
      END;
    END IF;
    IF NOT pg_has_role(current_user, name, 'MEMBER') THEN
      EXECUTE format('GRANT %I TO %I', name, current_user);
    END IF;
  END LOOP;
END $$;
GRANT USAGE ON SCHEMA public TO flowlink_app;
GRANT USAGE, CREATE ON SCHEMA public TO flowlink_ledger;
ALTER DEFAULT PRIVILEGES IN SCHEMA public
  GRANT SELECT, INSERT, UPDATE, DELETE ON TABLES TO flowlink_app;
ALTER DEFAULT PRIVILEGES IN SCHEMA public GRANT USAGE, SELECT ON SEQUENCES TO flowlink_app;
GRANT SELECT ON alembic_version TO flowlink_app;
"""

TABLES = """
CREATE TABLE kernel_event (
  id bigint GENERATED ALWAYS AS IDENTITY CONSTRAINT pk_kernel_event PRIMARY KEY,
  name text NOT NULL,
  payload jsonb NOT NULL,
  at timestamptz NOT NULL DEFAULT now(),
  delivered_at timestamptz
);
CREATE INDEX ix_kernel_event_waiting ON kernel_event (id) WHERE delivered_at IS NULL;

CREATE TABLE kernel_job_run (
  id uuid NOT NULL DEFAULT uuidv7() CONSTRAINT pk_kernel_job_run PRIMARY KEY,
  name text NOT NULL,
  as_of timestamptz NOT NULL,
  started_at timestamptz NOT NULL,
  ended_at timestamptz NOT NULL,
  ok boolean NOT NULL,
  result text NOT NULL
);
CREATE INDEX ix_kernel_job_run_name_id ON kernel_job_run (name, id);

CREATE TABLE kernel_flag (
  name text NOT NULL CONSTRAINT pk_kernel_flag PRIMARY KEY,
  "on" boolean NOT NULL,
  actor text NOT NULL,
  at timestamptz NOT NULL
);

CREATE TABLE kernel_policy (
  id uuid NOT NULL DEFAULT uuidv7() CONSTRAINT pk_kernel_policy PRIMARY KEY,
  name text NOT NULL,
  value text NOT NULL,
  effective_at timestamptz NOT NULL,
  actor text NOT NULL,
  reason text NOT NULL,
  at timestamptz NOT NULL
);
CREATE INDEX ix_kernel_policy_name_effective_at ON kernel_policy (name, effective_at);

CREATE TABLE kernel_audit (
  id uuid NOT NULL DEFAULT uuidv7() CONSTRAINT pk_kernel_audit PRIMARY KEY,
  at timestamptz NOT NULL,
  actor text NOT NULL,
  action text NOT NULL,
  subject text NOT NULL,
  ip text NOT NULL,
  details jsonb NOT NULL
);
CREATE INDEX ix_kernel_audit_subject ON kernel_audit (subject);

CREATE TABLE kernel_rate_limit (
  key text NOT NULL,
  window_start timestamptz NOT NULL,
  count integer NOT NULL,
  CONSTRAINT pk_kernel_rate_limit PRIMARY KEY (key, window_start)
);
"""

# What is written once and kept: no role can change it, not even the tables' owner by mistake.
GUARDS = """
CREATE FUNCTION kernel_refuse_change() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  RAISE EXCEPTION '% is append-only', TG_TABLE_NAME USING ERRCODE = 'insufficient_privilege';
END $$;
CREATE TRIGGER append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON kernel_audit
  FOR EACH STATEMENT EXECUTE FUNCTION kernel_refuse_change();
CREATE TRIGGER append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON kernel_policy
  FOR EACH STATEMENT EXECUTE FUNCTION kernel_refuse_change();
"""


def upgrade() -> None:
    for script in (ROLES, TABLES, GUARDS):
        op.execute(script)
    # The queue's schema comes with the pinned library, see docs/decisions/0003.
    schema = files("procrastinate").joinpath("sql/schema.sql").read_text()
    cursor = op.get_bind().connection.cursor()
    cursor.execute(schema)  # many statements at once, percent signs and all
