"""notify: mail."""

from alembic import op

revision = "m0803"
down_revision = "m0802"


def upgrade() -> None:
    op.execute("SELECT 1")
