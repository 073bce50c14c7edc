"""payouts: the file of a released run is kept, sealed, as it left."""

from alembic import op

revision = "m1712"
down_revision = "m1711"


def upgrade() -> None:
    op.execute(
        """
        ALTER TABLE payouts_run ADD COLUMN sealed_file bytea
          CONSTRAINT ck_payouts_run_sealed_file
          CHECK (sealed_file IS NULL OR state = 'released');
        """
    )
