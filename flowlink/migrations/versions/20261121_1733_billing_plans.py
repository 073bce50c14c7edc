"""billing: a plan that becomes another one, at once or with its next period"""

from alembic import op

revision = "m1733"
down_revision = "m1732"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.execute("SET LOCAL lock_timeout = '5s'")
    op.execute(
        """
ALTER TABLE billing_resource ADD COLUMN next_terms jsonb;
ALTER TABLE billing_resource ADD COLUMN replaces_id uuid;
ALTER TABLE billing_resource ADD CONSTRAINT fk_billing_resource_replaces_id_billing_resource
  FOREIGN KEY (replaces_id) REFERENCES billing_resource (id);
ALTER TABLE billing_resource ADD CONSTRAINT ck_billing_resource_change
  CHECK (kind = 'plan' OR (next_terms IS NULL AND replaces_id IS NULL));
"""
    )


def downgrade() -> None:
    op.execute(
        """
ALTER TABLE billing_resource DROP COLUMN next_terms;
ALTER TABLE billing_resource DROP COLUMN replaces_id;
"""
    )
