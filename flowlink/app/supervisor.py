"""The server's loop that also looks after PostgreSQL and the worker: what dies is started again."""

import threading
import time
from types import FrameType

import uvicorn

from flowlink.app import server
from flowlink.kernel import logs, worker
from flowlink.kernel.postgres import EmbeddedPostgres
from flowlink.kernel.postgres_programs import PostgresError

_RESTARTS_MAX = 5
_STEADY_S = 60.0  # who has run this long starts with a clean slate
_WORKER_STOP_S = 8.0

log = logs.get("flowlink.up")


class Worker:
    """The worker in a thread of this process."""

    def __init__(self) -> None:
        self._stop = threading.Event()
        self._thread: threading.Thread | None = None
        self._stop_by = 0.0

    @property
    def alive(self) -> bool:
        return self._thread is not None and self._thread.is_alive()

    def start(self) -> None:
        self._thread = threading.Thread(
            target=worker.work, args=(self._stop,), name="worker", daemon=True
        )
        self._thread.start()

    def ask_to_stop(self) -> None:
        """Begin to wind down; the time for it runs from the first asking."""
        if not self._stop.is_set():
            self._stop.set()
            self._stop_by = time.monotonic() + _WORKER_STOP_S

    def stop(self) -> bool:
        """Let running tasks finish, but not for ever; what is cut off runs again later."""
        self.ask_to_stop()
        if self._thread is not None:
            self._thread.join(max(0.0, self._stop_by - time.monotonic()))
        return not self.alive


class Patience:
    """How often one thing died lately, and when it may be started again."""

    def __init__(self) -> None:
        self.deaths = 0
        self._down = False
        self._restart_at = 0.0

    def note_death(self, now: float) -> bool:
        """Count this death, once; returns whether it is news."""
        if self._down:
            return False
        self._down = True
        self.deaths = 1 if now > self._restart_at + _STEADY_S else self.deaths + 1
        self._restart_at = now + (0.0 if self.deaths == 1 else 0.25 * 2**self.deaths)
        return True

    def may_restart(self, now: float) -> bool:
        """Whether the wait is over; then the next death is news again."""
        if now < self._restart_at:
            return False
        self._down = False
        return True


class Supervisor(server.Server):
    """A web server that ten times a second looks whether everything else still runs."""

    def __init__(
        self, config: uvicorn.Config, working: Worker, postgres: EmbeddedPostgres | None
    ) -> None:
        super().__init__(config)
        self.failure = ""
        self._worker = working
        self._postgres = postgres
        self._postgres_starts = False
        self._patience = {"postgres": Patience(), "worker": Patience()}

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        self._worker.ask_to_stop()  # it winds down while open requests finish
        super().handle_exit(sig, frame)

    async def on_tick(self, counter: int) -> bool:
        if not self.should_exit:
            try:
                self._look_after_postgres()
                self._look_after_worker()
            except PostgresError as error:
                self.failure = str(error)
        return await super().on_tick(counter) or bool(self.failure)

    def _look_after_postgres(self) -> None:
        if self._postgres is None:
            return
        if self._postgres_starts:
            self._postgres_starts = not self._postgres.ready()
        elif self._postgres.poll() is not None and self._may_restart("postgres"):
            self._postgres.spawn()
            self._postgres_starts = True

    def _look_after_worker(self) -> None:
        if not self._worker.alive and self._may_restart("worker"):
            self._worker.start()

    def _may_restart(self, name: str) -> bool:
        patience, now = self._patience[name], time.monotonic()
        if patience.note_death(now):
            log.error("what should run has ended", what=name, deaths=patience.deaths)
        if patience.deaths > _RESTARTS_MAX:
            raise PostgresError(f"{name} does not stay up; its last words are in the log")
        return patience.may_restart(now)
