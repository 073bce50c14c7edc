"""identity: users."""

from alembic import op

revision = "m0801"
down_revision = "m0800"


def upgrade() -> None:
    op.execute("SELECT 1")
