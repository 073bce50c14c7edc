"""kernel: base."""

from alembic import op

revision = "m0800"
down_revision = None


def upgrade() -> None:
    op.execute("SELECT 1")
