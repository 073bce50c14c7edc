"""How long it takes to know what a team may use now: with a thousand grants behind it, and one.

Run: python -m bench.limits
"""

import statistics
import time
from collections.abc import Callable
from datetime import datetime, timedelta
from uuid import UUID

from sqlalchemy import text

from bench.posting import server
from bench.report import table
from flowlink.billing import limits, pricing, purchases
from flowlink.identity import service as identity
from flowlink.identity.ids import UserId
from flowlink.kernel import clock, db, settings
from flowlink.kernel.settings import Settings
from flowlink.teams import service as teams

TEAMS, GRANTS, ROUNDS, ASKED = 50, 1000, 11, 300
SECRET = "0" * 64

# Half of a team's grants are over, every tenth was taken back: as after years of buying.
FILL = """
WITH bought AS (
  INSERT INTO billing_resource (team_id, kind, plan, quantity, next_quantity, unit_price_minor,
      currency, pricing, cpu_cores, memory_mb, traffic_gb, storage_mb, status, auto_renew,
      created_at)
  SELECT :team, 'ram', '', 1, 1, 100, 'EUR', :pricing, 0, 500, 0, 0, 'active', false, :now
    FROM generate_series(1, :grants / 10) RETURNING id
), given AS (
  INSERT INTO billing_grant (team_id, resource_id, reason, kind, plan, cpu_cores, memory_mb,
      traffic_gb, storage_mb, starts_at, ends_at, created_at)
  SELECT :team, b.id, 'rest', 'ram', '', 0, 500, 0, 0, s.at, s.at + interval '30 days', s.at
    FROM bought AS b, generate_series(0, 9) AS n,
         LATERAL (SELECT :now - n * interval '6 days' AS at) AS s
  RETURNING id, starts_at
)
INSERT INTO billing_grant_void (grant_id, team_id, voided_at, reason, created_at)
SELECT id, :team, starts_at + interval '1 day', 'bench', :now
  FROM (SELECT *, row_number() OVER () AS place FROM given) AS g WHERE place % 10 = 0
"""


def fill(now: datetime) -> list[UUID]:
    """Teams on the plan Pro, each with so many grants."""
    made = []
    with db.write() as session:
        owner = identity.ensure_user(session, email="owner@example.org", now=now)
        for number in range(TEAMS):
            if number % 5 == 0:
                email = f"owner{number}@example.org"
                owner = identity.ensure_user(session, email=email, now=now)
            team = teams.create(
                session,
                owner_id=UserId(owner.id),
                slug=f"team-{number}",
                name="Team",
                actor="bench",
                now=now,
            )
            purchases.give_plan(session, team=team, plan="pro", actor="bench", now=now)
            made.append(team.id)
        digest = pricing.current().digest
        for team_id in made[1:]:
            facts = {"team": team_id, "pricing": digest, "now": now, "grants": GRANTS}
            session.execute(text(FILL), facts)
    with db.engine().execution_options(isolation_level="AUTOCOMMIT").connect() as connection:
        connection.execute(text("RESET ROLE"))
        connection.execute(text("ANALYZE"))
    return made


def asked(team_ids: list[UUID], now: datetime) -> list[float]:
    """Milliseconds of each question, through the product's own function."""
    took = []
    with db.read() as session:
        for number in range(ASKED):
            began = time.perf_counter()
            limits.at(session, team_ids[number % len(team_ids)], now)
            took.append((time.perf_counter() - began) * 1000)
    return took


def main() -> None:
    settings.use(Settings(_env_file=None, secret_keys=(SECRET,)))  # type: ignore[call-arg]
    now = clock.now() + timedelta(minutes=1)
    with server():
        few, *many = fill(clock.now())
        measures: dict[str, Callable[[], list[float]]] = {
            "1 grant": lambda: asked([few], now),
            f"{GRANTS:,} grants, one team again and again": lambda: asked(many[:1], now),
            f"{GRANTS:,} grants, {len(many)} teams in turn": lambda: asked(many, now),
        }
        found: dict[str, list[list[float]]] = {name: [] for name in measures}
        for measure in measures.values():
            measure()
        for _ in range(ROUNDS):
            for name, measure in measures.items():
                found[name].append(measure())
    table(
        f"A team's limits now (milliseconds; medians of {ROUNDS} rounds of {ASKED} questions)",
        ["", "median", "p95", "p99"],
        [
            [name, *(f"{at(took, part):.2f}" for part in (50, 95, 99))]
            for name, took in found.items()
        ],
    )


def at(rounds: list[list[float]], percent: int) -> float:
    """The percentile of a round, in the middle one of the rounds."""
    return statistics.median(statistics.quantiles(took, n=100)[percent - 1] for took in rounds)


if __name__ == "__main__":
    main()
