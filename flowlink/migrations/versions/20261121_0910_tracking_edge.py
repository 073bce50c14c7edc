"""tracking: every change to what links lead to is told, and clicks that could be kept nowhere."""

from alembic import op

revision = "m0910"
down_revision = "m1013"

# Words: `link HOST/CODE`, `partner ID`, `offer`, `domain`; `*` when it is too much to list.
CHANGES = """
CREATE FUNCTION tracking_tell_links() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  IF (SELECT count(*) FROM changed) > 1000 THEN
    PERFORM pg_notify('flowlink_links', '*');
  ELSE
    PERFORM pg_notify('flowlink_links', 'link ' || coalesce(d.host, '') || '/' || c.code)
    FROM changed c LEFT JOIN tracking_domain d ON d.id = c.domain_id;
  END IF;
  RETURN NULL;
END $$;
CREATE TRIGGER tell_made AFTER INSERT ON tracking_link
  REFERENCING NEW TABLE AS changed
  FOR EACH STATEMENT EXECUTE FUNCTION tracking_tell_links();
CREATE TRIGGER tell_was AFTER UPDATE ON tracking_link
  REFERENCING OLD TABLE AS changed
  FOR EACH STATEMENT EXECUTE FUNCTION tracking_tell_links();
CREATE TRIGGER tell_is AFTER UPDATE ON tracking_link
  REFERENCING NEW TABLE AS changed
  FOR EACH STATEMENT EXECUTE FUNCTION tracking_tell_links();
CREATE TRIGGER tell_gone AFTER DELETE ON tracking_link
  REFERENCING OLD TABLE AS changed
  FOR EACH STATEMENT EXECUTE FUNCTION tracking_tell_links();

CREATE FUNCTION tracking_tell() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  PERFORM pg_notify('flowlink_links', TG_ARGV[0]);
  RETURN NULL;
END $$;
CREATE TRIGGER tell AFTER UPDATE OF destination, network_id ON tracking_offer
  FOR EACH STATEMENT EXECUTE FUNCTION tracking_tell('offer');
CREATE TRIGGER tell AFTER UPDATE OF click_param ON tracking_network
  FOR EACH STATEMENT EXECUTE FUNCTION tracking_tell('offer');
CREATE TRIGGER tell AFTER INSERT OR DELETE OR UPDATE OF active ON tracking_domain
  FOR EACH STATEMENT EXECUTE FUNCTION tracking_tell('domain');
CREATE TRIGGER tell_renamed AFTER UPDATE OF host ON tracking_domain
  FOR EACH STATEMENT EXECUTE FUNCTION tracking_tell('*');

CREATE FUNCTION tracking_tell_partner() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  PERFORM pg_notify('flowlink_links', 'partner ' || NEW.id);
  RETURN NULL;
END $$;
CREATE TRIGGER tell_links AFTER UPDATE OF status ON partners_partner
  FOR EACH ROW WHEN (OLD.status IS DISTINCT FROM NEW.status)
  EXECUTE FUNCTION tracking_tell_partner();
"""

UNRECORDED = """
CREATE TABLE tracking_unrecorded (
  day date NOT NULL,
  edge text NOT NULL,
  count bigint NOT NULL,
  at timestamptz NOT NULL,
  CONSTRAINT pk_tracking_unrecorded PRIMARY KEY (day, edge)
);

CREATE TABLE tracking_edge (
  edge text NOT NULL CONSTRAINT pk_tracking_edge PRIMARY KEY,
  host text NOT NULL,
  directory text NOT NULL,
  backlog_bytes bigint NOT NULL,
  backlog_records bigint NOT NULL,
  oldest_at timestamptz,
  error text NOT NULL,
  seen_at timestamptz NOT NULL
);
"""


def upgrade() -> None:
    for script in (CHANGES, UNRECORDED):
        op.execute(script)
