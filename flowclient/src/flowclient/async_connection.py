"""A connection whose requests are awaited."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

from flowclient.connection import Connection
from flowclient.exchange import Operation, Result, perform_async
from flowclient.transport import Reply

if TYPE_CHECKING:
    from flowclient.async_api_query import ASyncAPIQuery


class ASyncConnection(Connection):
    """A :class:`~flowclient.connection.Connection` that leaves the event loop free.

    Same parameters and attributes; what sends a request is a coroutine.
    """

    async def get_url(self, *, route: str, data: Any = None, params: dict[str, str] | None = None) -> Reply:  # type: ignore[override]
        """GET a route; see :meth:`Connection.get_url`."""
        return await self.perform(self.get(route, data=data, params=params))

    async def post_json(self, *, route: str, data: Any) -> Reply:  # type: ignore[override]
        """POST JSON to a route; see :meth:`Connection.post_json`."""
        return await self.perform(self.post(route, data))

    def make_api_query(self, parameters: dict[str, Any]) -> ASyncAPIQuery:
        """Return the query that ``parameters`` describe; nothing is sent. Not a coroutine."""
        from flowclient.async_api_query import ASyncAPIQuery

        return ASyncAPIQuery(connection=self, parameters=parameters)

    async def perform(self, operation: Operation[Result]) -> Result:  # type: ignore[override]
        """Carry out an operation of :mod:`flowclient.operations` on the running event loop."""
        return await perform_async(operation, self._transport)

    async def aclose(self) -> None:
        """Release the network connections."""
        await asyncio.to_thread(self.close)

    async def __aenter__(self) -> ASyncConnection:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.aclose()
