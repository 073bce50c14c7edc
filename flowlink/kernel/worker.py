"""The worker: delivers the outbox, runs queued tasks and the schedule, on procrastinate's queue."""

import asyncio
import threading
from typing import Any

import procrastinate
import psycopg
from procrastinate import JobContext, PsycopgConnector, RetryStrategy
from sqlalchemy.exc import OperationalError

from flowlink.kernel import clock, db, events, jobs, logs, settings

MISSED_RUN_S_MAX = 3 * 24 * 3600  # a daily job missed while the machine was off still runs
POLL_S = 1.0
CONCURRENCY = 4

log = logs.get("flowlink.worker")


def application() -> procrastinate.App:
    """The queue's application with every registered job and handler as a task."""
    connector = PsycopgConnector(conninfo=db.dsn(), min_size=1, max_size=4, timeout=5)
    app = procrastinate.App(connector=connector, periodic_defaults={"max_delay": MISSED_RUN_S_MAX})
    for job in jobs.JOBS.values():
        task = _task(app, job.name, job.retries)
        if job.cron:
            app.periodic(cron=job.cron)(task)
    for handler in jobs.HANDLERS.values():
        _task(app, handler.name, handler.retries)
    return app


def _task(app: procrastinate.App, name: str, retries: int) -> Any:
    # To procrastinate, no attempts at most means no end of attempts.
    retry = RetryStrategy(max_attempts=retries, exponential_wait=3) if retries else False

    @app.task(name=name, queue=jobs.QUEUE, retry=retry, pass_context=True)
    def perform(_: JobContext, /, timestamp: int | None = None, **args: Any) -> None:
        jobs.perform(name, args, clock.now())

    return perform


def work(stop: threading.Event) -> None:
    """Work until `stop` is set; a running task is let finish."""
    catch_up()
    outbox = threading.Thread(target=_deliver_until, args=(stop,), name="outbox", daemon=True)
    outbox.start()
    asyncio.run(_run_until(stop))
    outbox.join(timeout=5)


def catch_up() -> None:
    """Queue the whole schedule once where the clock was moved: real time will not bring it."""
    if not settings.current().flowlink_clock_offset_s:
        return
    with db.write() as session:
        for job in jobs.JOBS.values():
            if job.cron:
                jobs.enqueue(session, job.name, {}, coalesce=True)


async def _run_until(stop: threading.Event) -> None:
    """Run the queue's worker, again after each loss of the database."""
    stopping = asyncio.create_task(asyncio.to_thread(stop.wait))
    while not stop.is_set():
        try:
            await _run_once(stopping)
        except (procrastinate.exceptions.ConnectorException, psycopg.Error, OSError) as error:
            log.warning("the queue lost the database", error=str(error))
            await asyncio.sleep(POLL_S)


async def _run_once(stopping: "asyncio.Task[bool]") -> None:
    app = application()
    async with app.open_async():
        worker = asyncio.create_task(
            app.run_worker_async(
                concurrency=CONCURRENCY,
                install_signal_handlers=False,
                fetch_job_polling_interval=POLL_S,
                shutdown_graceful_timeout=8,
            )
        )
        await asyncio.wait({worker, stopping}, return_when=asyncio.FIRST_COMPLETED)
        worker.cancel()
        await asyncio.gather(worker, return_exceptions=stopping.done())


def _deliver_until(stop: threading.Event) -> None:
    """Deliver events as soon as their transaction commits, and look once a second besides."""
    while not stop.is_set():
        try:
            with psycopg.connect(db.dsn(), autocommit=True) as connection:
                connection.execute(f"LISTEN {events.CHANNEL}")
                _deliver_on(connection, stop)
        except (psycopg.Error, OperationalError) as error:
            log.warning("the outbox lost the database", error=str(error))
            stop.wait(POLL_S)


def _deliver_on(connection: "psycopg.Connection[Any]", stop: threading.Event) -> None:
    while not stop.is_set():
        while jobs.deliver():
            pass
        for _ in connection.notifies(timeout=POLL_S / 4, stop_after=1):
            pass
