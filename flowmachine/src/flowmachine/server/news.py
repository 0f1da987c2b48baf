"""Hear from the database which queries are done, so that waiters need not poll."""

from __future__ import annotations

import asyncio
from collections import defaultdict
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Any

import psycopg2
import sqlalchemy as sa

from flowmachine.jobs.table import DONE_CHANNEL
from flowmachine.logs import debug_log

_RETRY_SECONDS = 1.0


class News:
    """Listen on one connection while its task runs.

    Notices sent while the connection is lost are missed.
    """

    def __init__(self, engine: sa.Engine) -> None:
        self._engine = engine
        #: Whether a connection listens for notices.
        self.heard = False
        self._awaited: dict[str, set[asyncio.Event]] = defaultdict(set)

    @contextmanager
    def expecting(self, query_id: str) -> Iterator[asyncio.Event]:
        """Return an event that is set when the query is done.

        Notices count from the moment the context is entered.
        """
        event = asyncio.Event()
        self._awaited[query_id].add(event)
        try:
            yield event
        finally:
            self._awaited[query_id].discard(event)
            if not self._awaited[query_id]:
                del self._awaited[query_id]

    async def listen(self) -> None:
        """Listen until cancelled; a lost connection is reopened."""
        while True:
            try:
                await self._listen_once()
            except (sa.exc.SQLAlchemyError, psycopg2.Error, OSError) as error:
                debug_log().error("not listening", submodule="server", error=type(error).__name__)
                await asyncio.sleep(_RETRY_SECONDS)

    def wake_all(self) -> None:
        """Set every event, so that all waiters look again."""
        for events in self._awaited.values():
            for event in events:
                event.set()

    async def _listen_once(self) -> None:
        loop = asyncio.get_running_loop()
        connection = await asyncio.to_thread(self._connect)
        raw: Any = connection.connection.driver_connection
        lost: asyncio.Future[None] = loop.create_future()
        descriptor = raw.fileno()
        loop.add_reader(descriptor, self._hear, raw, lost)
        self.heard = True
        # Notices sent before the connection listened are lost, so let all waiters check.
        self.wake_all()
        try:
            await lost
        finally:
            self.heard = False
            loop.remove_reader(descriptor)
            # The server's end may be gone already, or the pool may fail to close a broken connection.
            with suppress(sa.exc.SQLAlchemyError, psycopg2.Error):
                connection.invalidate()
                connection.close()

    def _connect(self) -> sa.Connection:
        connection = self._engine.connect().execution_options(isolation_level="AUTOCOMMIT")
        raw: Any = connection.connection.driver_connection
        with raw.cursor() as cursor:
            cursor.execute(f"LISTEN {DONE_CHANNEL}")
        return connection

    def _hear(self, raw: Any, lost: asyncio.Future[None]) -> None:
        try:
            raw.poll()
        except psycopg2.Error as error:
            if not lost.done():
                lost.set_exception(error)
            return
        for notice in raw.notifies:
            for event in self._awaited.get(notice.payload, ()):
                event.set()
        raw.notifies.clear()
