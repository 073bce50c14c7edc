"""ledger: an entry is its first transfer's row: a fact takes one row and three index entries.

What an entry is (source, kind, dates, reference) stands in the row of its first transfer; the view
ledger_entry shows it as before. Accounts of the installation are spread over more shards.
"""

from alembic import op

revision = "m1501"
down_revision = "m0910"

# The columns are in the order of their widths: nothing is lost to alignment, and the row of a
# first transfer, which has no nulls, has no bitmap of them either. `number` has no index of its
# own: it orders the lines of an account, and every account that is read by lines has an index.
TABLE = """
ALTER TABLE ledger_transfer RENAME TO ledger_transfer_before;
ALTER TABLE ledger_entry RENAME TO ledger_entry_before;
DROP VIEW ledger_side;
ALTER TABLE ledger_transfer_before
  DROP CONSTRAINT pk_ledger_transfer, DROP CONSTRAINT uq_ledger_transfer_entry_id,
  DROP CONSTRAINT ck_ledger_transfer_shape;
ALTER TABLE ledger_entry_before
  DROP CONSTRAINT uq_ledger_entry_source, DROP CONSTRAINT ck_ledger_entry_source;
DROP INDEX ix_ledger_transfer_debit_number, ix_ledger_transfer_credit_number;

CREATE SEQUENCE ledger_transfer_number;
SELECT setval('ledger_transfer_number', max(number)) FROM ledger_transfer_before
  HAVING max(number) IS NOT NULL;

CREATE TABLE ledger_transfer (
  number bigint NOT NULL,
  entry_id uuid NOT NULL,
  debit bigint NOT NULL,
  credit bigint NOT NULL,
  amount bigint NOT NULL,
  debit_after bigint NOT NULL,
  credit_after bigint NOT NULL,
  at timestamptz,
  effective_at timestamptz,
  debit_shard smallint NOT NULL,
  credit_shard smallint NOT NULL,
  leg smallint NOT NULL,
  code text NOT NULL,
  kind text,
  source text,
  ref jsonb
);
INSERT INTO ledger_transfer
  SELECT t.number, t.entry_id, t.debit, t.credit, t.amount, t.debit_after, t.credit_after,
         e.at, e.effective_at, t.debit_shard, t.credit_shard, t.leg, t.code, e.kind, e.source, e.ref
    FROM ledger_transfer_before AS t
    LEFT JOIN ledger_entry_before AS e ON e.id = t.entry_id AND t.leg = 1
   ORDER BY t.number;
DROP TABLE ledger_transfer_before, ledger_entry_before;
ALTER TABLE ledger_transfer
  ADD CONSTRAINT pk_ledger_transfer PRIMARY KEY (entry_id, leg),
  ADD CONSTRAINT ck_ledger_transfer_shape
    CHECK (amount > 0 AND debit <> credit AND debit % 1000 = credit % 1000),
  ADD CONSTRAINT ck_ledger_transfer_entry
    CHECK (source <> '' AND num_nulls(source, kind, at, effective_at, ref)
                            = CASE leg WHEN 1 THEN 0 ELSE 5 END);
CREATE UNIQUE INDEX uq_ledger_transfer_source ON ledger_transfer (source) WHERE leg = 1;
CREATE INDEX ix_ledger_transfer_debit_number ON ledger_transfer (debit, number)
  WHERE debit >= 1000000000;
CREATE INDEX ix_ledger_transfer_credit_number ON ledger_transfer (credit, number)
  WHERE credit >= 1000000000;
CREATE VIEW ledger_entry AS
  SELECT entry_id AS id, source, kind, effective_at, at, ref FROM ledger_transfer WHERE leg = 1;
CREATE VIEW ledger_side AS  -- every transfer as seen from each of its two accounts
  SELECT debit AS account, debit_shard AS shard, number, entry_id, code, -amount AS amount,
         debit_after AS after
    FROM ledger_transfer
  UNION ALL
  SELECT credit, credit_shard, number, entry_id, code, amount, credit_after FROM ledger_transfer;
CREATE TRIGGER append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON ledger_transfer
  FOR EACH STATEMENT EXECUTE FUNCTION kernel_refuse_change();
"""

# A posting locks one shard of such an account, chosen by its connection. 16 were too few: of 32
# simultaneous callers most shared one with another, and a lock is held until the commit is on disk.
SHARDS = """
UPDATE ledger_account_kind SET shards = 64 WHERE shards > 1;
ALTER TABLE ledger_account DISABLE TRIGGER append_only;
UPDATE ledger_account AS a SET shards = k.shards
  FROM ledger_account_kind AS k WHERE k.kind = a.kind AND a.shards <> k.shards;
ALTER TABLE ledger_account ENABLE TRIGGER append_only;
INSERT INTO ledger_balance (account, shard, floor, ceiling)
  SELECT a.number, shard, k.floor, k.ceiling
    FROM ledger_account AS a JOIN ledger_account_kind AS k USING (kind)
    CROSS JOIN LATERAL generate_series(0, a.shards - 1) AS shard
  ON CONFLICT DO NOTHING;
"""

# The same promises and the same order of locks and of sources as before; what differs is that the
# balances are locked by the statement that changes them, and that one INSERT writes all. Whatever
# is found out after that change is undone by an error of its own, and left to the exact way.
POST = r"""
CREATE OR REPLACE FUNCTION ledger_post(
  at timestamptz, kinds text[], owners text[], currencies text[],
  sources text[], entry_kinds text[], effective timestamptz[], refs jsonb[],
  entries integer[], debits integer[], credits integer[], amounts bigint[], codes text[]
) RETURNS TABLE (status text, entry_id uuid)
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, public, pg_temp
SET plan_cache_mode = force_generic_plan SET enable_seqscan = off SET enable_hashjoin = off
SET enable_mergejoin = off AS $$
DECLARE
  numbers bigint[]; shards integer[]; moved bigint[]; lowest bigint[]; highest bigint[];
  befores bigint[]; debit_moved bigint[]; credit_moved bigint[]; legs integer[]; ids uuid[];
  results text[]; entry integer := 0; leg integer; d integer; c integer; repeated boolean;
  fresh boolean := true; affordable boolean; base text; n integer; after bigint; found record;
BEGIN
  <<smooth>>
  BEGIN
    -- One transfer between two open accounts, as a withdrawal or a hold is: no need for arrays.
    IF cardinality(amounts) = 1 AND cardinality(sources) = 1 AND cardinality(kinds) = 2
       AND entries[1] = 1 AND amounts[1] BETWEEN 1 AND 1000000000000000 THEN
      d := debits[1];
      c := credits[1];
      SELECT ARRAY[a.number, b.number],
             ARRAY[pg_backend_pid() % a.shards, pg_backend_pid() % b.shards]
        INTO numbers, shards
        FROM ledger_account AS a, ledger_account AS b, ledger_posting_rule AS r
       WHERE (a.owner, a.kind, a.currency) = (owners[d], kinds[d], currencies[d])
         AND (b.owner, b.kind, b.currency) = (owners[c], kinds[c], currencies[c])
         AND a.number <> b.number AND r.code = codes[1]
         AND kinds[d] = ANY (r.debits) AND kinds[c] = ANY (r.credits)
         AND NOT EXISTS (SELECT FROM ledger_entry AS e WHERE e.source = sources[1]);
      IF numbers IS NOT NULL THEN
        moved := ARRAY[-amounts[1], amounts[1]];
        FOREACH n IN ARRAY CASE WHEN numbers[1] < numbers[2] THEN '{1,2}'::int[] ELSE '{2,1}' END
        LOOP
          UPDATE ledger_balance AS b SET balance = b.balance + moved[n]
           WHERE b.account = numbers[n] AND b.shard = shards[n]
          RETURNING b.balance INTO STRICT after;
          moved[n] := after;
        END LOOP;
        status := 'created';
        entry_id := uuidv7();
        INSERT INTO ledger_transfer VALUES (
          nextval('ledger_transfer_number'), entry_id, numbers[1], numbers[2], amounts[1],
          moved[1], moved[2], ledger_post.at, effective[1], shards[1], shards[2], 1, codes[1],
          entry_kinds[1], sources[1], refs[1]);
        RETURN NEXT;
        RETURN;
      END IF;
    END IF;

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

    results := array_fill('created'::text, ARRAY[cardinality(sources)]);
    -- One UUIDv7 for the call, and in its 12 bits after the version a counter (RFC 9562, 6.2): to
    -- ask for randomness a hundred times would take longer than to write the transfers.
    EXIT smooth WHEN cardinality(sources) > 4096;
    base := replace(uuidv7()::text, '-', '');
    ids := (SELECT array_agg((left(base, 13) || lpad(to_hex(place - 1), 3, '0')
                              || substr(base, 17))::uuid ORDER BY place)
              FROM generate_subscripts(sources, 1) AS place);
    -- Nearly always none is known, and one look at all of them says so. One that another call
    -- posts after this look, or that is named twice, is found by the index when it is written.
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

    -- What each account has gained after each transfer, and the least and the most on the way:
    -- so much can be said before anybody knows what it had.
    moved := array_fill(0::bigint, ARRAY[cardinality(kinds)]);
    lowest := moved;
    highest := moved;
    debit_moved := array_fill(NULL::bigint, ARRAY[cardinality(entries)]);
    credit_moved := debit_moved;
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
      moved[d] := moved[d] - amounts[line];
      moved[c] := moved[c] + amounts[line];
      debit_moved[line] := moved[d];
      credit_moved[line] := moved[c];
      IF moved[d] < lowest[d] THEN
        lowest[d] := moved[d];
      END IF;
      IF moved[c] > highest[c] THEN
        highest[c] := moved[c];
      END IF;
    END LOOP;
    EXIT smooth WHEN entry <> cardinality(sources);
    IF repeated AND array_position(results, 'created') IS NULL THEN
      RETURN QUERY SELECT * FROM unnest(results, ids);
      RETURN;
    END IF;

    WITH changed AS MATERIALIZED (
      SELECT k.* FROM unnest(numbers, shards, moved, lowest, highest)
             WITH ORDINALITY AS k (account, shard, moved, lowest, highest, place)
       ORDER BY k.account
    ), done AS (
      UPDATE ledger_balance AS b SET balance = b.balance + k.moved
        FROM changed AS k WHERE b.account = k.account AND b.shard = k.shard
      RETURNING k.place, old.balance AS before,
                coalesce(old.balance + k.lowest < b.floor
                         OR old.balance + k.highest > b.ceiling, false) AS beyond
    )
    SELECT array_agg(before ORDER BY place), count(*) = cardinality(kinds) AND NOT bool_or(beyond)
      INTO befores, affordable FROM done;
    IF NOT affordable THEN
      RAISE check_violation;
    END IF;
    INSERT INTO ledger_transfer
      SELECT k.number, ids[k.entry], numbers[k.debit], numbers[k.credit], k.amount,
             befores[k.debit] + k.debit_moved, befores[k.credit] + k.credit_moved,
             CASE k.leg WHEN 1 THEN ledger_post.at END,
             CASE k.leg WHEN 1 THEN effective[k.entry] END,
             shards[k.debit], shards[k.credit], k.leg, k.code,
             CASE k.leg WHEN 1 THEN entry_kinds[k.entry] END,
             CASE k.leg WHEN 1 THEN sources[k.entry] END, CASE k.leg WHEN 1 THEN refs[k.entry] END
        FROM (SELECT l.*, nextval('ledger_transfer_number') AS number
                FROM unnest(entries, legs, debits, credits, amounts, debit_moved, credit_moved,
                            codes)
                     AS l (entry, leg, debit, credit, amount, debit_moved, credit_moved, code)
               WHERE l.debit_moved IS NOT NULL OFFSET 0) AS k
       ORDER BY sources[k.entry];
    RETURN QUERY SELECT * FROM unnest(results, ids);
    RETURN;
  EXCEPTION WHEN unique_violation OR check_violation THEN
    NULL;  -- a source was taken meanwhile or twice, too little money, or a malformed entry
  END;
  RETURN QUERY SELECT * FROM ledger_post_exactly(
    at, kinds, owners, currencies, sources, entry_kinds, effective, refs,
    entries, debits, credits, amounts, codes);
END $$;
"""

# The exact way keeps its judgement word for word; what it writes in the end is written as above. A
# view's columns do not follow from its key, as a table's do.
EXACT = r"""
DO $do$
DECLARE
  body text := replace(pg_get_functiondef('ledger_post_exactly'::regproc),
                       'GROUP BY s.place, e.id', 'GROUP BY s.place, e.id, e.kind');
  first integer := strpos(body, 'INSERT INTO ledger_entry');
  last integer := strpos(body, 'RETURN QUERY SELECT * FROM unnest(results, ids)');
BEGIN
  IF first = 0 OR last <= first OR strpos(body, 'GROUP BY s.place, e.id, e.kind') = 0 THEN
    RAISE EXCEPTION 'ledger_post_exactly() is not the function that was expected';
  END IF;
  EXECUTE overlay(body PLACING $new$INSERT INTO ledger_transfer
      SELECT k.number, k.id, numbers[k.debit], numbers[k.credit], k.amount, k.debit_after,
             k.credit_after, CASE k.leg WHEN 1 THEN ledger_post_exactly.at END,
             CASE k.leg WHEN 1 THEN effective[k.entry] END, shards[k.debit], shards[k.credit],
             k.leg, k.code, CASE k.leg WHEN 1 THEN entry_kinds[k.entry] END,
             CASE k.leg WHEN 1 THEN sources[k.entry] END, CASE k.leg WHEN 1 THEN refs[k.entry] END
        FROM (SELECT l.*, nextval('ledger_transfer_number') AS number
                FROM unnest(line_ids, entries, legs, debits, credits, amounts, debit_afters,
                            credit_afters, codes)
                     AS l (id, entry, leg, debit, credit, amount, debit_after, credit_after, code)
               WHERE l.id IS NOT NULL OFFSET 0) AS k
       ORDER BY sources[k.entry];
    $new$ FROM first FOR last - first);
END $do$;
"""

OWNERSHIP = """
ALTER TABLE ledger_transfer OWNER TO flowlink_ledger;
ALTER VIEW ledger_entry OWNER TO flowlink_ledger;
ALTER VIEW ledger_side OWNER TO flowlink_ledger;
ALTER SEQUENCE ledger_transfer_number OWNER TO flowlink_ledger;
ALTER SEQUENCE ledger_transfer_number OWNED BY ledger_transfer.number;
REVOKE ALL ON ledger_transfer, ledger_entry, ledger_side, ledger_transfer_number FROM flowlink_app;
GRANT SELECT ON ledger_transfer, ledger_entry, ledger_side TO flowlink_app;
"""


def upgrade() -> None:
    for script in (TABLE, SHARDS, POST, EXACT, OWNERSHIP):
        op.execute(script)
