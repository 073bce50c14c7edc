"""kernel, notify: what failed is found without reading all that went well."""

from alembic import op

revision = "m1722"
down_revision = "m1721"

FAILED = """
CREATE INDEX ix_kernel_job_run_failed ON kernel_job_run (id) WHERE ok IS FALSE;
CREATE INDEX ix_notify_mail_failed ON notify_mail (id) WHERE state = 'failed';
"""


def upgrade() -> None:
    op.execute(FAILED)
