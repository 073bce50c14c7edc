"""partners: partner."""

from alembic import op

revision = "m0804"
down_revision = "m0803"


def upgrade() -> None:
    op.execute("SELECT 1")
