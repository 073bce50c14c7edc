"""How long the inbox takes with very much in it and years of work behind it, against an empty one.

Run: python -m bench.waiting
"""

import statistics
from collections.abc import Iterator
from contextlib import contextmanager

import httpx2

from bench import posting
from bench.pages import measure, product
from bench.report import table
from flowlink.identity import service as identity
from flowlink.identity.ids import UserId
from flowlink.identity.models import Role
from flowlink.kernel import clock, db
from flowlink.tracking import service as tracking

FEW, MANY = 10, 2_000  # things in each queue; of postbacks ten times as many
PAGES = ("/admin/inbox", "/admin/inbox?queue=orphans", "/admin/inbox.csv", "/admin/monitoring")

# One partner a row, and what waits of theirs; the rest is what people are done with.
FILL = """
WITH u AS (
  INSERT INTO identity_user (email, created_at)
    SELECT 'waits-' || n || '@example.org', now() FROM generate_series({first}, {last}) AS n
  RETURNING id
), p AS (
  INSERT INTO partners_partner
      (user_id, status, terms_version, terms_accepted_at, created_at)
    SELECT id, 'pending', '1', now(), now() FROM u
  RETURNING id, user_id
), h AS (
  INSERT INTO risk_hold (partner_id, flag, reason, evidence, placed_by, created_at, deadline)
    SELECT id, 'hold', 'r', '{{}}', 'bench', now(), now() + interval '30 days' FROM p
), w AS (
  INSERT INTO risk_watch
      (partner_id, rule, score, evidence, created_at, seen_at, deadline)
    SELECT id, 'link', 70, '{{}}', now(), now(), now() + interval '30 days' FROM p
), m AS (
  INSERT INTO payouts_method (partner_id, rail, sealed, fingerprint, masked, settled_at, used_at,
                              created_at)
    SELECT id, 'bank', 'x', uuid_send(id), 'x', now(), now(), now() FROM p
  RETURNING id, partner_id
)
INSERT INTO payouts_withdrawal (partner_id, method_id, amount_minor, currency, state, needs_person,
                                requester_id, created_at, updated_at)
  SELECT p.id, m.id, 30000, 'EUR', 'requested', true, p.user_id, now(), now()
    FROM p JOIN m ON m.partner_id = p.id;
INSERT INTO tracking_postback (received_at, method, query, content_type, body, address, key_ok,
                               result, reason, network_id)
  SELECT now(), 'GET', 'subid=' || n, '', '', '192.0.2.1', true,
         CASE n & 1 WHEN 0 THEN 'orphan' ELSE 'quarantined' END, 'x',
         (SELECT id FROM tracking_network LIMIT 1)
    FROM generate_series(10 * {first}, 10 * {last}) AS n;
"""
DONE = """
INSERT INTO tracking_postback (received_at, method, query, content_type, body, address, key_ok,
                               result, network_id)
  SELECT now() - interval '1 day', 'GET', 'subid=' || n, '', '', '192.0.2.1', true, 'ok',
         (SELECT id FROM tracking_network LIMIT 1) FROM generate_series(1, {postbacks}) AS n;
INSERT INTO kernel_job_run (name, as_of, started_at, ended_at, ok, result)
  SELECT 'job-' || (n & 31), now(), now(), now(), true, '' FROM generate_series(1, {runs}) AS n;
INSERT INTO notify_mail (to_address, template, lang, is_secret, next_try_at, created_at, sent_at,
                         state)
  SELECT 'a@example.org', 't', 'fr', false, now(), now(), now(), 'sent'
    FROM generate_series(1, {mails}) AS n;
"""


@contextmanager
def operator(url: str) -> Iterator[httpx2.Client]:
    now = clock.now()
    with db.write() as session:
        tracking.seed(session, base_url=url, now=now)
        user = identity.ensure_user(session, email="boss@example.org", now=now)
        identity.set_staff(
            session, user_id=UserId(user.id), role=Role.OPERATOR, actor="bench", now=now
        )
        token = identity.make_link(session, email="boss@example.org", now=now, from_cli=True)
    with httpx2.Client(base_url=url, follow_redirects=True, timeout=60) as browser:
        browser.post(f"/login/verify?token={token}").raise_for_status()
        yield browser


def main() -> None:
    with product() as url, operator(url) as browser:
        posting.as_owner(FILL.format(first=1, last=FEW))
        few = measure(browser, PAGES)
        posting.as_owner(FILL.format(first=FEW + 1, last=MANY))
        posting.as_owner(DONE.format(postbacks=500_000, runs=300_000, mails=200_000))
        posting.as_owner("VACUUM ANALYZE")
        many = measure(browser, PAGES)
    rows = [
        (
            page,
            f"{statistics.median(few[page]):.1f} ms",
            f"{statistics.median(many[page]):.1f} ms",
            f"{statistics.quantiles(many[page], n=20)[-1]:.1f} ms",
        )
        for page in PAGES
    ]
    heads = ["page", f"{FEW} of each wait", f"{MANY:,} of each wait", "p95"]
    table("The inbox, and a million rows that nobody waits for", heads, rows)


if __name__ == "__main__":
    main()
