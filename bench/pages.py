"""How long the earnings page takes with a million clicks and transfers behind it, against few.

Run: python -m bench.pages
"""

import logging
import statistics
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import datetime, timedelta
from pathlib import Path
from random import Random

import httpx2

from bench import posting
from bench.report import table
from flowlink.app import server
from flowlink.identity import service as identity
from flowlink.identity.ids import UserId
from flowlink.kernel import clock, db, logs, migrate, settings
from flowlink.kernel.postgres import EmbeddedPostgres
from flowlink.partners import service as partners
from flowlink.partners.ids import PartnerId
from flowlink.tracking import clicks, service as tracking
from flowlink.tracking.clicks import Visit
from flowlink.tracking.models import Reason
from tests.factories import free_port

FEW, MANY = 1_000, 1_000_000
BATCH = 5_000
DAYS = 90
ROUNDS = 40
PAGES = ("/partners/earnings", "/partner/portal", "/partners/leaderboard?days=90")


@contextmanager
def product() -> Iterator[str]:
    """A migrated installation of its own, served on a free port; yields its address."""
    with tempfile.TemporaryDirectory() as folder:
        port = free_port()
        url = f"http://127.0.0.1:{port}"
        settings.use(settings.load(Path(folder), base_url=url, database_url=""))
        logs.configure(logging.WARNING)
        postgres = EmbeddedPostgres(Path(folder) / "data")
        postgres.start()
        try:
            migrate.upgrade(postgres.url())
            db.connect(postgres.url())
            with server.in_thread(port=port):
                yield url
        finally:
            db.disconnect()
            postgres.stop()


def make_partner(email: str, now: datetime) -> tuple[PartnerId, str, str]:
    """A partner with one link: their id, its code, and a cookie's worth of being signed in."""
    with db.write() as session:
        tracking.seed(session, base_url=settings.current().url, now=now)
        user = identity.ensure_user(session, email=email, now=now)
        partner = partners.ensure_active(session, user_id=UserId(user.id), now=now)
        link = tracking.create_link(session, partner_id=PartnerId(partner.id), now=now)
        token = identity.make_link(session, email=email, now=now, from_cli=True)
        return PartnerId(partner.id), link.code, token


def fill(code: str, count: int, now: datetime) -> None:
    """Store clicks over the last days, by the code that stores every click."""
    random = Random(count)  # noqa: S311
    for start in range(0, count, BATCH):
        day = now - timedelta(days=1 + start * (DAYS - 1) // count)
        visits = [
            Visit(
                code=code,
                at=day + timedelta(seconds=random.randrange(80_000)),
                address=f"198.51.{random.randrange(256)}.{random.randrange(256)}",
                agent=f"Mozilla/5.0 Firefox/{random.randrange(100, 145)}.0",
                referrer="example.org",
                reason=Reason.VALID,
            )
            for _ in range(min(BATCH, count - start))
        ]
        with db.write() as session:
            clicks.store(session, visits=visits)


def visit(url: str, token: str) -> dict[str, list[float]]:
    """Sign in and load each page again and again; milliseconds a page."""
    with httpx2.Client(base_url=url, follow_redirects=True) as browser:
        browser.post(f"/partner/login?token={token}").raise_for_status()
        return measure(browser, PAGES)


def measure(browser: httpx2.Client, pages: Sequence[str]) -> dict[str, list[float]]:
    """Milliseconds a page, the pages turn about."""
    taken: dict[str, list[float]] = {page: [] for page in pages}
    for _ in range(ROUNDS):
        for page in pages:
            began = time.perf_counter()
            browser.get(page).raise_for_status()
            taken[page].append((time.perf_counter() - began) * 1000)
    return taken


def main() -> None:
    with product() as url:
        now = clock.now()
        few_id, few_code, few_token = make_partner("few@example.org", now)
        many_id, many_code, many_token = make_partner("many@example.org", now)
        fill(few_code, FEW, now)
        began = time.perf_counter()
        fill(many_code, MANY, now)
        seconds = time.perf_counter() - began
        posting.fill(str(few_id), FEW)
        posting.fill(str(many_id), MANY)
        posting.as_owner("VACUUM ANALYZE")
        few, many = visit(url, few_token), visit(url, many_token)
    rows = [
        (
            page,
            f"{statistics.median(few[page]):.1f} ms",
            f"{statistics.median(many[page]):.1f} ms",
            f"{statistics.quantiles(many[page], n=20)[-1]:.1f} ms",
            f"{statistics.median(many[page]) / statistics.median(few[page]):.2f} x",
        )
        for page in PAGES
    ]
    heads = ["page", f"{FEW:,} of each", f"{MANY:,} of each", "p95", "ratio"]
    table("Pages with a partner's clicks and transfers behind them", heads, rows)
    table("Storing them", ["clicks", "a second"], [(f"{MANY:,}", f"{MANY / seconds:,.0f}")])


if __name__ == "__main__":
    main()
