"""tracking: postbacks that edges without a database took, until they are read."""

from alembic import op

revision = "m1732"
down_revision = "m1731"


def upgrade() -> None:
    op.execute(
        "CREATE INDEX ix_tracking_postback_unread ON tracking_postback (id)"
        " WHERE result = 'received'"
    )
