"""Backups: the database and the keys of its secrets in one file, and back again."""

import shutil
import subprocess
import tarfile
import tempfile
from datetime import datetime
from pathlib import Path

import psycopg
from sqlalchemy import make_url

from flowlink.app.outcome import Failed
from flowlink.kernel import db, postgres_programs, settings

_DUMP = "database.dump"
_SECRETS = ("secret-key", "admin-secret")
_ROLES = ("flowlink_app", "flowlink_ledger")


def write(url: str, *, data: Path, out: Path | None, now: datetime) -> Path:
    """Write a backup; it appears whole or not at all, readable by its owner alone.

    Keys that come from SECRET_KEYS are not in it: whoever set them keeps them.
    """
    target = (out or Path(f"flowlink-{now:%Y%m%d-%H%M%S}.backup")).absolute()
    if target.exists():
        raise Failed(f"{target} is there already")
    with tempfile.TemporaryDirectory(dir=target.parent, prefix=".backup-") as scratch:
        dump = Path(scratch) / _DUMP
        _program("pg_dump", "--format=custom", f"--file={dump}", url=url)
        archive = Path(scratch) / "archive"
        archive.touch(mode=0o600)
        with tarfile.open(archive, "w") as tar:
            tar.add(dump, _DUMP)
            for name in _SECRETS:
                if (data / name).exists():
                    tar.add(data / name, name)
        archive.replace(target)
    return target


def restore(file: Path, *, url: str, data: Path) -> None:
    """Fill an empty database, and put the keys back beside it.

    :raises Failed: not a backup, or the database holds something: nothing is changed then.
    """
    _check_empty(url)
    with tempfile.TemporaryDirectory(prefix="flowlink-restore-") as scratch:
        _unpack(file, Path(scratch))
        found = Path(scratch)
        if not (found / _DUMP).exists():
            raise Failed(f"{file} is not a backup of flowlink")
        _make_roles(url)
        once = ("--exit-on-error", "--single-transaction")
        _program("pg_restore", *once, found / _DUMP, url=url)
        for name in _SECRETS:
            if (found / name).exists():
                _put_back(found / name, data / name)


def _unpack(file: Path, scratch: Path) -> None:
    """Take out what a backup holds, and nothing else that an archive may contain."""
    try:
        with tarfile.open(file) as tar:
            for name in {_DUMP, *_SECRETS} & set(tar.getnames()):
                member = tar.extractfile(name)
                if member is not None:
                    with member, (scratch / name).open("wb") as copy:
                        shutil.copyfileobj(member, copy)
    except (OSError, tarfile.TarError) as error:
        raise Failed(f"{file} cannot be read as a backup: {error}") from None


def _check_empty(url: str) -> None:
    tables = "SELECT count(*) FROM pg_tables WHERE schemaname = 'public'"
    with psycopg.connect(db.conninfo(url)) as connection:
        row = connection.execute(tables).fetchone()
    if row != (0,):
        where = "DATABASE_URL" if settings.current().database_url else "the data directory"
        raise Failed(f"the database is not empty: {where} must name a new one")


def _make_roles(url: str) -> None:
    """Roles belong to the server, not to the database, so the dump does not have them."""
    with psycopg.connect(db.conninfo(url)) as connection:
        for role in _ROLES:
            exists = "SELECT FROM pg_roles WHERE rolname = %s"
            if connection.execute(exists, (role,)).fetchone() is None:
                connection.execute(f"CREATE ROLE {role} NOLOGIN".encode())
            connection.execute(f"GRANT {role} TO CURRENT_USER".encode())


def _put_back(kept: Path, place: Path) -> None:
    place.unlink(missing_ok=True)
    place.touch(mode=0o600)
    place.write_text(kept.read_text())


def _program(name: str, *arguments: str | Path, url: str) -> None:
    """Run one of PostgreSQL's own programs: those beside our server, else the system's.

    The password goes by the environment: everybody can read a command line.
    """
    ours = postgres_programs.wheel() / "bin" / name
    program = str(ours) if ours.exists() else shutil.which(name)
    if program is None:
        raise Failed(f"the program {name} of PostgreSQL 18 is missing")
    done = subprocess.run(  # noqa: S603
        [program, f"--dbname={db.conninfo(url, without='password')}", *arguments],
        env={"PGPASSWORD": make_url(url).password or "", "LC_ALL": "C.UTF-8"},
        check=False,
        capture_output=True,
        text=True,
    )
    if done.returncode:
        raise Failed(f"{name} failed:\n{done.stderr.strip()}")
