"""Stream released results from the database without holding a whole result.

The API's own role can read only released results and shapes. The database itself therefore refuses unreleased
results, whatever SQL arrives here.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable
from concurrent.futures import Future, ThreadPoolExecutor, wait
from typing import Any, TypeVar

import psycopg2
import psycopg2.errors
import psycopg2.extras
import sqlalchemy.exc
from sqlalchemy import URL, create_engine, event
from sqlalchemy.pool import PoolProxiedConnection

from flowapi.encoding import Encoder, JsonText
from flowapi.record import RequestRecord

Value = TypeVar("Value")


class DatabaseDown(Exception):
    """Report that the database cannot be reached or did not answer in time."""


class ResultGone(Exception):
    """Report that the result's table is gone; running the query again makes it."""


class ResultWithheld(Exception):
    """Report that this role may not read the result, which is not released."""


class DeliveryCutOff(Exception):
    """Report that the database failed after the first rows had been sent."""


@contextlib.contextmanager
def _translated_errors() -> Any:
    try:
        yield
    except (psycopg2.errors.UndefinedTable, psycopg2.errors.InvalidSchemaName) as error:
        raise ResultGone from error
    except psycopg2.errors.InsufficientPrivilege as error:
        raise ResultWithheld from error
    except (psycopg2.OperationalError, psycopg2.InterfaceError, sqlalchemy.exc.DBAPIError) as error:
        raise DatabaseDown from error


class ResultStore:
    """Hold a pool of read-only connections and the threads that wait for them.

    Parameters
    ----------
    url
        Where the results are, as a role that can read released ones only.
    pool_size
        Results that can be streamed at the same time; further requests wait for ``timeout`` seconds.
    timeout
        Seconds that one statement may take, and that a request waits for a free connection.
    """

    def __init__(self, url: URL, *, pool_size: int = 20, timeout: float = 120.0) -> None:
        self._timeout = timeout
        self._engine = create_engine(
            url,
            pool_size=pool_size,
            max_overflow=0,
            pool_pre_ping=True,
            connect_args={
                "connect_timeout": 10,
                "application_name": "flowapi",
                "options": " ".join(
                    [
                        "-c default_transaction_read_only=on",
                        f"-c statement_timeout={round(timeout * 1000)}",
                        # A backstop for a process that hangs; slow readers are cut off much earlier.
                        "-c idle_in_transaction_session_timeout=600000",
                        # The whole result will be read, so plan for the last row, not for the first.
                        "-c cursor_tuple_fraction=1.0",
                    ]
                ),
            },
        )
        event.listen(self._engine, "connect", _leave_json_as_text)
        self._threads = ThreadPoolExecutor(2 * pool_size, thread_name_prefix="results")
        self._free = asyncio.Semaphore(pool_size)

    async def ping(self, seconds: float) -> None:
        """Ask the database for one row.

        Raises
        ------
        DatabaseDown
            It did not answer within so many ``seconds``, or all connections were busy for as long.
        """
        try:
            async with asyncio.timeout(seconds):
                connection = await self._connect()
                pending = self.submit(lambda: _execute(connection, "SELECT 1"))
                try:
                    with _translated_errors():
                        await asyncio.wrap_future(pending)
                finally:
                    self.release(connection, pending)
        except TimeoutError:
            raise DatabaseDown(f"The database did not answer within {seconds:g} s.") from None

    async def open(self, sql: str, encoder: Encoder, record: RequestRecord) -> ResultStream:
        """Start reading ``sql``; the first rows have arrived when this returns.

        Raises
        ------
        DatabaseDown, ResultGone, ResultWithheld
            Nothing can be read.
        """
        connection = await self._connect()
        stream = ResultStream(self, connection, encoder, record)
        try:
            await stream.begin(sql)
        except BaseException:
            stream.close()
            raise
        return stream

    async def table_identity(self, query_id: str) -> str:
        """Return a text that changes when the stored result is recomputed.

        The text is empty if there is no stored result.
        """
        connection = await self._connect()
        try:
            return await self._run(lambda: _table_identity(connection, f"cache.x{query_id}"))
        finally:
            self._give_back(connection)

    def submit(self, work: Callable[[], Value]) -> Future[Value]:
        """Run ``work`` in one of the threads."""
        return self._threads.submit(work)

    def close(self) -> None:
        """Close all connections after the reads in progress have ended."""
        self._threads.shutdown(wait=True)
        self._engine.dispose()

    def release(self, connection: PoolProxiedConnection, pending: Future[Any] | None) -> None:
        """Take a connection back and stop its pending read.

        This never blocks the caller's thread, so it is safe while a request is being cancelled.
        """
        loop = asyncio.get_running_loop()
        self.submit(lambda: _discard(connection, pending)).add_done_callback(
            lambda _: loop.call_soon_threadsafe(self._free.release)
        )

    async def _run(self, work: Callable[[], Value]) -> Value:
        with _translated_errors():
            return await asyncio.wrap_future(self.submit(work))

    async def _connect(self) -> PoolProxiedConnection:
        # Wait for a free connection here instead of in the pool, where waiting requests would hold all the
        # threads that reads in progress need to finish.
        try:
            async with asyncio.timeout(self._timeout):
                await self._free.acquire()
        except TimeoutError:
            raise DatabaseDown("All connections to the database are busy.") from None
        pending = self.submit(self._engine.raw_connection)
        try:
            with _translated_errors():
                return await asyncio.shield(asyncio.wrap_future(pending))
        except asyncio.CancelledError:
            pending.add_done_callback(_close_when_connected)
            self._free.release()
            raise
        except BaseException:
            self._free.release()
            raise

    def _give_back(self, connection: PoolProxiedConnection) -> None:
        self.release(connection, None)


class ResultStream:
    """Hold the bytes of one result in one format.

    A server-side cursor reads batches in one transaction.
    """

    def __init__(
        self, store: ResultStore, connection: PoolProxiedConnection, encoder: Encoder, record: RequestRecord
    ) -> None:
        self._store = store
        self._connection: PoolProxiedConnection | None = connection
        self._cursor: Any = None
        self._encoder = encoder
        self._record = record
        self._pending: Future[bytes | None] | None = None
        self._first: bytes | None = None
        self._at_end = False

    async def begin(self, sql: str) -> None:
        """Open the cursor and read the first batch."""
        with _translated_errors():
            self._pending = self._store.submit(lambda: self._begin(sql))
            self._first = await asyncio.wrap_future(self._pending)

    async def body(self) -> AsyncIterator[bytes]:
        """Yield the result's text.

        While one batch is being sent, the next batch is read, and no more.

        Raises
        ------
        DeliveryCutOff
            The database failed on the way.
        """
        try:
            chunk = self._first
            while chunk is not None:
                self._pending = self._store.submit(self._continue)
                yield chunk
                try:
                    chunk = await asyncio.wrap_future(self._pending)
                except psycopg2.Error as error:
                    raise DeliveryCutOff(str(error)) from error
        finally:
            self.close()

    def close(self) -> None:
        """Return the connection; safe to call again at any time."""
        if self._connection is not None:
            self._store.release(self._connection, self._pending)
            self._connection = None

    def _begin(self, sql: str) -> bytes:
        assert self._connection is not None
        self._cursor = self._connection.cursor("result")
        self._cursor.execute(sql)
        rows = self._cursor.fetchmany(self._encoder.batch_rows)
        # A server-side cursor knows its columns only after the first fetch.
        start = self._encoder.start([column.name for column in self._cursor.description])
        self._record.rows = 0
        return (start + self._encode(rows)).encode()

    def _continue(self) -> bytes | None:
        if self._at_end:
            return None
        return self._encode(self._cursor.fetchmany(self._encoder.batch_rows)).encode()

    def _encode(self, rows: list[tuple[Any, ...]]) -> str:
        text = self._encoder.rows(rows) if rows else ""
        self._record.rows = (self._record.rows or 0) + len(rows)
        if len(rows) < self._encoder.batch_rows:
            self._at_end = True
            self._cursor.close()
            text += self._encoder.end()
        return text


def _leave_json_as_text(connection: Any, _pool_record: Any) -> None:
    psycopg2.extras.register_default_json(connection, loads=JsonText)
    psycopg2.extras.register_default_jsonb(connection, loads=JsonText)


def _execute(connection: PoolProxiedConnection, sql: str) -> None:
    with contextlib.closing(connection.cursor()) as cursor:
        cursor.execute(sql)


def _table_identity(connection: PoolProxiedConnection, table: str) -> str:
    with contextlib.closing(connection.cursor()) as cursor:
        cursor.execute("SELECT to_regclass(%s)::oid", (table,))
        row = cursor.fetchone()
    return str(row[0]) if row and row[0] is not None else ""


def _discard(connection: PoolProxiedConnection, pending: Future[Any] | None) -> None:
    if pending is not None and not pending.done():
        with contextlib.suppress(psycopg2.Error):
            connection.cancel()
        wait([pending])
    if getattr(connection.dbapi_connection, "closed", False):
        connection.invalidate()
    connection.close()


def _close_when_connected(pending: Future[PoolProxiedConnection]) -> None:
    if not pending.cancelled() and pending.exception() is None:
        pending.result().close()
