"""partners: partner."""

from alembic import op

revision = "m0804"
down_revision = "m0803"


def upgrade() -> None:
    op.execute("""
        CREATE TABLE partners_partner (
            id uuid NOT NULL DEFAULT uuidv7(),
            number bigint GENERATED ALWAYS AS IDENTITY NOT NULL,
            user_id uuid NOT NULL,
            status text NOT NULL,
            handle text,
            alias text NOT NULL
                DEFAULT 'partner-' || left(replace(uuidv4()::text, '-', ''), 10),
            leaderboard_consent boolean NOT NULL DEFAULT false,
            terms_version text NOT NULL,
            terms_accepted_at timestamptz NOT NULL,
            decided_by text,
            decided_at timestamptz,
            decision_reason text NOT NULL DEFAULT '',
            created_at timestamptz NOT NULL,
            CONSTRAINT pk_partners_partner PRIMARY KEY (id),
            CONSTRAINT uq_partners_partner_number UNIQUE (number),
            CONSTRAINT uq_partners_partner_user_id UNIQUE (user_id),
            CONSTRAINT uq_partners_partner_handle UNIQUE (handle),
            CONSTRAINT uq_partners_partner_alias UNIQUE (alias),
            CONSTRAINT fk_partners_partner_user_id
                FOREIGN KEY (user_id) REFERENCES identity_user (id),
            CONSTRAINT ck_partners_partner_status
                CHECK (status IN ('pending', 'active', 'closed')),
            CONSTRAINT ck_partners_partner_handle
                CHECK (handle ~ '^[a-z0-9][a-z0-9_-]{1,28}[a-z0-9]$')
        )
    """)
