"""Clicks straight into PostgreSQL, for when there is no journal: a batch when the last is down.

One connection of its own, reopened after the database was away. A click is acknowledged after the
COMMIT that holds it; when that cannot be known, it is refused. (Part of the edge: async.)
"""

import asyncio
from collections.abc import Sequence
from datetime import date

import psycopg
from psycopg.conninfo import conninfo_to_dict, make_conninfo

from flowlink.kernel import db, logs
from flowlink.tracking import clickid, clicks
from flowlink.tracking.clicks import Memory, Row

_BATCH = 500
_WAITING_MAX = 5_000
_TIMEOUTS = "-c statement_timeout=5s -c lock_timeout=3s"

Waiting = tuple[Row, asyncio.Future[None]]


class Unavailable(Exception):
    """The click could not be written down."""


class _Uncertain(Exception):
    """The connection broke during COMMIT: nobody can say whether the batch is stored."""


class Recorder:
    """Writes the clicks of one process. Bound to the event loop it was made in."""

    def __init__(self) -> None:
        self.loop = asyncio.get_running_loop()
        self._waiting: list[Waiting] = []
        self._worker: asyncio.Task[None] | None = None
        self._connection: psycopg.AsyncConnection | None = None
        self._memory = Memory()

    async def record(self, row: Row) -> None:
        """Store a click; returns once that is on disk.

        :raises Unavailable: the database is away, or too many clicks wait already.
        """
        if len(self._waiting) >= _WAITING_MAX:
            raise Unavailable
        answer: asyncio.Future[None] = self.loop.create_future()
        self._waiting.append((row, answer))
        if self._worker is None:
            self._worker = self.loop.create_task(self._work())
        await answer

    async def close(self) -> None:
        """Finish what waits, then leave the database."""
        if self._worker is not None:
            await self._worker
        if self._connection is not None:
            await self._connection.close()
            self._connection = None

    def abandon(self) -> None:
        """Close the connection from outside the loop, which is gone."""
        if self._connection is not None:
            self._connection.pgconn.finish()
            self._connection = None

    async def _work(self) -> None:
        try:
            while self._waiting:
                batch, self._waiting = self._waiting[:_BATCH], self._waiting[_BATCH:]
                await self._settle(batch)
        finally:
            self._worker = None
            # Only a bug of ours gets here with people waiting: they must not wait for ever.
            for _, answer in self._waiting:
                _refuse(answer)

    async def _settle(self, batch: Sequence[Waiting]) -> None:
        """Answer everybody in the batch. One row that PostgreSQL refuses spoils only its own."""
        stored = False
        try:
            await self._stored([row for row, _ in batch])
            stored = True
        except (psycopg.OperationalError, _Uncertain) as error:
            logs.get().warning("clicks refused", count=len(batch), error=str(error)[:200])
        except psycopg.Error as error:
            logs.get().error("clicks not stored", count=len(batch), error=str(error)[:200])
            if len(batch) > 1:
                for one in batch:
                    await self._settle([one])
                return
        finally:  # whatever happened, nobody may wait for ever
            for _, answer in batch:
                if not stored:
                    _refuse(answer)
                elif not answer.done():
                    answer.set_result(None)

    async def _stored(self, rows: Sequence[Row]) -> None:
        """Commit the batch, once more on a fresh connection if the old one turned out dead."""
        try:
            return await self._committed(rows)
        except psycopg.OperationalError:
            await self._drop()
        try:
            return await self._committed(rows)
        except psycopg.OperationalError:
            await self._drop()
            raise

    async def _committed(self, rows: Sequence[Row]) -> None:
        connection = await self._open()
        for day in {clickid.at(row.number).date() for row in rows} - self._memory.days:
            await self._ensure_partition(connection, day)
        try:
            await self._run(connection, clicks.insert(rows, memory=self._memory))
        except psycopg.Error:
            self._memory = Memory()
            if not connection.closed:
                await connection.rollback()
            raise
        try:
            await connection.commit()
        except psycopg.Error as error:
            await self._drop()
            raise _Uncertain(str(error)) from error

    async def _run(self, connection: psycopg.AsyncConnection, steps: clicks.Steps[None]) -> None:
        try:
            query, params = next(steps)
            while True:
                cursor = await connection.execute(query.encode(), params)
                rows = await cursor.fetchall() if cursor.description else []
                query, params = steps.send(rows)
        except StopIteration:
            return

    async def _open(self) -> psycopg.AsyncConnection:
        if self._connection is None:
            given = conninfo_to_dict(db.dsn())
            options = f"{given.pop('options', '')} {_TIMEOUTS}"
            conninfo = make_conninfo("", **given, options=options, application_name="flowlink-edge")
            self._connection = await psycopg.AsyncConnection.connect(conninfo, connect_timeout=3)
        return self._connection

    async def _ensure_partition(self, connection: psycopg.AsyncConnection, day: date) -> None:
        """Make the day's partition. Without it clicks go to the default one: go on regardless."""
        try:
            await connection.execute(clicks.PARTITION, {"day": day})
            await connection.commit()
        except (psycopg.errors.LockNotAvailable, psycopg.errors.QueryCanceled):
            await connection.rollback()
            return
        self._memory.days.add(day)

    async def _drop(self) -> None:
        connection, self._connection = self._connection, None
        self._memory = Memory()
        if connection is not None:
            await connection.close()


def _refuse(answer: asyncio.Future[None]) -> None:
    if not answer.done():
        answer.set_exception(Unavailable())
