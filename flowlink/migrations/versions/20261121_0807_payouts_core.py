"""payouts: core."""

from alembic import op

revision = "m0807"
down_revision = "m0806"


def upgrade() -> None:
    op.execute("SELECT 1")
