"""ledger: core."""

from alembic import op

revision = "m0802"
down_revision = "m0801"


def upgrade() -> None:
    op.execute("SELECT 1")
