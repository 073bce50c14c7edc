"""Ten million clicks of ninety days: what pages wait for, what a click costs, how soon it counts.

The clicks are made inside PostgreSQL, their counts by `clicks rebuild`; everything else is done as
the product does it. Then clicks are stored in batches, and shipped from a journal under load.

Run: python -m bench.reads [--clicks 1000000] [--directory PLACE]
"""

import argparse
import secrets
import statistics
import tempfile
import threading
import time
from collections.abc import Callable, Sequence
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from random import Random

import psycopg
from sqlalchemy import text
from sqlalchemy.orm import Session

from bench.report import table
from flowlink.identity import service as identity
from flowlink.identity.ids import UserId
from flowlink.insights import leaderboard
from flowlink.kernel import clock, db, migrate, settings
from flowlink.kernel.postgres import EmbeddedPostgres
from flowlink.kernel.settings import Settings
from flowlink.partners import service as partners
from flowlink.partners.ids import PartnerId
from flowlink.tracking import (
    click_record,
    clickid,
    clicks,
    folding,
    housekeeping,
    journal_format as form,
    queries,
    recount,
    statistics as pages,
)
from flowlink.tracking.click_store import ClickStore
from flowlink.tracking.clicks import Memory, Row
from flowlink.tracking.journal_writer import Bounds, Writer
from flowlink.tracking.shipper import Shipper

DAYS = 90
PARTNERS, LINKS, COUNTRIES, AGENTS, REFERRERS = 500, 10_000, 60, 300, 200
BIGGEST = 2  # its links are 1, 501, and so on: low numbers are clicked most
RUNS = 200
ROUNDS = 5
BATCHES = ((5_000, 20_000), (1_000, 10_000), (100, 3_000))
FRESH_RATE, FRESH_S, PUT_S = 2_000, 10, 0.01

WORDS = """
WITH agents AS (
  INSERT INTO tracking_agent (text, device)
  SELECT 'Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 Chrome/' || n, 1 + n % 3
  FROM generate_series(1, :agents) AS n
) INSERT INTO tracking_referrer (host) SELECT 'blog' || n || '.example'
  FROM generate_series(1, :referrers) AS n
"""
# A third of the links have most of the clicks, a twentieth are bots, a tenth come again.
MADE = f"""
INSERT INTO tracking_click (id, visitor, link, partner, agent, referrer, reason, country)
SELECT :low + CAST(n AS bigint) * :step, hashint8extended(n, :seed), link, 1 + link % {PARTNERS},
       1 + n % {AGENTS}, 1 + (n * 7) % {REFERRERS},
       CASE WHEN n % 20 = 0 THEN 1 WHEN n % 10 = 1 THEN 4 ELSE 0 END,
       (1 + floor({COUNTRIES} * power(random(), 2)))::smallint
FROM (SELECT n, (1 + floor({LINKS} * power(random(), 3)))::bigint AS link
      FROM generate_series(0, :count - 1) AS n) AS given
"""
VELOCITY = """
SELECT partner, sum(valid + flagged) FROM tracking_click_minute
WHERE minute > :since AND minute <= :now GROUP BY partner ORDER BY 2 DESC
"""
SIZES = """
SELECT sum(pg_relation_size(relid)), sum(pg_indexes_size(relid))
FROM pg_partition_tree('tracking_click') WHERE isleaf
"""
ROLLUPS = ("minute", "hour", "day", "link_day", "link_hour", "origin", "origin_day")


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--clicks", type=int, default=10_000_000)
    parser.add_argument("--directory")
    given, _ = parser.parse_known_args()
    settings.use(Settings())
    with tempfile.TemporaryDirectory(dir=given.directory) as folder:
        server = EmbeddedPostgres(Path(folder) / "data")
        server.start()
        try:
            migrate.upgrade(server.url())
            db.connect(server.url())
            measure(Path(folder), given.clicks, server.url())
        finally:
            db.disconnect()
            server.stop()


def measure(folder: Path, count: int, url: str) -> None:
    now = clock.now()
    biggest = make_partners(now)
    took = make_clicks(count, now)
    print(f"  {count:,} clicks made in {took[0]:.0f} s, counted by rebuild in {took[1]:.0f} s")
    settle(url)
    sizes(count)
    reads(biggest, now)
    costs(now)
    freshness(folder)


def make_partners(now: datetime) -> PartnerId:
    """All partners; returns the one whose links are clicked most."""
    made = []
    with db.write() as session:
        for number in range(1, PARTNERS + 1):
            user = identity.ensure_user(session, email=f"{number}@bench.example", now=now)
            made.append(partners.ensure_active(session, user_id=UserId(user.id), now=now))
            session.flush()
        return PartnerId(next(one for one in made if one.number == BIGGEST).id)


def make_clicks(count: int, now: datetime) -> tuple[float, float]:
    """Spread over the days, today up to now; seconds for the clicks, and for their counts."""
    today = now.astimezone(UTC).date()
    days = [today - timedelta(days=back) for back in reversed(range(DAYS))]
    began = time.perf_counter()
    with db.write() as session:
        session.execute(text(WORDS), {"agents": AGENTS, "referrers": REFERRERS})
    for seed, day in enumerate(days):
        make_day(day, seed, count // DAYS, now)
    made = time.perf_counter() - began
    began = time.perf_counter()
    for day in days:
        with db.write() as session:
            recount.rebuild(session, day=day, now=now)
        with db.write() as session:
            folding.pack(session, day=day)
    return made, time.perf_counter() - began


def make_day(day: date, seed: int, count: int, now: datetime) -> None:
    start = datetime(day.year, day.month, day.day, tzinfo=UTC)
    end = min(start + timedelta(days=1), now)
    low, high = clickid.floor(start), clickid.floor(end)
    with db.write() as session:
        housekeeping.ensure_partition(session, day=day)
        given = {"low": low, "step": (high - low) // count, "seed": seed, "count": count}
        session.execute(text(MADE), given)


def settle(url: str) -> None:
    """What autovacuum does in a while."""
    with psycopg.connect(db.conninfo(url), autocommit=True) as owner:
        owner.execute("VACUUM ANALYZE")


def sizes(count: int) -> None:
    with db.read() as session:
        heap, index = session.execute(text(SIZES)).one()
        rows = [("tracking_click", f"{count:,}", f"{heap / count:.1f}", f"{index / count:.2f}", "")]
        for name in ROLLUPS:
            full = f"tracking_click_{name}"
            lines, size = session.execute(
                text(f"SELECT count(*), pg_total_relation_size('{full}') FROM {full}")
            ).one()
            rows.append((full, f"{lines:,}", "", "", f"{size / 1e6:.1f}"))
    table("Storage", ["table", "rows", "heap B/row", "index B/row", "MB"], rows)


def reads(biggest: PartnerId, now: datetime) -> None:
    today = now.astimezone(UTC).date()
    first = today - timedelta(days=DAYS - 1)
    since = now - timedelta(minutes=10)
    questions: dict[str, Callable[[Session], object]] = {
        "partner's chart of 90 days": lambda s: queries.clicks_per_day(
            s, partner_id=biggest, since=first, until=today
        ),
        "leaderboard of 7 days": lambda s: leaderboard.top(s, days=7, now=now),
        "velocity, all partners, 10 minutes": lambda s: s.execute(
            text(VELOCITY), {"since": since, "now": now}
        ).all(),
        "page of the link clicked most, 30 days": lambda s: pages.of_link(
            s, partner=BIGGEST, link=1, days=30, now=now
        ),
        "page of the biggest partner, 30 days": lambda s: pages.of_partner(
            s, partner=BIGGEST, days=30, now=now
        ),
    }
    rows = [(name, *timed(question)) for name, question in questions.items()]
    table(f"Reads, {RUNS} of each", ["question", "p50 ms", "p95 ms", "p99 ms"], rows)


def timed(question: Callable[[Session], object]) -> tuple[str, ...]:
    took = []
    for _ in range(RUNS):
        with db.read() as session:
            session.execute(text("SELECT 1"))
            began = time.perf_counter()
            question(session)
            took.append((time.perf_counter() - began) * 1000)
    took.sort()
    return tuple(f"{took[int(RUNS * part)]:.2f}" for part in (0.5, 0.95, 0.99))


class Visitors:
    """Believable clicks of this moment."""

    def __init__(self, now: datetime) -> None:
        self._chance, self._maker, self._now = Random(7), clickid.Maker(1), now  # noqa: S311
        self._agents = [f"Mozilla/5.0 (iPhone) Version/{n} Mobile/15E148" for n in range(AGENTS)]
        self._hosts = [f"news{n}.example" for n in range(REFERRERS)]

    def rows(self, count: int, *, per_s: int = 2_000) -> list[Row]:
        made = [self.one(self._now + timedelta(seconds=n / per_s)) for n in range(count)]
        self._now += timedelta(seconds=count / per_s)
        return made

    def one(self, at: datetime) -> Row:
        chance = self._chance
        link = 1 + int(LINKS * chance.random() ** 3)
        return Row(
            number=self._maker.next(at),
            visitor=secrets.randbits(62) if chance.random() < 0.9 else chance.randrange(50),
            link=link,
            partner=1 + link % PARTNERS,
            reason=int(chance.random() < 0.05),
            country=1 + int(COUNTRIES * chance.random() ** 2),
            origin=secrets.randbits(63),
            agent=chance.choice(self._agents),
            referrer=chance.choice(self._hosts),
        )


def costs(now: datetime) -> None:
    """CPU of PostgreSQL's process for the connection, and of ours, for each click."""
    visitors, memory = Visitors(now), Memory()
    found: dict[str, list[tuple[float, float]]] = {}
    for turn in range(ROUNDS):
        for size, count in BATCHES if turn % 2 else reversed(BATCHES):
            cost = stored(visitors.rows(count), size=size, memory=memory)
            found.setdefault(f"stored, {size:,} a batch", []).append(cost)
        found.setdefault("folded later", []).append(folded())
    rows = [
        (name, *(f"{statistics.median(column):.1f}" for column in zip(*rounds, strict=True)))
        for name, rounds in found.items()
    ]
    table(f"CPU of a click in us, medians of {ROUNDS} rounds", ["what", "PostgreSQL", "ours"], rows)
    with db.read() as session:
        size, lines = session.execute(
            text(
                "SELECT sum(pg_total_relation_size(relid)), (SELECT count(*) FROM tracking_seen)"
                " FROM pg_partition_tree('tracking_seen') WHERE isleaf"
            )
        ).one()
    print(f"  a visitor remembered for two days takes {size / lines:.1f} bytes, index and all")


def stored(rows: Sequence[Row], *, size: int, memory: Memory) -> tuple[float, float]:
    theirs, ours = 0.0, time.process_time()
    for start in range(0, len(rows), size):
        with db.write() as session:
            backend, before = cpu(session)
            clicks.run(session, clicks.insert(rows[start : start + size], memory=memory))
        theirs += cpu_us(backend) - before
    return theirs / len(rows), (time.process_time() - ours) / len(rows) * 1e6


def folded() -> tuple[float, float]:
    theirs, ours, count = 0.0, time.process_time(), 0
    while True:
        with db.write() as session:
            backend, before = cpu(session)
            batches, clicks_ = folding.fold(session)
        theirs, count = theirs + cpu_us(backend) - before, count + clicks_
        if batches < folding.BATCHES:
            return theirs / count, (time.process_time() - ours) / count * 1e6


def cpu(session: Session) -> tuple[int, float]:
    """PostgreSQL's process of this connection, and what it has used so far."""
    backend = int(session.scalar(text("SELECT pg_backend_pid()")) or 0)
    return backend, cpu_us(backend)


def cpu_us(process: int) -> float:
    return int(Path(f"/proc/{process}/schedstat").read_text().split()[0]) / 1000


def freshness(folder: Path) -> None:
    """From a click on the journal's disk to its being in the counts that pages read."""
    bounds = Bounds(free_bytes_min=0)
    writer = Writer(folder / "journal", bounds=bounds)
    shipper, stop = Shipper(writer.directory, store=ClickStore()), threading.Event()
    shipping = threading.Thread(target=shipper.run, args=(stop,))
    shipping.start()
    put: list[float] = []
    writing = threading.Thread(target=write, args=(writer, put))
    began_with = counted()
    writing.start()
    took: list[float] = []
    while len(took) < FRESH_RATE * FRESH_S:
        seen = counted() - began_with
        now = time.perf_counter()
        took += [now - moment for moment in put[len(took) : seen]]
        time.sleep(0.002)
    writing.join()
    stop.set()
    shipping.join()
    writer.close()
    took.sort()
    p50, p99 = (f"{took[int(len(took) * part)] * 1000:.0f}" for part in (0.5, 0.99))
    row = (f"{FRESH_RATE:,} a second", p50, p99, f"{took[-1] * 1000:.0f}")
    table(
        "From the journal's disk into the counts", ["clicks", "p50 ms", "p99 ms", "most ms"], [row]
    )


def write(writer: Writer, put: list[float]) -> None:
    visitors, began = Visitors(clock.now()), time.perf_counter()
    each = int(FRESH_RATE * PUT_S)
    for number in range(FRESH_RATE * FRESH_S // each):
        records = [click_record.pack(row) for row in visitors.rows(each, per_s=FRESH_RATE)]
        time.sleep(max(0.0, began + number * PUT_S - time.perf_counter()))
        writer.put(records, size=sum(form.FRAME_BYTES + len(one) for one in records))
        writer.count()
        put += [time.perf_counter()] * each


def counted() -> int:
    with db.read() as session:
        query = "SELECT coalesce(sum(valid + flagged), 0) FROM tracking_click_day WHERE day >= :day"
        today = clock.now().astimezone(UTC).date()
        return int(session.scalar(text(query), {"day": today}) or 0)


if __name__ == "__main__":
    main()
