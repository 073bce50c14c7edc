"""tracking: what a network said last of a sale whose amount a person has set since."""

from alembic import op

revision = "m1600"
down_revision = "m1501"


def upgrade() -> None:
    op.execute(
        "ALTER TABLE tracking_conversion ADD COLUMN said_micro bigint"
        " CONSTRAINT ck_tracking_conversion_said CHECK (said_micro >= 0)"
    )
