"""`flowlink doctor`: one finding after the other, from the machine up to the queue."""

import shutil
import stat
import sys
from argparse import Namespace
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path

import psycopg
from sqlalchemy import text

from flowlink.app import checks, nats_way, opening
from flowlink.app.outcome import Failed
from flowlink.billing import pricing, standing, stripe_api
from flowlink.billing.providers import Away
from flowlink.kernel import clock, db, jobs, migrate, settings
from flowlink.kernel.postgres_programs import PostgresError
from flowlink.tracking import countries, journal_health, link_snapshot, shipping, wiring

_FREE_MB_MIN = 1024
_LINKS_LATE = timedelta(minutes=5)
_POSTGRES_MIN = 180_000
_FAILED = "SELECT count(*) FROM procrastinate_jobs WHERE status = 'failed'"
_WAITING = """
SELECT count(*) FROM kernel_event
WHERE delivered_at IS NULL AND at < now() - interval '1 minute'
"""


@dataclass(frozen=True)
class Finding:
    """One thing that was looked at."""

    well: bool
    text: str


def examine(arguments: Namespace) -> list[Finding]:
    """Look at everything; what cannot be looked at after a failure is left out."""
    found: list[Finding] = []
    try:
        data = opening.configure(arguments)
        found += _machine(data)
        found += _secrets(data)
        found += _countries()
        found += _links()
        found += _nats()
        if not opening.has_database(data, settings.current()):
            with opening.way(arguments):
                found += _journals(wiring.books())
            return found
        found += [_prices(), *_payments()]
        with opening.server_for(arguments) as url:
            found += _database(url)
            if migrate.is_current(url):
                db.connect(url)
                found += _contents()
    except (Failed, PostgresError) as problem:
        found.append(Finding(well=False, text=str(problem)))
    finally:
        db.disconnect()
    return found


def _machine(data: Path) -> Iterator[Finding]:
    yield Finding(well=sys.version_info >= (3, 11), text=f"Python {sys.version.split()[0]}")
    data.mkdir(mode=0o711, parents=True, exist_ok=True)
    free_mb = shutil.disk_usage(data).free // 1024**2
    yield Finding(well=free_mb >= _FREE_MB_MIN, text=f"{free_mb} MB free in {data}")
    transport = settings.current().smtp_url or settings.current().brevo_api_key
    where = "go out" if transport else "stay in the outbox page: set SMTP_URL or BREVO_API_KEY"
    yield Finding(
        well=bool(transport) or not settings.current().in_production, text=f"mails {where}"
    )


def _countries() -> Iterator[Finding]:
    if settings.current().geoip_db:
        well = countries.available()
        said = "is read" if well else "cannot be read: the country of every click is unknown"
        yield Finding(well=well, text=f"GEOIP_DB {settings.current().geoip_db} {said}")


def _secrets(data: Path) -> Iterator[Finding]:
    for name in ("secret-key", "admin-secret"):
        path = data / name
        if path.exists():
            closed = not stat.S_IMODE(path.stat().st_mode) & 0o077
            said = "is closed to others" if closed else "can be read by others: chmod 600"
            yield Finding(well=closed, text=f"{path} {said}")


def _payments() -> Iterator[Finding]:
    taker, production = standing.chosen(), settings.current().in_production
    if taker.name == "sandbox":
        said = "the sandbox takes none in production" if production else "go to the sandbox"
        yield Finding(well=True, text=f"payments: {said}")
    elif taker.missing:
        yield Finding(well=False, text=f"payments: set {', '.join(taker.missing)}")
    else:
        trouble = _stripe_trouble()
        mode = "" if taker.is_real else " in test mode: no money moves"
        well = not trouble and (taker.is_real or not production)
        yield Finding(well=well, text=f"payments: {trouble or f'Stripe answers{mode}'}")


def _prices() -> Finding:
    try:
        specs = pricing.current()
    except pricing.BadPricing as problem:
        return Finding(well=False, text=str(problem))
    return Finding(
        well=True, text=f"the price list has {len(specs.plans)} plans, {len(specs.addons)} add-ons"
    )


def _stripe_trouble() -> str:
    try:
        stripe_api.configured().reach()
    except stripe_api.StripeRefused as refusal:
        return f"Stripe refuses: {refusal.code}"
    except Away as trouble:
        return str(trouble)
    return ""


def _database(url: str) -> Iterator[Finding]:
    with psycopg.connect(db.conninfo(url)) as connection:
        number = connection.info.server_version
        shown = f"PostgreSQL {number // 10000}.{number % 10000}"
        yield Finding(well=number >= _POSTGRES_MIN, text=f"{shown} (18 or newer is needed)")
    current = migrate.is_current(url)
    advice = "" if current else ": run `flowlink migrate`"
    yield Finding(well=current, text=f"schema {'is' if current else 'is not'} current{advice}")


def _contents() -> Iterator[Finding]:
    with db.read() as session:
        failed = session.scalar(text(_FAILED)) or 0
        waiting = session.scalar(text(_WAITING)) or 0
        problems = checks.problems(session)
        failing = [f"the job {run.name} fails: {run.result}" for run in jobs.failing(session)]
    yield Finding(well=failed == 0, text=f"{failed} failed tasks")
    yield Finding(well=not failing, text="\n".join(failing) or "every job ended well")
    late = f"{waiting} events have waited for over a minute"
    yield Finding(well=waiting == 0, text=f"{late}: does a worker run?" if waiting else late)
    yield Finding(well=not problems, text="\n".join(problems) or "the ledger is clean")
    yield from _journals(wiring.books())
    yield from _clicks()


def _links() -> Iterator[Finding]:
    """The links with which an edge of this machine would start while the database is away."""
    found = link_snapshot.standing(wiring.journals())
    if found is None:
        return
    age = max(clock.now() - found.true_at, timedelta(0))
    late = found.in_use and age > _LINKS_LATE
    said = f"links on disk are true as of {found.true_at:%Y-%m-%d %H:%M:%S}"
    if age > link_snapshot.AGE_MAX:
        said += ": too old to start from"
    elif late:
        said += ": the edge hears of no changes"
    yield Finding(well=not late, text=said)


def _nats() -> Iterator[Finding]:
    """What is to be said of NATS, where it is used; the rest is looked at all the same."""
    chosen = settings.current()
    if not chosen.nats_url:
        return
    try:
        for well, said in nats_way.findings(chosen):
            yield Finding(well=well, text=said)
    except Failed as problem:
        yield Finding(well=False, text=str(problem))


def _journals(books: shipping.Books) -> Iterator[Finding]:
    """The journals of this machine."""
    now = clock.now()
    for one in shipping.survey(wiring.journals(), books=books):
        late = one.oldest_at is not None and now - one.oldest_at > journal_health.LATE
        since = f", the oldest since {one.oldest_at:%Y-%m-%d %H:%M:%S}" if one.oldest_at else ""
        size = f"{one.backlog.records} clicks ({one.backlog.size_bytes} bytes) wait{since}"
        advice = ": does an edge or `flowlink up` run?" if late else ""
        text_ = f"{one.error}: see flowlink journal accept" if one.error else size + advice
        yield Finding(well=not (one.error or late), text=f"journal {one.directory}: {text_}")


def _clicks() -> Iterator[Finding]:
    """What became of clicks anywhere in the last days."""
    with db.read() as session:
        found = journal_health.health(session, now=clock.now())
    said = (
        (found.unrecorded, "clicks were sent on and could not be recorded"),
        (found.damages, f"damaged stretches of journals, {found.lost} clicks known to be lost"),
        (found.refused, "records that are no clicks were set aside"),
    )
    for count, what in said:
        yield Finding(well=count == 0, text=f"in seven days {count} {what}")
