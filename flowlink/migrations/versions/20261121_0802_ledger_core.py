"""ledger: accounts, balances, entries, transfers, posting rules, and the function that posts.

All of it belongs to the role flowlink_ledger. The product's own role may read, and may write only
by calling ledger_post(), which keeps every promise whatever it is called with.
"""

from alembic import op

revision = "m0802"
down_revision = "m0801"

# An account's number is serial * 1000 + the currency's ISO 4217 number: "one currency to a
# transfer" is then a CHECK on a single row. Numbers from 10^9 up have an owner who watches the
# lines; the installation's own accounts lie below and stay out of the account indexes, which
# they would fill with half of all transfers.
TABLES = """
CREATE TABLE ledger_currency (
  code text NOT NULL CONSTRAINT pk_ledger_currency PRIMARY KEY,
  number integer NOT NULL CONSTRAINT uq_ledger_currency_number UNIQUE
);
CREATE TABLE ledger_account_kind (
  kind text NOT NULL CONSTRAINT pk_ledger_account_kind PRIMARY KEY,
  owned boolean NOT NULL,
  system boolean NOT NULL,
  shards integer NOT NULL,
  floor bigint,
  ceiling bigint
);
CREATE TABLE ledger_account (
  number bigint NOT NULL CONSTRAINT pk_ledger_account PRIMARY KEY,
  kind text NOT NULL
    CONSTRAINT fk_ledger_account_kind REFERENCES ledger_account_kind (kind),
  owner text NOT NULL,
  currency text NOT NULL
    CONSTRAINT fk_ledger_account_currency REFERENCES ledger_currency (code),
  shards integer NOT NULL,
  CONSTRAINT uq_ledger_account_owner UNIQUE (owner, kind, currency)
);
CREATE SEQUENCE ledger_system_serial MAXVALUE 999999;
CREATE SEQUENCE ledger_serial START 1000000 MINVALUE 1000000;

CREATE TABLE ledger_balance (
  account bigint NOT NULL
    CONSTRAINT fk_ledger_balance_account REFERENCES ledger_account (number),
  shard integer NOT NULL,
  balance bigint NOT NULL DEFAULT 0,
  floor bigint,
  ceiling bigint,
  CONSTRAINT pk_ledger_balance PRIMARY KEY (account, shard),
  CONSTRAINT ck_ledger_balance_floor CHECK (balance >= floor),
  CONSTRAINT ck_ledger_balance_ceiling CHECK (balance <= ceiling)
) WITH (fillfactor = 40);

CREATE TABLE ledger_entry (
  id uuid NOT NULL DEFAULT uuidv7() CONSTRAINT pk_ledger_entry PRIMARY KEY,
  source text NOT NULL CONSTRAINT uq_ledger_entry_source UNIQUE,
  kind text NOT NULL,
  effective_at timestamptz NOT NULL,
  at timestamptz NOT NULL,
  ref jsonb NOT NULL,
  CONSTRAINT ck_ledger_entry_source CHECK (source <> '')
);
-- No foreign keys here: ledger_post() writes both sides, the guards keep them, and the check
-- job proves it; a trigger for each row would cost more than the posting itself.
CREATE TABLE ledger_transfer (
  number bigint GENERATED ALWAYS AS IDENTITY CONSTRAINT pk_ledger_transfer PRIMARY KEY,
  entry_id uuid NOT NULL,
  debit bigint NOT NULL,
  credit bigint NOT NULL,
  amount bigint NOT NULL,
  debit_after bigint NOT NULL,
  credit_after bigint NOT NULL,
  debit_shard smallint NOT NULL,
  credit_shard smallint NOT NULL,
  leg smallint NOT NULL,
  code text NOT NULL,
  CONSTRAINT uq_ledger_transfer_entry_id UNIQUE (entry_id, leg),
  CONSTRAINT ck_ledger_transfer_shape
    CHECK (amount > 0 AND debit <> credit AND debit % 1000 = credit % 1000)
);
CREATE INDEX ix_ledger_transfer_debit_number ON ledger_transfer (debit, number)
  WHERE debit >= 1000000000;
CREATE INDEX ix_ledger_transfer_credit_number ON ledger_transfer (credit, number)
  WHERE credit >= 1000000000;
CREATE VIEW ledger_side AS  -- every transfer as seen from each of its two accounts
  SELECT debit AS account, debit_shard AS shard, number, entry_id, code, -amount AS amount,
         debit_after AS after
    FROM ledger_transfer
  UNION ALL
  SELECT credit, credit_shard, number, entry_id, code, amount, credit_after FROM ledger_transfer;

CREATE TABLE ledger_posting_rule (
  code text NOT NULL CONSTRAINT pk_ledger_posting_rule PRIMARY KEY,
  debits text[] NOT NULL,
  credits text[] NOT NULL
);
"""

RULES = """
INSERT INTO ledger_currency (code, number) VALUES
  ('AUD', 36), ('CAD', 124), ('CHF', 756), ('CZK', 203), ('DKK', 208), ('EUR', 978),
  ('GBP', 826), ('NOK', 578), ('PLN', 985), ('RON', 946), ('SEK', 752), ('USD', 840);

INSERT INTO ledger_account_kind (kind, owned, system, shards, floor, ceiling) VALUES
  ('pending', true, false, 1, 0, NULL),
  ('reserve', true, false, 1, 0, NULL),
  ('held', true, false, 1, 0, NULL),
  ('available', true, false, 1, 0, NULL),
  ('withdrawing', true, false, 1, 0, NULL),
  ('debt', true, false, 1, NULL, 0),
  ('click_budget', true, true, 1, 0, NULL),
  ('network_receivable', true, true, 16, NULL, NULL),
  ('network_unconfirmed', true, true, 16, NULL, NULL),
  ('revenue', false, true, 16, NULL, NULL),
  ('unearned', false, true, 16, NULL, NULL),
  ('bank', false, true, 16, NULL, NULL),
  ('paypal', false, true, 16, NULL, NULL),
  ('commission_expense', false, true, 16, NULL, NULL);

INSERT INTO ledger_posting_rule (code, debits, credits) VALUES
  ('expected', '{network_unconfirmed}', '{pending,unearned}'),
  ('expected_back', '{pending,unearned}', '{network_unconfirmed}'),
  ('commission', '{network_receivable}', '{available,held}'),
  ('reserve', '{network_receivable}', '{reserve}'),
  ('debt_repaid',
   '{network_receivable,click_budget,reserve,held,withdrawing,bank,paypal}', '{debt}'),
  ('revenue', '{network_receivable}', '{revenue}'),
  ('revenue_back', '{revenue}', '{network_receivable}'),
  ('clawback', '{reserve,available,held,debt}', '{network_receivable}'),
  ('release', '{reserve}', '{available,held}'),
  ('hold', '{available}', '{held}'),
  ('unhold', '{held}', '{available}'),
  ('withdrawal', '{available}', '{withdrawing}'),
  ('withdrawal_back', '{withdrawing}', '{available,held}'),
  ('payout', '{withdrawing}', '{bank,paypal}'),
  ('payout_back', '{bank,paypal}', '{available,held}'),
  ('network_payment', '{bank,paypal}', '{network_receivable}'),
  ('budget', '{commission_expense}', '{click_budget}'),
  ('budget_back', '{click_budget}', '{commission_expense}'),
  ('clicks', '{click_budget}', '{available,held,reserve}'),
  ('clicks_back', '{available,held,reserve,debt}', '{click_budget}');
INSERT INTO ledger_posting_rule (code, debits, credits)
  SELECT 'correction', array_agg(kind), array_agg(kind) FROM ledger_account_kind;
"""

# Opens what is missing, in one order everywhere and before any balance is locked: nobody waits
# in a ring. What cannot exist (no such kind or currency, an owner too many or missing) is left out.
OPEN = """
CREATE FUNCTION ledger_open(kinds text[], owners text[], currencies text[]) RETURNS void
LANGUAGE sql SET search_path = pg_catalog, public, pg_temp AS $$
  WITH missing AS (
    SELECT k.*, t.system, t.shards, t.floor, t.ceiling, c.number AS currency_number
      FROM unnest(kinds, owners, currencies) AS k (kind, owner, currency)
      JOIN ledger_account_kind AS t USING (kind)
      JOIN ledger_currency AS c ON c.code = k.currency
     WHERE t.owned = (k.owner <> '')
       AND NOT EXISTS (SELECT FROM ledger_account AS a
                        WHERE (a.owner, a.kind, a.currency) = (k.owner, k.kind, k.currency))
  ), opened AS (
    INSERT INTO ledger_account (number, kind, owner, currency, shards)
      SELECT currency_number + 1000 * CASE WHEN system THEN nextval('ledger_system_serial')
                                           ELSE nextval('ledger_serial') END,
             kind, owner, currency, shards
        FROM missing ORDER BY owner, kind, currency
      ON CONFLICT DO NOTHING RETURNING *
  )
  INSERT INTO ledger_balance (account, shard, floor, ceiling)
    SELECT o.number, shard, t.floor, t.ceiling
      FROM opened AS o JOIN ledger_account_kind AS t USING (kind)
      CROSS JOIN LATERAL generate_series(0, o.shards - 1) AS shard
$$;
"""

# Entries and transfers come as columns, amounts as millionths up to a billion units. A transfer
# names its entry and its accounts by place, and transfers stand in the order of their entries.
# The answer has one row an entry, in that order.
POST = """
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
  flaws text[]; legs bigint[]; line_ids uuid[]; debit_afters bigint[]; credit_afters bigint[];
  ids uuid[]; results text[]; verdict text; first integer; line integer; last bigint;
  repeats boolean; known_ids uuid[]; known_payloads text[]; payloads text[]; twins integer[];
  found record; twin integer; d integer; c integer; amount bigint;
BEGIN
  FOR attempt IN 1..2 LOOP
    SELECT array_agg(a.number ORDER BY k.place),
           array_agg(pg_backend_pid() % a.shards ORDER BY k.place)
      INTO numbers, shards
      FROM unnest(kinds, owners, currencies) WITH ORDINALITY AS k (kind, owner, currency, place)
      LEFT JOIN ledger_account AS a USING (owner, kind, currency);
    EXIT WHEN attempt = 2 OR array_position(numbers, NULL) IS NULL;
    PERFORM ledger_open(kinds, owners, currencies);
  END LOOP;

  SELECT array_agg(CASE
           WHEN t.debit IS NULL OR t.credit IS NULL THEN 'unknown_account'
           WHEN t.amount BETWEEN 1 AND 1000000000000000 AND t.debit <> t.credit
                AND t.debit % 1000 = t.credit % 1000 AND r.code IS NOT NULL THEN NULL
           ELSE 'malformed' END ORDER BY t.place)
    INTO flaws
    FROM (SELECT numbers[debit] AS debit, numbers[credit] AS credit, kinds[debit] AS debit_kind,
                 kinds[credit] AS credit_kind, l.amount, l.code, l.place
            FROM unnest(debits, credits, amounts, codes)
                 WITH ORDINALITY AS l (debit, credit, amount, code, place)) AS t
    LEFT JOIN ledger_posting_rule AS r
           ON r.code = t.code AND t.debit_kind = ANY (r.debits) AND t.credit_kind = ANY (r.credits);

  -- Each time round, a simultaneous call has just posted one of our sources: look again.
  FOR attempt IN 0..cardinality(sources) LOOP
  BEGIN
    balances := array_fill(NULL::bigint, ARRAY[cardinality(kinds)]);
    floors := balances; ceilings := balances; last := 0;
    -- All locks at once and in one order; an attempt undone gives them back, so the next one,
    -- too, takes them all in order. What is read under them cannot change any more.
    FOR found IN
      SELECT k.place, b.account, b.balance, b.floor, b.ceiling
        FROM unnest(numbers, shards) WITH ORDINALITY AS k (account, shard, place)
        JOIN ledger_balance AS b USING (account, shard)
       ORDER BY b.account, b.shard FOR NO KEY UPDATE OF b
    LOOP
      IF found.account = last THEN
        RAISE EXCEPTION 'an account is listed twice';
      END IF;
      last := found.account;
      balances[found.place] := found.balance;
      floors[found.place] := found.floor;
      ceilings[found.place] := found.ceiling;
    END LOOP;

    repeats := EXISTS (SELECT FROM ledger_entry AS e WHERE e.source = ANY (sources));
    IF NOT repeats AND cardinality(sources) > 1 THEN
      repeats := (SELECT count(*) > count(DISTINCT s) FROM unnest(sources) AS s);
    END IF;
    IF repeats THEN
      twins := (SELECT array_agg(s.twin ORDER BY s.place) FROM (
        SELECT place, lag(place) OVER (PARTITION BY source ORDER BY place) AS twin
          FROM unnest(sources) WITH ORDINALITY AS s (source, place)) AS s);
      known_ids := array_fill(NULL::uuid, ARRAY[cardinality(sources)]);
      known_payloads := array_fill(NULL::text, ARRAY[cardinality(sources)]);
      payloads := known_payloads;
      FOR found IN
        SELECT l.entry, concat_ws(' ', entry_kinds[l.entry], string_agg(
                 concat_ws(' ', numbers[l.debit], numbers[l.credit], l.amount, l.code),
                 ',' ORDER BY l.place)) AS payload
          FROM unnest(entries, debits, credits, amounts, codes)
               WITH ORDINALITY AS l (entry, debit, credit, amount, code, place)
         GROUP BY l.entry
      LOOP
        payloads[found.entry] := found.payload;
      END LOOP;
      FOR found IN
        SELECT s.place, e.id, concat_ws(' ', e.kind, string_agg(
                 concat_ws(' ', t.debit, t.credit, t.amount, t.code),
                 ',' ORDER BY t.leg)) AS payload
          FROM unnest(sources) WITH ORDINALITY AS s (source, place)
          JOIN ledger_entry AS e USING (source)
          JOIN ledger_transfer AS t ON t.entry_id = e.id
         GROUP BY s.place, e.id
      LOOP
        known_ids[found.place] := found.id;
        known_payloads[found.place] := found.payload;
      END LOOP;
    END IF;

    ids := array_fill(NULL::uuid, ARRAY[cardinality(sources)]);
    results := array_fill(''::text, ARRAY[cardinality(sources)]);
    line_ids := array_fill(NULL::uuid, ARRAY[cardinality(entries)]);
    debit_afters := array_fill(0::bigint, ARRAY[cardinality(entries)]);
    credit_afters := debit_afters; legs := debit_afters;
    line := 1;
    FOR entry IN 1..cardinality(sources) LOOP
      verdict := 'created';
      IF repeats THEN
        twin := twins[entry];
        IF results[twin] = 'created' THEN
          known_ids[entry] := ids[twin];
          known_payloads[entry] := payloads[twin];
        ELSIF known_ids[entry] IS NULL THEN
          known_ids[entry] := known_ids[twin];
          known_payloads[entry] := known_payloads[twin];
        END IF;
        IF known_ids[entry] IS NOT NULL THEN
          verdict := CASE WHEN known_payloads[entry] = payloads[entry] THEN 'replay'
                          ELSE 'reused' END;
        END IF;
      END IF;
      IF verdict = 'created'
         AND (sources[entry] = '' OR entries[line] IS DISTINCT FROM entry) THEN
        verdict := 'malformed';
      END IF;

      ids[entry] := CASE verdict WHEN 'created' THEN uuidv7()
                                 WHEN 'replay' THEN known_ids[entry] END;
      first := line;
      WHILE entries[line] = entry LOOP
        IF verdict = 'created' THEN
          IF flaws[line] IS NULL THEN
            d := debits[line]; c := credits[line]; amount := amounts[line];
            balances[d] := balances[d] - amount;
            balances[c] := balances[c] + amount;
            debit_afters[line] := balances[d];
            credit_afters[line] := balances[c];
            line_ids[line] := ids[entry];
            legs[line] := line - first + 1;
            IF balances[d] < floors[d] OR balances[c] > ceilings[c] THEN
              verdict := 'no_funds';
            END IF;
          ELSE
            verdict := flaws[line];
          END IF;
        END IF;
        line := line + 1;
      END LOOP;
      IF verdict IN ('no_funds', 'unknown_account', 'malformed') THEN
        FOR undone IN first..line - 1 LOOP
          IF line_ids[undone] IS NOT NULL THEN
            d := debits[undone]; c := credits[undone];
            balances[d] := balances[d] + amounts[undone];
            balances[c] := balances[c] - amounts[undone];
            line_ids[undone] := NULL;
          END IF;
        END LOOP;
        ids[entry] := NULL;
      END IF;
      results[entry] := verdict;
    END LOOP;
    IF line <= cardinality(entries) THEN
      RAISE EXCEPTION 'transfers do not stand in the order of their entries';
    END IF;

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
      SELECT id, leg, numbers[debit], numbers[credit], k.amount, debit_after, credit_after,
             shards[debit], shards[credit], code
        FROM unnest(line_ids, legs, debits, credits, amounts, debit_afters, credit_afters, codes)
             WITH ORDINALITY
             AS k (id, leg, debit, credit, amount, debit_after, credit_after, code, place)
       WHERE id IS NOT NULL ORDER BY place;
    RETURN QUERY SELECT * FROM unnest(results, ids);
    RETURN;
  EXCEPTION WHEN unique_violation THEN
    NULL;
  END;
  END LOOP;
  RAISE EXCEPTION 'the snapshot hides an entry of the same source'
    USING ERRCODE = 'serialization_failure';
END $$;
"""

GUARDS = """
CREATE TRIGGER append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON ledger_account
  FOR EACH STATEMENT EXECUTE FUNCTION kernel_refuse_change();
CREATE TRIGGER append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON ledger_entry
  FOR EACH STATEMENT EXECUTE FUNCTION kernel_refuse_change();
CREATE TRIGGER append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON ledger_transfer
  FOR EACH STATEMENT EXECUTE FUNCTION kernel_refuse_change();
"""

OWNERSHIP = """
ALTER TABLE ledger_currency OWNER TO flowlink_ledger;
ALTER TABLE ledger_account_kind OWNER TO flowlink_ledger;
ALTER TABLE ledger_account OWNER TO flowlink_ledger;
ALTER TABLE ledger_balance OWNER TO flowlink_ledger;
ALTER TABLE ledger_entry OWNER TO flowlink_ledger;
ALTER TABLE ledger_transfer OWNER TO flowlink_ledger;
ALTER TABLE ledger_posting_rule OWNER TO flowlink_ledger;
ALTER VIEW ledger_side OWNER TO flowlink_ledger;
ALTER SEQUENCE ledger_serial OWNER TO flowlink_ledger;
ALTER SEQUENCE ledger_system_serial OWNER TO flowlink_ledger;
ALTER FUNCTION ledger_open OWNER TO flowlink_ledger;
ALTER FUNCTION ledger_post OWNER TO flowlink_ledger;
REVOKE ALL ON ledger_currency, ledger_account_kind, ledger_account, ledger_balance, ledger_entry,
  ledger_transfer, ledger_side, ledger_posting_rule, ledger_serial, ledger_system_serial,
  ledger_transfer_number_seq FROM flowlink_app;
GRANT SELECT ON ledger_currency, ledger_account_kind, ledger_account, ledger_balance, ledger_entry,
  ledger_transfer, ledger_side, ledger_posting_rule TO flowlink_app;
REVOKE ALL ON FUNCTION ledger_open, ledger_post FROM PUBLIC;
GRANT EXECUTE ON FUNCTION ledger_post TO flowlink_app;
"""


def upgrade() -> None:
    for script in (TABLES, RULES, OPEN, POST, GUARDS, OWNERSHIP):
        op.execute(script)
