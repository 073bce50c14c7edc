"""What the ledger is measured against: the usual design in two forms, and the least of all.

The usual design is that of the libraries which keep double entry in PostgreSQL: a transfer has a
row of its own, which has the facts, and two lines, one for each account, with the balance before
and after. The balance is on the account's row; rows are locked in sorted order. It has primary
keys, foreign keys, an index of an account's lines by time and one of a transfer's lines, and a
unique source, as whatever is told things twice must have.

- `wordy` has its ids as texts, its amounts as numerics, and indexes of the facts by both accounts,
  as the library has with which the asked figures were found (which has no unique source).
- `usual` is the same with uuids and bigints, and without those two indexes: as good as it gets.
- `bare` has the two lines only: no kind, code, dates, reference, balance after, nor foreign keys.

In all of them both lines are one INSERT, and a batch is one call of a function.
"""

from collections.abc import Callable, Iterable, Sequence

from sqlalchemy import text

from flowlink.kernel import db
from flowlink.ledger.entries import Entry

ACCOUNTS = 2000  # the first is the hot one; partners follow

_USUAL = """
CREATE TABLE {name}_account (
  id {account} PRIMARY KEY, currency text NOT NULL, balance {money} NOT NULL,
  version bigint NOT NULL,
  may_be_negative boolean NOT NULL, CHECK (may_be_negative OR balance >= 0));
CREATE TABLE {name}_transfer (
  id {key} PRIMARY KEY DEFAULT {made}, source text NOT NULL UNIQUE, kind text NOT NULL,
  code text NOT NULL, debit {account} NOT NULL REFERENCES {name}_account,
  credit {account} NOT NULL REFERENCES {name}_account, amount {money} NOT NULL,
  effective_at timestamptz NOT NULL, at timestamptz NOT NULL DEFAULT now(), ref jsonb NOT NULL,
  CHECK (amount > 0 AND debit <> credit));
CREATE TABLE {name}_line (
  id {line} PRIMARY KEY,
  transfer_id {key} NOT NULL REFERENCES {name}_transfer,
  account {account} NOT NULL REFERENCES {name}_account, amount {money} NOT NULL,
  before {money} NOT NULL, after {money} NOT NULL, version bigint NOT NULL,
  at timestamptz NOT NULL DEFAULT now());
CREATE INDEX ON {name}_line (account, at);
CREATE INDEX ON {name}_line (transfer_id);
INSERT INTO {name}_account SELECT {number}, 'EUR', 0, 0, n = 1
  FROM generate_series(1, {accounts}) AS n;
CREATE FUNCTION {name}_post(
  source text, kind text, code text, debit {account}, credit {account}, amount {money},
  effective_at timestamptz, ref jsonb) RETURNS {key}
LANGUAGE plpgsql AS $$
DECLARE payer {name}_account; payee {name}_account; made {key};
BEGIN
  PERFORM FROM {name}_account WHERE id IN (debit, credit) ORDER BY id FOR UPDATE;
  UPDATE {name}_account SET balance = balance - {name}_post.amount, version = version + 1
   WHERE id = debit RETURNING * INTO payer;
  UPDATE {name}_account SET balance = balance + {name}_post.amount, version = version + 1
   WHERE id = credit RETURNING * INTO payee;
  IF payer.currency <> payee.currency THEN
    RAISE EXCEPTION 'two currencies';
  END IF;
  INSERT INTO {name}_transfer (source, kind, code, debit, credit, amount, effective_at, ref)
    VALUES (source, kind, code, debit, credit, amount, effective_at, ref) RETURNING id INTO made;
  INSERT INTO {name}_line (transfer_id, account, amount, before, after, version)
    VALUES (made, debit, -amount, payer.balance + amount, payer.balance, payer.version),
           (made, credit, amount, payee.balance - amount, payee.balance, payee.version);
  RETURN made;
END $$;
-- A batch in one call: all locks first, so that two batches do not wait for each other in a ring.
CREATE FUNCTION {name}_batch(
  sources text[], kinds text[], codes text[], debits {account}[], credits {account}[],
  amounts {money}[], effective timestamptz[], refs jsonb[]) RETURNS {key}[]
LANGUAGE plpgsql AS $$
DECLARE made {key}[];
BEGIN
  PERFORM FROM {name}_account WHERE id = ANY (debits || credits) ORDER BY id FOR UPDATE;
  FOR i IN 1..cardinality(sources) LOOP
    made[i] := {name}_post(sources[i], kinds[i], codes[i], debits[i], credits[i], amounts[i],
                          effective[i], refs[i]);
  END LOOP;
  RETURN made;
END $$;
-- The same, but what is refused or known hinders nothing else: what a batch in the ledger promises.
CREATE FUNCTION {name}_batch_each(
  sources text[], kinds text[], codes text[], debits {account}[], credits {account}[],
  amounts {money}[], effective timestamptz[], refs jsonb[]) RETURNS text[]
LANGUAGE plpgsql AS $$
DECLARE outcomes text[];
BEGIN
  PERFORM FROM {name}_account WHERE id = ANY (debits || credits) ORDER BY id FOR UPDATE;
  FOR i IN 1..cardinality(sources) LOOP
    BEGIN
      PERFORM {name}_post(sources[i], kinds[i], codes[i], debits[i], credits[i], amounts[i],
                         effective[i], refs[i]);
      outcomes[i] := 'created';
    EXCEPTION WHEN unique_violation THEN outcomes[i] := 'replay';
              WHEN check_violation THEN outcomes[i] := 'no_funds';
    END;
  END LOOP;
  RETURN outcomes;
END $$;
"""
USUAL = _USUAL.format(
    name="usual",
    accounts=ACCOUNTS,
    account="bigint",
    number="n",
    money="bigint",
    key="uuid",
    made="uuidv7()",
    line="bigint GENERATED ALWAYS AS IDENTITY",
)
WORDY = (
    _USUAL.format(
        name="wordy",
        accounts=ACCOUNTS,
        account="text",
        number="'acc_' || lpad(n::text, 26, '0')",
        money="numeric",
        key="text",
        made="'trf_' || left(replace(uuidv7()::text, '-', ''), 26)",
        line="text DEFAULT 'lin_' || left(replace(uuidv7()::text, '-', ''), 26)",
    )
    + "CREATE INDEX ON wordy_transfer (debit); CREATE INDEX ON wordy_transfer (credit);"
)
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
TABLES = {
    "usual": ("usual_transfer", "usual_line", "usual_account"),
    "wordy": ("wordy_transfer", "wordy_line", "wordy_account"),
    "bare": ("bare_line", "bare_account"),
}
_USUAL_CALL = (
    "SELECT {function}(CAST(:sources AS text[]), CAST(:kinds AS text[]), CAST(:codes AS text[]),"
    " CAST(:debits AS {account}[]), CAST(:credits AS {account}[]), CAST(:amounts AS {money}[]),"
    " CAST(:effective AS timestamptz[]), CAST(:refs AS jsonb[]))"
)
_BARE_CALL = (
    "SELECT {function}(CAST(:sources AS text[]), CAST(:debits AS bigint[]),"
    " CAST(:credits AS bigint[]), CAST(:amounts AS bigint[]))"
)

_SLOTS = ("account", "money")

Rival = Callable[[Sequence[Entry]], None]


def rival(function: str, owners: Sequence[str]) -> Rival:
    """Posts the same entries as the ledger gets, in one call, with arrays written the same way."""
    bare, wordy = function.startswith("bare"), function.startswith("wordy")
    number = "acc_{:026d}" if wordy else "{}"
    numbers = {owner: number.format(place) for place, owner in enumerate(owners, 2)}
    hot = number.format(1)
    form = _BARE_CALL if bare else _USUAL_CALL
    types = {"account": "text", "money": "numeric"} if wordy else dict.fromkeys(_SLOTS, "bigint")
    call = text(form.format(function=function, **types))

    def post(entries: Sequence[Entry]) -> None:
        lines = [line for entry in entries for line in entry.transfers]
        values = {
            "sources": _array(entry.source for entry in entries),
            "debits": _array(hot for _ in lines),
            "credits": _array(numbers[line.credit.owner] for line in lines),
            "amounts": _array(str(line.amount.micro) for line in lines),
        }
        if not bare:
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
