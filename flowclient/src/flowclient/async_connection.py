"""Connect with requests that are awaited."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from functools import cached_property
from typing import Any

from flowclient.async_api_query import ASyncAPIQuery
from flowclient.connection import Connection
from flowclient.exchange import Operation, Result, perform_async
from flowclient.transport import POOL_SIZE, Reply


class ASyncConnection(Connection):
    """A :class:`~flowclient.connection.Connection` that leaves the event loop free.

    Same parameters and attributes; what sends a request is a coroutine.
    """

    client_logger = logging.getLogger("flowclient.async_client")

    #: Replies that the server holds for us at present.
    _held = 0

    @cached_property
    def _executor(self) -> ThreadPoolExecutor:
        """Return a separate thread pool.

        Long requests must not use up the event loop's threads.
        """
        return ThreadPoolExecutor(POOL_SIZE, thread_name_prefix="flowclient")

    async def get_url(self, *, route: str, data: Any = None, params: dict[str, str] | None = None) -> Reply:  # type: ignore[override]
        """GET a route; see :meth:`Connection.get_url`."""
        return await self.perform(self.get(route, data=data, params=params))

    async def post_json(self, *, route: str, data: Any) -> Reply:  # type: ignore[override]
        """POST JSON to a route; see :meth:`Connection.post_json`."""
        return await self.perform(self.post(route, data))

    def make_api_query(self, parameters: dict[str, Any]) -> ASyncAPIQuery:
        """Return the query that ``parameters`` describe; nothing is sent. Not a coroutine."""
        return ASyncAPIQuery(connection=self, parameters=parameters)

    async def perform(self, operation: Operation[Result]) -> Result:  # type: ignore[override]
        """Carry out an operation of :mod:`flowclient.operations` on the event loop."""
        return await perform_async(operation, self._transport, self._executor)

    @contextmanager
    def holding(self, seconds: float) -> Iterator[float]:
        # Half of the threads stay free for quick requests; a wait that finds no room retries later.
        held = seconds if self._held < POOL_SIZE // 2 else 0
        self._held += held > 0
        try:
            yield held
        finally:
            self._held -= held > 0

    def close(self) -> None:
        """Release the network connections without waiting for abandoned requests."""
        executor = self.__dict__.pop("_executor", None)
        if executor is not None:
            executor.shutdown(wait=False, cancel_futures=True)
        super().close()

    async def aclose(self) -> None:
        """Release the network connections; see :meth:`close`."""
        self.close()

    async def __aenter__(self) -> ASyncConnection:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.aclose()
