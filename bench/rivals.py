"""What the ledger is measured against: the usual design, and the least that could be called one.

The usual design is that of the libraries which keep double entry in PostgreSQL: a transfer has a
row of its own, which has the facts, and two lines, one for each account, with the balance before
and after. The balance is on the account's row; rows are locked in sorted order. It has primary
keys, foreign keys, an index of an account's lines by time and one of a transfer's lines, and a
unique source, as whatever is told things twice must have. It is kinder than the library whose
figures the asked ones were found with: ids are no texts, amounts no numerics, both lines are one
INSERT, and the facts have no indexes by account beside the lines'.

The bare one has only the two lines: no kind, code, dates, reference, nor balance after it.
"""

from collections.abc import Callable, Iterable, Sequence

from sqlalchemy import text

from flowlink.kernel import db
from flowlink.ledger.entries import Entry

ACCOUNTS = 2000  # the first is the hot one; partners follow

USUAL = f"""
CREATE TABLE usual_account (
  id bigint PRIMARY KEY, currency text NOT NULL, balance bigint NOT NULL, version bigint NOT NULL,
  may_be_negative boolean NOT NULL, CHECK (may_be_negative OR balance >= 0));
CREATE TABLE usual_transfer (
  id uuid PRIMARY KEY DEFAULT uuidv7(), source text NOT NULL UNIQUE, kind text NOT NULL,
  code text NOT NULL, debit bigint NOT NULL REFERENCES usual_account,
  credit bigint NOT NULL REFERENCES usual_account, amount bigint NOT NULL,
  effective_at timestamptz NOT NULL, at timestamptz NOT NULL DEFAULT now(), ref jsonb NOT NULL,
  CHECK (amount > 0 AND debit <> credit));
CREATE TABLE usual_line (
  id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
  transfer_id uuid NOT NULL REFERENCES usual_transfer,
  account bigint NOT NULL REFERENCES usual_account, amount bigint NOT NULL,
  before bigint NOT NULL, after bigint NOT NULL, version bigint NOT NULL,
  at timestamptz NOT NULL DEFAULT now());
CREATE INDEX ON usual_line (account, at);
CREATE INDEX ON usual_line (transfer_id);
INSERT INTO usual_account SELECT n, 'EUR', 0, 0, n = 1 FROM generate_series(1, {ACCOUNTS}) AS n;
CREATE FUNCTION usual_post(
  source text, kind text, code text, debit bigint, credit bigint, amount bigint,
  effective_at timestamptz, ref jsonb) RETURNS uuid
LANGUAGE plpgsql AS $$
DECLARE payer usual_account; payee usual_account; made uuid;
BEGIN
  PERFORM FROM usual_account WHERE id IN (debit, credit) ORDER BY id FOR UPDATE;
  UPDATE usual_account SET balance = balance - usual_post.amount, version = version + 1
   WHERE id = debit RETURNING * INTO payer;
  UPDATE usual_account SET balance = balance + usual_post.amount, version = version + 1
   WHERE id = credit RETURNING * INTO payee;
  IF payer.currency <> payee.currency THEN
    RAISE EXCEPTION 'two currencies';
  END IF;
  INSERT INTO usual_transfer (source, kind, code, debit, credit, amount, effective_at, ref)
    VALUES (source, kind, code, debit, credit, amount, effective_at, ref) RETURNING id INTO made;
  INSERT INTO usual_line (transfer_id, account, amount, before, after, version)
    VALUES (made, debit, -amount, payer.balance + amount, payer.balance, payer.version),
           (made, credit, amount, payee.balance - amount, payee.balance, payee.version);
  RETURN made;
END $$;
-- A batch in one call: all locks first, so that two batches do not wait for each other in a ring.
CREATE FUNCTION usual_batch(
  sources text[], kinds text[], codes text[], debits bigint[], credits bigint[], amounts bigint[],
  effective timestamptz[], refs jsonb[]) RETURNS uuid[]
LANGUAGE plpgsql AS $$
DECLARE made uuid[];
BEGIN
  PERFORM FROM usual_account WHERE id = ANY (debits || credits) ORDER BY id FOR UPDATE;
  FOR i IN 1..cardinality(sources) LOOP
    made[i] := usual_post(sources[i], kinds[i], codes[i], debits[i], credits[i], amounts[i],
                          effective[i], refs[i]);
  END LOOP;
  RETURN made;
END $$;
-- The same, but what is refused or known hinders nothing else: what a batch in the ledger promises.
CREATE FUNCTION usual_batch_each(
  sources text[], kinds text[], codes text[], debits bigint[], credits bigint[], amounts bigint[],
  effective timestamptz[], refs jsonb[]) RETURNS text[]
LANGUAGE plpgsql AS $$
DECLARE outcomes text[];
BEGIN
  PERFORM FROM usual_account WHERE id = ANY (debits || credits) ORDER BY id FOR UPDATE;
  FOR i IN 1..cardinality(sources) LOOP
    BEGIN
      PERFORM usual_post(sources[i], kinds[i], codes[i], debits[i], credits[i], amounts[i],
                         effective[i], refs[i]);
      outcomes[i] := 'created';
    EXCEPTION WHEN unique_violation THEN outcomes[i] := 'replay';
              WHEN check_violation THEN outcomes[i] := 'no_funds';
    END;
  END LOOP;
  RETURN outcomes;
END $$;
"""
BARE = f"""
CREATE TABLE bare_account (
  id bigint PRIMARY KEY, balance bigint NOT NULL, CHECK (id = 1 OR balance >= 0));
CREATE TABLE bare_line (
  id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, source text NOT NULL, account bigint NOT NULL,
  amount bigint NOT NULL, at timestamptz NOT NULL DEFAULT now(), UNIQUE (source, account));
CREATE INDEX ON bare_line (account, id);
INSERT INTO bare_account SELECT n, 0 FROM generate_series(1, {ACCOUNTS}) AS n;
CREATE FUNCTION bare_post(source text, debit bigint, credit bigint, amount bigint) RETURNS void
LANGUAGE plpgsql AS $$
BEGIN
  PERFORM FROM bare_account WHERE id IN (debit, credit) ORDER BY id FOR UPDATE;
  UPDATE bare_account SET balance = balance - amount WHERE id = debit;
  UPDATE bare_account SET balance = balance + amount WHERE id = credit;
  INSERT INTO bare_line (source, account, amount)
    VALUES (source, debit, -amount), (source, credit, amount);
END $$;
CREATE FUNCTION bare_batch(
  sources text[], debits bigint[], credits bigint[], amounts bigint[]) RETURNS void
LANGUAGE plpgsql AS $$
BEGIN
  PERFORM FROM bare_account WHERE id = ANY (debits || credits) ORDER BY id FOR UPDATE;
  FOR i IN 1..cardinality(sources) LOOP
    PERFORM bare_post(sources[i], debits[i], credits[i], amounts[i]);
  END LOOP;
END $$;
"""
USUAL_TABLES = ("usual_transfer", "usual_line", "usual_account")
BARE_TABLES = ("bare_line", "bare_account")
_USUAL_CALL = (
    "SELECT {}(CAST(:sources AS text[]), CAST(:kinds AS text[]), CAST(:codes AS text[]),"
    " CAST(:debits AS bigint[]), CAST(:credits AS bigint[]), CAST(:amounts AS bigint[]),"
    " CAST(:effective AS timestamptz[]), CAST(:refs AS jsonb[]))"
)
_BARE_CALL = (
    "SELECT {}(CAST(:sources AS text[]), CAST(:debits AS bigint[]), CAST(:credits AS bigint[]),"
    " CAST(:amounts AS bigint[]))"
)

Rival = Callable[[Sequence[Entry]], None]


def rival(function: str, owners: Sequence[str]) -> Rival:
    """Posts the same entries as the ledger gets, in one call, with arrays written the same way."""
    numbers = {owner: place for place, owner in enumerate(owners, 2)}
    call = text((_BARE_CALL if function.startswith("bare") else _USUAL_CALL).format(function))

    def post(entries: Sequence[Entry]) -> None:
        lines = [line for entry in entries for line in entry.transfers]
        values = {
            "sources": _array(entry.source for entry in entries),
            "debits": _array("1" for _ in lines),
            "credits": _array(str(numbers[line.credit.owner]) for line in lines),
            "amounts": _array(str(line.amount.micro) for line in lines),
        }
        if function.startswith("usual"):
            values |= {
                "kinds": _array(entry.kind for entry in entries),
                "codes": _array(line.code for line in lines),
                "effective": _array(entry.effective_at.isoformat() for entry in entries),
                "refs": _array("{}" for _ in entries),
            }
        with db.write() as session:
            session.execute(call, values)

    return post


def _array(values: Iterable[str]) -> str:
    return '{"' + '","'.join(values) + '"}'
