"""tracking: core."""

from alembic import op

revision = "m0805"
down_revision = "m0804"


def upgrade() -> None:
    op.execute("SELECT 1")
