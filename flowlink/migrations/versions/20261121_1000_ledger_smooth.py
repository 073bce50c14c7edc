"""ledger: a short way for what is posted nearly always, before the exact one.

The function that judges entry by entry stays as it was, under the name ledger_post_exactly().
"""

from alembic import op

revision = "m1000"
down_revision = "m0900"

# Nearly every call is sound: all accounts are open, no source is known or only as the very same
# entry, and there is enough money. That is found out in a few statements for the whole call; the
# running balances are then one short loop. Anything else is left to ledger_post_exactly(), before
# anything is written or after it was undone. Both take the same locks in the same order, so that
# one can take over from the other while it holds them.
POST = r"""
DO $$ BEGIN  -- with its own name in its body, by which it tells its argument from a column
  EXECUTE regexp_replace(pg_get_functiondef('ledger_post'::regproc),
                         '\mledger_post\M', 'ledger_post_exactly', 'g');
END $$;
DROP FUNCTION ledger_post;

CREATE FUNCTION ledger_post(
  at timestamptz, kinds text[], owners text[], currencies text[],
  sources text[], entry_kinds text[], effective timestamptz[], refs jsonb[],
  entries integer[], debits integer[], credits integer[], amounts bigint[], codes text[]
) RETURNS TABLE (status text, entry_id uuid)
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, public, pg_temp
SET plan_cache_mode = force_generic_plan SET enable_seqscan = off SET enable_hashjoin = off
SET enable_mergejoin = off AS $$
DECLARE
  numbers bigint[]; shards integer[]; balances bigint[]; floors bigint[]; ceilings bigint[];
  accounts bigint; legs integer[]; debit_afters bigint[]; credit_afters bigint[];
  ids uuid[]; results text[]; debit_after bigint; credit_after bigint; entry integer := 0;
  leg integer; d integer; c integer; repeated boolean; fresh boolean := true;
  base text; found record;
BEGIN
  <<smooth>>
  BEGIN
    SELECT array_agg(a.number ORDER BY k.place),
           array_agg(pg_backend_pid() % a.shards ORDER BY k.place)
      INTO numbers, shards
      FROM unnest(kinds, owners, currencies) WITH ORDINALITY AS k (kind, owner, currency, place)
      JOIN ledger_account AS a USING (owner, kind, currency);
    EXIT smooth WHEN cardinality(numbers) IS DISTINCT FROM cardinality(kinds);
    -- Amounts, sides and currencies are also what ledger_transfer itself checks.
    EXIT smooth WHEN cardinality(entries) <> (
      SELECT count(*)
        FROM unnest(debits, credits, amounts, codes) AS l (debit, credit, amount, code)
        JOIN ledger_posting_rule AS r USING (code)
       WHERE kinds[l.debit] = ANY (r.debits) AND kinds[l.credit] = ANY (r.credits)
         AND l.amount BETWEEN 1 AND 1000000000000000);

    SELECT array_agg(l.balance ORDER BY l.place), array_agg(l.floor ORDER BY l.place),
           array_agg(l.ceiling ORDER BY l.place), count(DISTINCT l.account)
      INTO balances, floors, ceilings, accounts
      FROM (SELECT k.place, b.account, b.balance, b.floor, b.ceiling
              FROM unnest(numbers, shards) WITH ORDINALITY AS k (account, shard, place)
              JOIN ledger_balance AS b USING (account, shard)
             ORDER BY b.account, b.shard FOR NO KEY UPDATE OF b) AS l;
    EXIT smooth WHEN accounts <> cardinality(kinds);

    results := array_fill('created'::text, ARRAY[cardinality(sources)]);
    -- One UUIDv7 for the call, and in its 12 bits after the version a counter (RFC 9562, 6.2): to
    -- ask for randomness a hundred times would take longer than to write the transfers.
    EXIT smooth WHEN cardinality(sources) > 4096;
    base := replace(uuidv7()::text, '-', '');
    ids := (SELECT array_agg((left(base, 13) || lpad(to_hex(n - 1), 3, '0')
                              || substr(base, 17))::uuid ORDER BY n)
              FROM generate_subscripts(sources, 1) AS n);
    IF cardinality(sources) > 1 THEN
      EXIT smooth WHEN (SELECT count(*) > count(DISTINCT s) FROM unnest(sources) AS s);
    END IF;
    -- Nearly always none is known, and one look at all of them says so.
    repeated := EXISTS (SELECT FROM ledger_entry AS e WHERE e.source = ANY (sources));
    IF repeated THEN
      FOR found IN
        SELECT s.place, e.id, e.kind
          FROM unnest(sources) WITH ORDINALITY AS s (source, place)
          JOIN ledger_entry AS e USING (source)
      LOOP
        EXIT smooth WHEN found.kind IS DISTINCT FROM entry_kinds[found.place] OR (
          SELECT string_agg(concat_ws(' ', numbers[l.debit], numbers[l.credit], l.amount, l.code),
                            ',' ORDER BY l.place)
            FROM unnest(entries, debits, credits, amounts, codes)
                 WITH ORDINALITY AS l (entry, debit, credit, amount, code, place)
           WHERE l.entry = found.place
        ) IS DISTINCT FROM (
          SELECT string_agg(concat_ws(' ', t.debit, t.credit, t.amount, t.code), ',' ORDER BY t.leg)
            FROM ledger_transfer AS t WHERE t.entry_id = found.id);
        results[found.place] := 'replay';
        ids[found.place] := found.id;
      END LOOP;
    END IF;

    debit_afters := array_fill(NULL::bigint, ARRAY[cardinality(entries)]);
    credit_afters := debit_afters;
    legs := array_fill(1, ARRAY[cardinality(entries)]);
    FOR line IN 1..cardinality(entries) LOOP
      IF entries[line] IS DISTINCT FROM entry THEN
        entry := entry + 1;
        EXIT smooth WHEN entries[line] IS DISTINCT FROM entry;
        leg := 1;
        IF repeated THEN
          fresh := results[entry] = 'created';
        END IF;
      ELSE
        leg := leg + 1;
        legs[line] := leg;
      END IF;
      CONTINUE WHEN NOT fresh;
      d := debits[line];
      c := credits[line];
      debit_after := balances[d] - amounts[line];
      credit_after := balances[c] + amounts[line];
      EXIT smooth WHEN debit_after < floors[d] OR credit_after > ceilings[c];
      balances[d] := debit_after;
      balances[c] := credit_after;
      debit_afters[line] := debit_after;
      credit_afters[line] := credit_after;
    END LOOP;
    EXIT smooth WHEN entry <> cardinality(sources);

    UPDATE ledger_balance AS b SET balance = k.balance
      FROM unnest(numbers, shards, balances) AS k (account, shard, balance)
     WHERE b.account = k.account AND b.shard = k.shard AND b.balance <> k.balance;
    INSERT INTO ledger_entry (id, source, kind, effective_at, at, ref)
      SELECT k.id, k.source, k.kind, k.effective_at, ledger_post.at, k.ref
        FROM unnest(ids, sources, entry_kinds, effective, refs, results)
             AS k (id, source, kind, effective_at, ref, result)
       WHERE k.result = 'created' ORDER BY k.source;
    INSERT INTO ledger_transfer (entry_id, leg, debit, credit, amount, debit_after, credit_after,
                                 debit_shard, credit_shard, code)
      SELECT ids[k.entry], k.leg, numbers[k.debit], numbers[k.credit], k.amount, k.debit_after,
             k.credit_after, shards[k.debit], shards[k.credit], k.code
        FROM unnest(entries, legs, debits, credits, amounts, debit_afters, credit_afters, codes)
             WITH ORDINALITY
             AS k (entry, leg, debit, credit, amount, debit_after, credit_after, code, place)
       WHERE k.debit_after IS NOT NULL ORDER BY k.place;
    RETURN QUERY SELECT * FROM unnest(results, ids);
    RETURN;
  EXCEPTION WHEN unique_violation OR check_violation THEN
    NULL;  -- a simultaneous call was faster with a source, or the entry is malformed
  END;
  RETURN QUERY SELECT * FROM ledger_post_exactly(
    at, kinds, owners, currencies, sources, entry_kinds, effective, refs,
    entries, debits, credits, amounts, codes);
END $$;

ALTER FUNCTION ledger_post OWNER TO flowlink_ledger;
ALTER FUNCTION ledger_post_exactly OWNER TO flowlink_ledger;
REVOKE ALL ON FUNCTION ledger_post, ledger_post_exactly FROM PUBLIC, flowlink_app;
GRANT EXECUTE ON FUNCTION ledger_post TO flowlink_app;
"""


def upgrade() -> None:
    op.execute(POST)
