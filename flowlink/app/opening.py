"""Getting ready: settings, logs, and a migrated database, for every role and command alike."""

import fcntl
import gc
import time
from argparse import Namespace
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import psycopg
from cryptography.fernet import InvalidToken
from pydantic import ValidationError
from sqlalchemy.exc import OperationalError

from flowlink.app.outcome import Failed
from flowlink.kernel import clock, db, logs, migrate, settings
from flowlink.kernel.errors import FlowlinkError
from flowlink.kernel.postgres import AlreadyRunning, EmbeddedPostgres, running_url
from flowlink.kernel.postgres_programs import MAJOR
from flowlink.kernel.settings import Settings


class DatabaseAway(Failed):
    """The database does not answer."""


_BUSY_S = 30.0  # how long a command waits for a server that starts or stops right now


def load(arguments: Namespace, **overrides: Any) -> tuple[Path, Settings]:
    """The data directory and the settings as they stand.

    :raises Failed: a setting is wrong, or unsafe in production.
    """
    try:
        data: Path = (arguments.data or settings.load(**overrides).data_dir).absolute()
        return data, settings.load(data, **overrides)
    except ValidationError as error:
        raise Failed("\n".join(_problems(error))) from None
    except OSError as error:
        raise Failed(f"the data directory cannot be used: {error}") from None


def configure(arguments: Namespace, *, port: int | None = None) -> Path:
    """Use the settings in this process and set up the logs; returns the data directory."""
    data, _ = load(arguments)
    chosen = port or _remembered_port(data)
    _, loaded = load(arguments, flowlink_data=data, **({"port": chosen} if chosen else {}))
    settings.use(loaded)
    logs.configure()
    return data


def file(path: Path) -> bytes:
    """What a file holds that a command was given.

    :raises Failed: it cannot be read.
    """
    try:
        return path.read_bytes()
    except OSError as error:
        raise Failed(f"{path} cannot be read: {error.strerror}") from None


def check_prices() -> None:
    """Nobody could buy by a broken price list, and every team's page would fail.

    :raises Failed: it cannot be used; where and why.
    """
    from flowlink.billing import pricing

    try:
        pricing.current()
    except pricing.BadPricing as problem:
        raise Failed(str(problem)) from None


@contextmanager
def database(
    arguments: Namespace, *, port: int | None = None, may_be_away: bool = False
) -> Generator[Path]:
    """The product's database, connected and up to date, whether `flowlink up` runs or not.

    One that `may_be_away` is taken as it is when it does not answer.

    :raises Failed: it does not answer, or belongs to a newer version.
    """
    from flowlink.app import registry, startup

    data = configure(arguments, port=port)
    with server(data) as url:
        is_there = _prepared(url, may_be_away=may_be_away)
        db.connect(url, pool_size=5)
        registry.load()
        imports_done()
        try:
            with _refusals():
                if is_there:
                    startup.seed(now=clock.now())
                yield data
        finally:
            db.disconnect()


@contextmanager
def way(arguments: Namespace) -> Generator[Path]:
    """The database, or on a machine that has none, NATS.

    :raises Failed: it does not answer.
    """
    data, loaded = load(arguments)
    if has_database(data, loaded):
        with database(arguments):
            yield data
        return
    from flowlink.tracking import shipper, wiring

    configure(arguments)
    imports_done()
    try:
        yield data
    except shipper.Away as error:
        raise Failed(f"nobody says how far clicks are stored: {error}") from error
    finally:
        wiring.close()


def has_database(data: Path, chosen: Settings) -> bool:
    """Whether this machine has a database: one that is named, or of its own, as without NATS."""
    return bool(chosen.database_url) or not chosen.nats_url or (data / MAJOR).exists()


@contextmanager
def server_for(arguments: Namespace) -> Generator[str]:
    """The address of the database as it is, migrated or not, for those who look after it."""
    with server(configure(arguments)) as url, _refusals():
        yield url


@contextmanager
def server(data: Path) -> Generator[str]:
    """The address of the database's server, started for this while when nobody runs it."""
    if settings.current().database_url:
        yield settings.current().database_url
        return
    data.mkdir(mode=0o711, parents=True, exist_ok=True)
    with (data / "users").open("a") as users:
        fcntl.flock(users, fcntl.LOCK_SH)
        url, own = _running_or_own(data)
        try:
            yield url
        finally:
            if own:
                fcntl.flock(users, fcntl.LOCK_EX)  # other commands may have joined us meanwhile
                own.stop()


def prepare(url: str) -> None:
    """Bring the database up to this version if that is due, one process at a time.

    :raises Failed: it does not answer, or belongs to a newer version.
    """
    with _refusals():
        if not migrate.is_current(url):
            upgrade(url)


def _prepared(url: str, *, may_be_away: bool) -> bool:
    try:
        prepare(url)
    except DatabaseAway as error:
        if not may_be_away:
            raise
        logs.get().warning("the database is away", error=str(error))
        return False
    return True


def upgrade(url: str) -> None:
    """Bring the database up to this version.

    :raises Failed: it belongs to a newer one.
    """
    from alembic.util import CommandError

    try:
        migrate.upgrade(url)
    except CommandError as error:
        raise Failed(f"the database belongs to another version of flowlink: {error}") from None


def imports_done() -> None:
    """Let the collector work again, on what comes now: what is imported stays for good."""
    gc.freeze()
    gc.enable()


def remember_port(data: Path, port: int) -> None:
    """Keep the port, so that links made by other commands lead here."""
    (data / "port").write_text(f"{port}\n")


def _remembered_port(data: Path) -> int | None:
    try:
        return int((data / "port").read_text())
    except (OSError, ValueError):
        return None


@contextmanager
def _refusals() -> Generator[None]:
    """What the product refuses, or a database that is away, is a reason and no trace."""
    try:
        yield
    except (OperationalError, psycopg.OperationalError) as error:
        first = str(error).strip().splitlines()[0]
        raise DatabaseAway(f"the database does not answer: {first}") from error
    except InvalidToken:
        raise Failed(
            "this installation's secrets are not among SECRET_KEYS: name the data directory that"
            " `flowlink up` uses with --data, or set SECRET_KEYS as it has them"
        ) from None
    except FlowlinkError as refusal:
        raise Failed(str(refusal)) from refusal


def _running_or_own(data: Path) -> tuple[str, EmbeddedPostgres | None]:
    until = time.monotonic() + _BUSY_S
    while True:
        url = running_url(data)
        if url:
            return url, None
        own = EmbeddedPostgres(data)
        try:
            own.start()
        except AlreadyRunning:
            if time.monotonic() > until:
                raise
            time.sleep(0.1)
        else:
            return own.url(), own


def _problems(error: ValidationError) -> list[str]:
    """Which settings are wrong and why, without their values: some are secrets."""
    found = []
    for one in error.errors(include_input=False, include_url=False):
        name = "_".join(str(part) for part in one["loc"]).upper()
        reason = one["msg"].removeprefix("Value error, ")
        found.append(f"{name}: {reason}" if name else reason)
    return found
