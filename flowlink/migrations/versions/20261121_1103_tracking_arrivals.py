"""tracking: who came through a partner's link to what we sell ourselves."""

from alembic import op

revision = "m1103"
down_revision = "m1102"

# What the browser that asked for a link kept of where it came from: whoever opens the link on
# another device keeps it too.
LINKS = """
ALTER TABLE identity_magic_link ADD COLUMN origin text NOT NULL DEFAULT '';
"""

ARRIVALS = """
CREATE TABLE tracking_arrival (
  user_id uuid NOT NULL CONSTRAINT fk_tracking_arrival_user_id REFERENCES identity_user (id),
  click_id bigint NOT NULL,
  link_id uuid NOT NULL CONSTRAINT fk_tracking_arrival_link_id REFERENCES tracking_link (id),
  token text NOT NULL,
  clicked_at timestamptz NOT NULL,
  kept_at timestamptz NOT NULL,
  CONSTRAINT pk_tracking_arrival PRIMARY KEY (user_id, click_id)
);

CREATE TABLE tracking_customer (
  customer text NOT NULL CONSTRAINT pk_tracking_customer PRIMARY KEY,
  network_id uuid NOT NULL
    CONSTRAINT fk_tracking_customer_network_id REFERENCES tracking_network (id),
  link_id uuid NOT NULL CONSTRAINT fk_tracking_customer_link_id REFERENCES tracking_link (id),
  partner_id uuid NOT NULL
    CONSTRAINT fk_tracking_customer_partner_id REFERENCES partners_partner (id),
  token text NOT NULL,
  clicked_at timestamptz NOT NULL,
  created_at timestamptz NOT NULL
);
CREATE INDEX ix_tracking_customer_partner_id ON tracking_customer (partner_id);

-- Who brought a customer is decided once.
CREATE FUNCTION tracking_keep_customer() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  RAISE EXCEPTION 'who brought a customer stays so';
END $$;
CREATE TRIGGER keep_customer BEFORE UPDATE OR DELETE ON tracking_customer
  FOR EACH ROW EXECUTE FUNCTION tracking_keep_customer();
"""

# What the network of our own products owes for its sales is owed by us to us.
RULES = """
INSERT INTO ledger_posting_rule (code, debits, credits) VALUES
  ('own_sale', '{commission_expense}', '{network_receivable}'),
  ('own_sale_back', '{network_receivable}', '{commission_expense}');
"""


def upgrade() -> None:
    for script in (LINKS, ARRIVALS, RULES):
        op.execute(script)
