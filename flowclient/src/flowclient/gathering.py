"""Many queries at once."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any, cast

from flowclient.api_query import APIQuery
from flowclient.async_api_query import ASyncAPIQuery
from flowclient.errors import FlowclientConnectionError
from flowclient.progress import PartsBar
from flowclient.results import check_format

#: What a query's place in the list of results may hold instead of its result.
_COLLECTED = (FlowclientConnectionError, FileNotFoundError)


def gather_results(
    queries: Sequence[APIQuery],
    max_concurrent: int = 8,
    *,
    format: str = "pandas",
    poll_interval: float | None = 1,
    disable_progress: bool | None = None,
) -> Any:
    """Run queries together and return their results in order.

    All are run first, so that the server may work on all of them; then they are waited for under one progress bar.

    Parameters
    ----------
    queries : sequence of APIQuery or of ASyncAPIQuery
        The queries; not a mixture.
    max_concurrent : int
        How many are asked about at a time.
    format, poll_interval, disable_progress
        As in :meth:`APIQuery.get_result`.

    Returns
    -------
    list
        For each query its result, or the exception that came instead; to be awaited for asynchronous queries.
    """
    check_format(format)
    if max_concurrent < 1:
        raise ValueError(f"max_concurrent must be at least 1, not {max_concurrent}.")
    asynchronous = [isinstance(query, ASyncAPIQuery) for query in queries]
    if any(asynchronous):
        if not all(asynchronous):
            raise TypeError(
                "Queries of blocking and of asynchronous connections cannot be gathered together."
            )
        return _gather_async(queries, max_concurrent, format, poll_interval, disable_progress)
    return _gather(queries, max_concurrent, format, poll_interval, disable_progress)


def _gather(
    queries: Sequence[APIQuery],
    max_concurrent: int,
    format: str,
    poll_interval: float | None,
    disable_progress: bool | None,
) -> list[Any]:
    def run(query: APIQuery) -> Exception | None:
        try:
            query.run()
        except _COLLECTED as error:
            return error
        return None

    with PartsBar(disable_progress) as bar, ThreadPoolExecutor(max_concurrent) as pool:

        def fetch(query: APIQuery, refused: Exception | None) -> Any:
            if refused is not None:
                return refused
            try:
                return query.connection.perform(query.result_operation(format, poll_interval, bar=bar))
            except _COLLECTED as error:
                return error

        return list(pool.map(fetch, queries, list(pool.map(run, queries))))


async def _gather_async(
    queries: Sequence[APIQuery],
    max_concurrent: int,
    format: str,
    poll_interval: float | None,
    disable_progress: bool | None,
) -> list[Any]:
    free = asyncio.Semaphore(max_concurrent)

    async def perform(query: APIQuery, operation: Any) -> Any:
        async with free:
            try:
                return await cast(Awaitable[Any], query.connection.perform(operation))
            except _COLLECTED as error:
                return error

    with PartsBar(disable_progress) as bar:
        refused = await asyncio.gather(*(perform(query, query.run_operation()) for query in queries))

        async def fetch(query: APIQuery, error: Exception | None) -> Any:
            if error is not None:
                return error
            return await perform(query, query.result_operation(format, poll_interval, bar=bar))

        return list(await asyncio.gather(*map(fetch, queries, refused)))
