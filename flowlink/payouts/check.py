"""The proof that payouts and ledger say the same, each line naming what is wrong."""

from sqlalchemy import text
from sqlalchemy.orm import Session

from flowlink.kernel.money import Money
from flowlink.ledger.accounts import AccountKind
from flowlink.papers import queries as papers

# Each compares what our tables say with what the accounts of a kind hold, per partner.
_OPEN_LOTS = """
    SELECT partner_id::text AS owner, currency, sum(remaining_micro)::bigint AS micro
      FROM payouts_reserve_lot GROUP BY partner_id, currency
"""
_OPEN_WITHDRAWALS = """
    SELECT partner_id::text AS owner, currency, (sum(amount_minor) * 10000)::bigint AS micro
      FROM payouts_withdrawal WHERE state IN ('requested', 'approved', 'in_run', 'sent')
     GROUP BY partner_id, currency
"""
_AGAINST_ACCOUNTS = """
    SELECT owner, currency, coalesce(ours.micro, 0), coalesce(theirs.micro, 0)
      FROM ({ours}) AS ours FULL JOIN (
        SELECT a.owner, a.currency, sum(b.balance)::bigint AS micro
          FROM ledger_account AS a JOIN ledger_balance AS b ON b.account = a.number
         WHERE a.kind = :kind GROUP BY a.owner, a.currency
      ) AS theirs USING (owner, currency)
     WHERE coalesce(ours.micro, 0) <> coalesce(theirs.micro, 0) ORDER BY owner, currency
"""
_LOTS_AGAINST_SHARES = """
    SELECT l.id::text, l.currency, l.remaining_micro + l.released_micro,
           coalesce(sum(s.amount_micro), 0)::bigint
      FROM payouts_reserve_lot AS l LEFT JOIN (
        SELECT lot_id, amount_micro FROM payouts_reserve_share
         UNION ALL SELECT lot_id, reserve_micro FROM payouts_accrual) AS s ON s.lot_id = l.id
     GROUP BY l.id HAVING l.remaining_micro + l.released_micro <> coalesce(sum(s.amount_micro), 0)
     ORDER BY l.id
"""
_COMMISSIONS_AGAINST_ENTRIES = """
    SELECT c.conversion_id::text FROM payouts_commission AS c LEFT JOIN (
        SELECT r.conversion_id, sum(CASE
                 WHEN t.code IN ('commission', 'reserve', 'debt_repaid') THEN t.amount
                 WHEN t.code = 'clawback' THEN -t.amount ELSE 0 END) AS share,
               sum(CASE t.code WHEN 'revenue' THEN t.amount
                 WHEN 'revenue_back' THEN -t.amount ELSE 0 END) AS earned,
               sum(CASE t.code WHEN 'expected' THEN t.amount
                 WHEN 'expected_back' THEN -t.amount ELSE 0 END) AS pending
          FROM payouts_commission_revision AS r JOIN ledger_transfer AS t USING (entry_id)
         GROUP BY r.conversion_id
      ) AS posted USING (conversion_id)
     WHERE (c.share_micro, c.gross_micro - c.share_micro, c.pending_micro)
        <> (coalesce(share, 0), coalesce(earned, 0), coalesce(pending, 0))
     ORDER BY 1
"""
_UNPOSTED = """
    SELECT v.conversion_id::text || ':' || v.revision FROM tracking_conversion_revision AS v
     WHERE v.at < now() - interval '1 minute' AND NOT EXISTS (
       SELECT FROM payouts_commission_revision AS r
        WHERE r.conversion_id = v.conversion_id AND r.revision = v.revision)
     ORDER BY v.conversion_id, v.revision LIMIT 100
"""
_STRANGE_ENTRIES = """
    SELECT e.source FROM ledger_entry AS e
      LEFT JOIN payouts_commission_revision AS r ON r.entry_id = e.id
     WHERE e.kind = 'conversion' AND r.entry_id IS NULL ORDER BY 1 LIMIT 100
"""
# What an accrual says, and what its entry moved out of the offer's budget to its partner.
_ACCRUALS_AGAINST_ENTRIES = """
    SELECT a.id::text FROM payouts_accrual AS a LEFT JOIN (
        SELECT t.entry_id, sum(t.amount) AS moved,
               coalesce(sum(t.amount) FILTER (WHERE c.kind = 'reserve'), 0) AS reserve,
               bool_and(d.kind = 'click_budget') AS from_budget,
               min(d.owner) AS offer, min(c.owner) AS partner, count(DISTINCT c.owner) AS partners
          FROM ledger_transfer AS t JOIN ledger_account AS d ON d.number = t.debit
          JOIN ledger_account AS c ON c.number = t.credit
         WHERE t.entry_id IN (SELECT entry_id FROM payouts_accrual)
         GROUP BY t.entry_id
      ) AS posted USING (entry_id)
     WHERE (a.amount_micro, a.reserve_micro) <> (coalesce(moved, 0), coalesce(reserve, 0))
        OR (moved, from_budget, offer, partner, partners)
           <> (moved, true, a.offer_id::text, a.partner_id::text, 1)
     ORDER BY 1 LIMIT 100
"""
_STRANGE_CLICKS = """
    SELECT e.source FROM ledger_entry AS e
      LEFT JOIN payouts_accrual AS a ON a.entry_id = e.id
     WHERE e.kind = 'clicks' AND a.entry_id IS NULL ORDER BY 1 LIMIT 100
"""
_REWARDS_AGAINST_ENTRIES = """
    SELECT coalesce(r.conversion_id, r.accrual_id)::text FROM payouts_reward AS r LEFT JOIN (
        SELECT split_part(e.source, ':', 2) AS subject,
               sum(CASE t.code WHEN 'referral_back' THEN -t.amount ELSE t.amount END) AS moved
          FROM ledger_entry AS e JOIN ledger_transfer AS t ON t.entry_id = e.id
         WHERE e.kind = 'referral' GROUP BY 1
      ) AS posted ON posted.subject = coalesce(r.conversion_id, r.accrual_id)::text
     WHERE r.amount_micro <> coalesce(moved, 0) ORDER BY 1 LIMIT 100
"""
_STRANGE_REWARDS = """
    SELECT e.source FROM ledger_entry AS e
     WHERE e.kind = 'referral' AND NOT EXISTS (
       SELECT FROM payouts_reward AS r
        WHERE coalesce(r.conversion_id, r.accrual_id)::text = split_part(e.source, ':', 2))
     ORDER BY 1 LIMIT 100
"""
_CASES_AGAINST_ENTRIES = """
    SELECT coalesce(c.id::text, e.source) FROM payouts_case AS c
      FULL JOIN (SELECT id, source FROM ledger_entry WHERE kind = 'case') AS e ON e.id = c.entry_id
     WHERE (c.entry_id IS NOT NULL OR e.id IS NOT NULL)
       AND c.granted_micro IS DISTINCT FROM (
         SELECT sum(t.amount)::bigint FROM ledger_transfer AS t WHERE t.entry_id = e.id)
     ORDER BY 1 LIMIT 100
"""
_APART_AGAINST_HELD = """
    SELECT d.partner_id::text FROM (
        SELECT partner_id, currency, sum(held_micro) AS apart FROM payouts_dispute
         GROUP BY partner_id, currency) AS d
      LEFT JOIN ledger_account AS a
        ON (a.owner, a.kind, a.currency) = (d.partner_id::text, 'held', d.currency)
      LEFT JOIN ledger_balance AS b ON b.account = a.number
     WHERE d.apart > coalesce(b.balance, 0) ORDER BY 1
"""
_TWICE = """
    SELECT number::text FROM (
        SELECT unnest(click_ids) AS number FROM payouts_accrual
         UNION ALL SELECT unnest(click_ids) FROM payouts_accrual_zero
         UNION ALL SELECT unnest(click_ids) FROM payouts_waiting WHERE settled_at IS NULL) AS seen
     GROUP BY number HAVING count(*) > 1 ORDER BY 1 LIMIT 100
"""
# Watched clicks that were settled: each is in the accrual that settled it, paid or for nothing.
_LOST = """
    SELECT w.id::text FROM payouts_waiting AS w
     WHERE w.settled_at IS NOT NULL AND NOT w.click_ids <@ (
       SELECT a.click_ids || coalesce((SELECT array_agg(n) FROM payouts_accrual_zero AS z,
                unnest(z.click_ids) AS n WHERE z.accrual_id = a.id), '{}')
         FROM payouts_accrual AS a WHERE a.id = w.accrual_id)
     ORDER BY 1 LIMIT 100
"""
_SETTLED = """
    SELECT coalesce((SELECT sum(amount_minor) * 10000 FROM payouts_withdrawal
                      WHERE state = 'settled'), 0)::bigint,
           coalesce((SELECT sum(CASE t.code WHEN 'payout' THEN t.amount ELSE -t.amount END)
                       FROM ledger_entry AS e JOIN ledger_transfer AS t ON t.entry_id = e.id
                      WHERE e.kind = 'payout'), 0)::bigint
"""
_STATES = """
    SELECT w.id::text FROM payouts_withdrawal AS w
     WHERE w.state IS DISTINCT FROM (
       SELECT e.to_state FROM payouts_withdrawal_event AS e
        WHERE e.withdrawal_id = w.id ORDER BY e.sequence DESC LIMIT 1)
     ORDER BY 1
"""
_RUNS_AGAINST_ITEMS = """
    SELECT r.id::text FROM payouts_run AS r LEFT JOIN (
        SELECT i.run_id, count(*) AS items, sum(i.amount_minor)::bigint AS minor,
               bool_or(i.amount_minor <> w.amount_minor) AS other_amounts,
               bool_or(w.state IN ('requested', 'approved', 'rejected')
                       OR (w.state = 'in_run') <> (r.state = 'proposed')) AS other_states
          FROM payouts_run_item AS i JOIN payouts_withdrawal AS w ON w.id = i.withdrawal_id
          JOIN payouts_run AS r ON r.id = i.run_id
         WHERE i.left_at IS NULL GROUP BY i.run_id
      ) AS live ON live.run_id = r.id
     WHERE (r.state <> 'cancelled' AND (r.item_count, r.total_minor)
            <> (coalesce(live.items, 0), coalesce(live.minor, 0)))
        OR (r.state = 'cancelled' AND live.items > 0) OR live.other_amounts OR live.other_states
     ORDER BY 1
"""
_FEES_AGAINST_ENTRIES = """
    SELECT coalesce('fee:' || i.end_to_end_id, e.source)
      FROM (SELECT * FROM payouts_run_item WHERE fee_micro > 0) AS i
      FULL JOIN (SELECT id, source FROM ledger_entry WHERE kind = 'fee') AS e
        ON e.source = 'fee:' || i.end_to_end_id
     WHERE i.fee_micro IS DISTINCT FROM (
       SELECT sum(t.amount)::bigint FROM ledger_transfer AS t WHERE t.entry_id = e.id)
     ORDER BY 1 LIMIT 100
"""
_NAMED = (
    (_COMMISSIONS_AGAINST_ENTRIES, "commission of conversion {0} differs from its entries"),
    (_UNPOSTED, "conversion revision {0} has not been posted"),
    (_STRANGE_ENTRIES, "entry {0} belongs to no commission"),
    (_ACCRUALS_AGAINST_ENTRIES, "accrual {0} differs from its entry"),
    (_STRANGE_CLICKS, "entry {0} belongs to no accrual"),
    (_REWARDS_AGAINST_ENTRIES, "reward for {0} differs from its entries"),
    (_STRANGE_REWARDS, "entry {0} belongs to no reward"),
    (_CASES_AGAINST_ENTRIES, "case {0} differs from its entry"),
    (_APART_AGAINST_HELD, "disputes of {0} set more apart than is held"),
    (_TWICE, "click {0} was accrued twice"),
    (_LOST, "watched clicks {0} are not in the accrual that settled them"),
    (_RUNS_AGAINST_ITEMS, "payout run {0} differs from its withdrawals"),
    (_FEES_AGAINST_ENTRIES, "{0} differs from what its payout says that the provider kept"),
    (_STATES, "withdrawal {0} is in a state that its last event does not name"),
)


def problems(session: Session) -> list[str]:
    """What is wrong, by name and figure; empty when everything agrees."""
    found = _against_accounts(session, "reserve lots", _OPEN_LOTS, AccountKind.RESERVE)
    found += _against_accounts(
        session, "open withdrawals", _OPEN_WITHDRAWALS, AccountKind.WITHDRAWING
    )
    for lot, currency, kept, shares in session.execute(text(_LOTS_AGAINST_SHARES)):
        told = f"{_exact(kept, currency)}, its conversions and clicks {_exact(shares, currency)}"
        found.append(f"reserve lot {lot} says {told}")
    for query, sentence in _NAMED:
        found += [sentence.format(name) for name in session.scalars(text(query))]
    found += papers.problems(session)
    settled, paid = session.execute(text(_SETTLED)).one()
    if settled != paid:
        found.append(f"settled withdrawals are {settled} millionths, paid out were {paid}")
    return found


def _against_accounts(session: Session, name: str, ours: str, kind: AccountKind) -> list[str]:
    query = text(_AGAINST_ACCOUNTS.format(ours=ours))
    return [
        f"{name} of {owner} are {_exact(told, currency)}, {kind} is {_exact(held, currency)}"
        for owner, currency, told, held in session.execute(query, {"kind": kind.value})
    ]


def _exact(micro: int, currency: str) -> str:
    return f"{Money(micro, currency).decimal()} {currency}"
