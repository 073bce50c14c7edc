"""tracking: when a network changed its mind about a sale, where it says so."""

from alembic import op

revision = "m1701"
down_revision = "m1601"


def upgrade() -> None:
    op.execute("ALTER TABLE tracking_conversion ADD COLUMN changed_at timestamptz")
