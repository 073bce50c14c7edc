"""identity: users, magic links, sessions, API keys."""

from alembic import op

revision = "m0801"
down_revision = "m0800"

TABLES = """
CREATE TABLE identity_user (
  id uuid NOT NULL DEFAULT uuidv7() CONSTRAINT pk_identity_user PRIMARY KEY,
  email text NOT NULL CONSTRAINT uq_identity_user_email UNIQUE,
  lang text NOT NULL DEFAULT 'fr' CONSTRAINT ck_identity_user_lang CHECK (lang IN ('fr', 'en')),
  role text CONSTRAINT ck_identity_user_role CHECK (role IN ('operator', 'agent')),
  created_at timestamptz NOT NULL
);

CREATE TABLE identity_magic_link (
  id uuid NOT NULL DEFAULT uuidv7() CONSTRAINT pk_identity_magic_link PRIMARY KEY,
  token_digest bytea NOT NULL CONSTRAINT uq_identity_magic_link_token_digest UNIQUE,
  email text NOT NULL,
  area text NOT NULL CONSTRAINT ck_identity_magic_link_area CHECK (area IN ('partner', 'user')),
  from_cli boolean NOT NULL,
  created_at timestamptz NOT NULL,
  expires_at timestamptz NOT NULL,
  used_at timestamptz
);
CREATE INDEX ix_identity_magic_link_expires_at ON identity_magic_link (expires_at);

CREATE TABLE identity_session (
  id uuid NOT NULL DEFAULT uuidv7() CONSTRAINT pk_identity_session PRIMARY KEY,
  user_id uuid NOT NULL CONSTRAINT fk_identity_session_user_id REFERENCES identity_user (id),
  token_digest bytea NOT NULL CONSTRAINT uq_identity_session_token_digest UNIQUE,
  user_agent text NOT NULL,
  created_at timestamptz NOT NULL,
  last_seen_at timestamptz NOT NULL,
  expires_at timestamptz NOT NULL,
  revoked_at timestamptz
);
CREATE INDEX ix_identity_session_user_id ON identity_session (user_id);

CREATE TABLE identity_api_key (
  id uuid NOT NULL DEFAULT uuidv7() CONSTRAINT pk_identity_api_key PRIMARY KEY,
  key_digest bytea NOT NULL CONSTRAINT uq_identity_api_key_key_digest UNIQUE,
  hint text NOT NULL,
  name text NOT NULL,
  owner_kind text NOT NULL
    CONSTRAINT ck_identity_api_key_owner_kind CHECK (owner_kind IN ('operator', 'partner', 'team')),
  owner_id uuid,
  user_id uuid CONSTRAINT fk_identity_api_key_user_id REFERENCES identity_user (id),
  scopes text[],
  created_at timestamptz NOT NULL,
  last_used_at timestamptz,
  revoked_at timestamptz,
  CONSTRAINT ck_identity_api_key_owner CHECK (owner_kind = 'operator' OR owner_id IS NOT NULL)
);
CREATE INDEX ix_identity_api_key_user_id ON identity_api_key (user_id);
CREATE INDEX ix_identity_api_key_owner_kind_owner_id ON identity_api_key (owner_kind, owner_id);
"""


def upgrade() -> None:
    op.execute(TABLES)
