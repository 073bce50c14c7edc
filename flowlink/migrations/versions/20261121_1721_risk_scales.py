"""risk: every version of a limit of clicks stays."""

from alembic import op

revision = "m1721"
down_revision = "m1712"

VERSIONS = """
ALTER TABLE risk_velocity_scale ADD COLUMN version integer NOT NULL DEFAULT 1
  CONSTRAINT ck_risk_velocity_scale_version CHECK (version > 0);
ALTER TABLE risk_velocity_scale ALTER COLUMN version DROP DEFAULT;
ALTER TABLE risk_velocity_scale DROP CONSTRAINT pk_risk_velocity_scale;
ALTER TABLE risk_velocity_scale ADD CONSTRAINT pk_risk_velocity_scale
  PRIMARY KEY (scope, subject, version);
CREATE TRIGGER append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON risk_velocity_scale
  FOR EACH STATEMENT EXECUTE FUNCTION kernel_refuse_change();
"""


def upgrade() -> None:
    op.execute(VERSIONS)
