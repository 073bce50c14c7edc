"""tracking: a network's first approval of a sale and its last rejection, where it says when."""

from alembic import op

revision = "m1731"
down_revision = "m1722"


def upgrade() -> None:
    op.execute(
        "ALTER TABLE tracking_conversion"
        " ADD COLUMN approved_at timestamptz, ADD COLUMN rejected_at timestamptz"
    )
