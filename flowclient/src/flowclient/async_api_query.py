"""A query whose server is asked without blocking the event loop."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Mapping
from typing import Any, cast

from flowclient import operations
from flowclient.api_query import APIQuery, _pause
from flowclient.exchange import Operation, Result


class ASyncAPIQuery(APIQuery):
    """Run an :class:`~flowclient.api_query.APIQuery` with coroutines as methods.

    Arguments and results are the same.
    """

    def _perform(self, operation: Operation[Result]) -> Awaitable[Result]:
        """Perform an operation; an asynchronous connection returns an awaitable."""
        return cast(Awaitable[Result], self.connection.perform(operation))

    async def run(self) -> None:  # type: ignore[override]
        """Ask the server to run this query; see :meth:`APIQuery.run`."""
        await self._perform(self.run_operation())

    @property
    def status(self) -> Awaitable[str]:  # type: ignore[override]
        """To be awaited; see :attr:`APIQuery.status`."""
        return self._perform(self._status())

    @property
    def progress(self) -> Awaitable[dict[str, int]]:  # type: ignore[override]
        """To be awaited; see :attr:`APIQuery.progress`."""
        return self._perform(self._progress())

    async def job_progress(self, poll_interval: float = 1) -> AsyncIterator[dict[str, int]]:  # type: ignore[override]
        """Yield :attr:`progress` until no part is left."""
        while True:
            progress = await self.progress
            yield progress
            if not any(progress.values()) and self.last_seen == "completed":
                return
            await self._perform(_pause(poll_interval))

    async def wait_until_ready(  # type: ignore[override]
        self,
        poll_interval: float | None = 1,
        disable_progress: bool | None = None,
        timeout: float | None = None,
    ) -> None:
        """Wait until the result is there; see :meth:`APIQuery.wait_until_ready`."""
        await self._perform(self._wait(poll_interval, disable_progress, timeout))

    async def get_result(
        self,
        format: str = "pandas",
        poll_interval: float | None = 1,
        disable_progress: bool | None = None,
        timeout: float | None = None,
    ) -> Any:
        """Run the query if necessary, wait, and return its result.

        See :meth:`APIQuery.get_result`.
        """
        return await self._perform(self.result_operation(format, poll_interval, disable_progress, timeout))

    async def cancel(self) -> dict[str, Any]:  # type: ignore[override]
        """Stop the query on the server; see :meth:`APIQuery.cancel`."""
        return await self._perform(self._cancel())

    async def explain(self) -> dict[str, Any]:  # type: ignore[override]
        """Return what running the query would take; see :meth:`APIQuery.explain`."""
        return await self._perform(operations.explain(self.connection, self.parameters))

    async def check(self) -> list[str]:  # type: ignore[override]
        """Return what the server would refuse; see :meth:`APIQuery.check`."""
        return await self._perform(operations.check(self.connection, self.parameters))

    async def to_geodataframe(self, result: Any = None, keep_redacted: bool = True) -> Any:
        """Return the result with its geometry; see :meth:`APIQuery.to_geodataframe`."""
        return await self._perform(self._geodataframe(result, keep_redacted))

    async def plot(
        self,
        column: str = "value",
        kind: str | None = None,
        where: Mapping[str, Any] | None = None,
        by: str | None = None,
        **options: Any,
    ) -> Any:
        """Draw the result as a map; see :meth:`APIQuery.plot`."""
        from flowclient import maps

        panels = await self._perform(self._panels(column, where, by))
        return maps.plot(panels, column=column, kind=kind, **options)

    async def explore(
        self, column: str = "value", where: Mapping[str, Any] | None = None, **options: Any
    ) -> Any:
        """Return the result as an interactive map; see :meth:`APIQuery.explore`."""
        from flowclient import maps

        [panel] = await self._perform(self._panels(column, where, None))
        return maps.explore(panel, column=column, **options)
