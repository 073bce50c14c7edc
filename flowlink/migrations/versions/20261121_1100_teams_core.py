"""teams: team, member, invitation."""

from alembic import op

revision = "m1100"
down_revision = "m1002"

TABLES = """
CREATE TABLE teams_team (
  id uuid NOT NULL DEFAULT uuidv7() CONSTRAINT pk_teams_team PRIMARY KEY,
  slug text NOT NULL CONSTRAINT uq_teams_team_slug UNIQUE
    CONSTRAINT ck_teams_team_slug CHECK (slug ~ '^[a-z0-9]([a-z0-9-]{1,38})[a-z0-9]$'),
  name text NOT NULL CONSTRAINT ck_teams_team_name CHECK (name <> ''),
  created_at timestamptz NOT NULL,
  closes_at timestamptz,
  closed_at timestamptz,
  CONSTRAINT ck_teams_team_closed CHECK (closed_at IS NULL OR closes_at <= closed_at)
);
CREATE INDEX ix_teams_team_closes_at ON teams_team (closes_at) WHERE closed_at IS NULL;

CREATE TABLE teams_member (
  team_id uuid NOT NULL CONSTRAINT fk_teams_member_team_id REFERENCES teams_team (id),
  user_id uuid NOT NULL CONSTRAINT fk_teams_member_user_id REFERENCES identity_user (id),
  role text NOT NULL CONSTRAINT ck_teams_member_role CHECK (role IN ('owner', 'admin', 'member')),
  joined_at timestamptz NOT NULL,
  CONSTRAINT pk_teams_member PRIMARY KEY (team_id, user_id)
);
CREATE UNIQUE INDEX uq_teams_member_owner ON teams_member (team_id) WHERE role = 'owner';
CREATE INDEX ix_teams_member_user_id ON teams_member (user_id);

CREATE TABLE teams_invitation (
  id uuid NOT NULL DEFAULT uuidv7() CONSTRAINT pk_teams_invitation PRIMARY KEY,
  team_id uuid NOT NULL CONSTRAINT fk_teams_invitation_team_id REFERENCES teams_team (id),
  email text NOT NULL,
  role text NOT NULL CONSTRAINT ck_teams_invitation_role CHECK (role IN ('admin', 'member')),
  token_digest bytea NOT NULL CONSTRAINT uq_teams_invitation_token_digest UNIQUE,
  invited_by text NOT NULL,
  created_at timestamptz NOT NULL,
  expires_at timestamptz NOT NULL,
  accepted_at timestamptz,
  revoked_at timestamptz,
  CONSTRAINT ck_teams_invitation_ended CHECK (accepted_at IS NULL OR revoked_at IS NULL)
);
CREATE UNIQUE INDEX uq_teams_invitation_open ON teams_invitation (team_id, email)
  WHERE accepted_at IS NULL AND revoked_at IS NULL;
"""

# Checked at the end of a transaction: handing over passes through a moment without an owner.
OWNER = """
CREATE FUNCTION teams_has_owner() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
  wanted uuid;
BEGIN
  IF TG_TABLE_NAME = 'teams_team' THEN
    wanted := NEW.id;
  ELSE
    wanted := OLD.team_id;
  END IF;
  IF NOT EXISTS (SELECT FROM teams_member WHERE team_id = wanted AND role = 'owner') THEN
    RAISE EXCEPTION 'team % has no owner', wanted USING ERRCODE = 'restrict_violation';
  END IF;
  RETURN NULL;
END $$;
CREATE CONSTRAINT TRIGGER has_owner AFTER INSERT ON teams_team
  DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION teams_has_owner();
CREATE CONSTRAINT TRIGGER has_owner AFTER UPDATE OR DELETE ON teams_member
  DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION teams_has_owner();
"""


def upgrade() -> None:
    for script in (TABLES, OWNER):
        op.execute(script)
