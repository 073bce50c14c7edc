"""risk: hold."""

from alembic import op

revision = "m0806"
down_revision = "m0805"


def upgrade() -> None:
    op.execute("SELECT 1")
