"""`flowlink doctor`: one finding after the other, from the machine up to the queue."""

import shutil
import stat
import sys
from argparse import Namespace
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import psycopg
from sqlalchemy import text

from flowlink.app import checks, opening
from flowlink.app.outcome import Failed
from flowlink.billing import standing, stripe_api
from flowlink.billing.providers import Away
from flowlink.kernel import db, migrate, settings
from flowlink.kernel.postgres_programs import PostgresError

_FREE_MB_MIN = 1024
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
        found += _payments()
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
    yield Finding(well=failed == 0, text=f"{failed} failed tasks")
    late = f"{waiting} events have waited for over a minute"
    yield Finding(well=waiting == 0, text=f"{late}: does a worker run?" if waiting else late)
    yield Finding(well=not problems, text="\n".join(problems) or "the ledger is clean")
