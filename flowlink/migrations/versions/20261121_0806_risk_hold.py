"""risk: hold."""

from alembic import op

revision = "m0806"
down_revision = "m0805"


def upgrade() -> None:
    op.execute("""
        CREATE TABLE risk_standing (
            id uuid NOT NULL,
            CONSTRAINT pk_risk_standing PRIMARY KEY (id),
            CONSTRAINT fk_risk_standing_id
                FOREIGN KEY (id) REFERENCES partners_partner (id)
        )
    """)
    op.execute("""
        CREATE TABLE risk_hold (
            id uuid NOT NULL DEFAULT uuidv7(),
            partner_id uuid NOT NULL,
            flag text NOT NULL,
            reason text NOT NULL,
            evidence jsonb NOT NULL,
            placed_by text NOT NULL,
            created_at timestamptz NOT NULL,
            deadline timestamptz NOT NULL,
            lifted_by text,
            lifted_at timestamptz,
            lifted_reason text,
            CONSTRAINT pk_risk_hold PRIMARY KEY (id),
            CONSTRAINT fk_risk_hold_partner_id
                FOREIGN KEY (partner_id) REFERENCES partners_partner (id),
            CONSTRAINT ck_risk_hold_flag CHECK (flag IN ('hold', 'fraud', 'dmca')),
            CONSTRAINT ck_risk_hold_reason CHECK (reason <> ''),
            CONSTRAINT ck_risk_hold_lifted CHECK (
                (lifted_at IS NULL) = (lifted_by IS NULL)
                AND (lifted_at IS NULL) = (lifted_reason IS NULL) AND lifted_reason <> ''
            )
        )
    """)
    op.execute("""
        CREATE UNIQUE INDEX uq_risk_hold_open ON risk_hold (partner_id, flag)
        WHERE lifted_at IS NULL
    """)
    op.execute("""
        CREATE INDEX ix_risk_hold_partner_id_lifted_at ON risk_hold (partner_id, lifted_at)
    """)
