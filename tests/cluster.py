"""The test run's PostgreSQL: on memory, without fsync, from a cached migrated cluster."""

import hashlib
import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

import psycopg

from flowlink.kernel import migrate, postgres
from flowlink.kernel.postgres import EmbeddedPostgres

MEMORY = Path("/dev/shm")  # noqa: S108
_CACHES_KEPT = 3


@dataclass(frozen=True)
class Cluster:
    """A running server and copies of its migrated database."""

    server: EmbeddedPostgres

    def url(self, name: str) -> str:
        return self.server.url(name)

    def create(self, name: str) -> None:
        self._run(f"CREATE DATABASE {name} TEMPLATE flowlink STRATEGY file_copy")

    def drop(self, name: str) -> None:
        self._run(f"DROP DATABASE {name} WITH (FORCE)")

    def _run(self, statement: str) -> None:
        with psycopg.connect(self.server.url("postgres"), autocommit=True) as connection:
            connection.execute(statement.encode())


@contextmanager
def memory_dir() -> Iterator[Path]:
    """A directory in memory, where a server's fsync costs nothing."""
    place = Path(tempfile.mkdtemp(prefix="flowlink-test-", dir=_memory()))
    try:
        yield place
    finally:
        shutil.rmtree(place)


@contextmanager
def start_cluster() -> Iterator[Cluster]:
    cache = _memory() / f"flowlink-cache-{os.geteuid()}-{_fingerprint()}"
    with memory_dir() as place:
        server = EmbeddedPostgres(place / "data", durable=False)
        try:
            if cache.exists():
                _copy(cache, server.data)
                server.start()
            else:
                server.start()
                migrate.upgrade(server.url())
                _keep(server, cache)
            yield Cluster(server)
        finally:
            server.stop()


def _memory() -> Path:
    return MEMORY if os.access(MEMORY, os.W_OK) else Path(tempfile.gettempdir())


def _fingerprint() -> str:
    """What a migrated cluster depends on."""
    digest = hashlib.sha256(Path(postgres.__file__).read_bytes())
    for file in sorted(migrate.VERSIONS.parent.rglob("*.*")):
        if file.suffix in {".py", ".sql"}:
            digest.update(file.read_bytes())
    return digest.hexdigest()[:16]


def _keep(server: EmbeddedPostgres, cache: Path) -> None:
    """Keep a copy for the next run, and few of the older ones."""
    server.stop()
    scratch = Path(tempfile.mkdtemp(prefix="flowlink-cache-", dir=cache.parent))
    _copy(server.data, scratch / "data")
    with suppress(OSError):  # another run was first
        (scratch / "data").rename(cache)
    shutil.rmtree(scratch)
    caches = sorted(cache.parent.glob(f"flowlink-cache-{os.geteuid()}-*"), key=_age)
    for old in caches[:-_CACHES_KEPT]:
        shutil.rmtree(old, ignore_errors=True)
    server.start()


def _age(path: Path) -> float:
    return path.stat().st_mtime


def _copy(source: Path, target: Path) -> None:
    subprocess.run(["/bin/cp", "-a", str(source), str(target)], check=True)
