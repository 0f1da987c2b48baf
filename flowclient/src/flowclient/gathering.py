"""Many queries at once."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any, cast

from flowclient.api_query import APIQuery
from flowclient.async_api_query import ASyncAPIQuery
from flowclient.caller import warn_caller
from flowclient.errors import FlowclientConnectionError
from flowclient.progress import PartsBar
from flowclient.results import check_format

_ON_ERROR = ("collect", "raise")
#: Number of failures that are named one by one.
_NAMED = 5
#: Values that may stand in the list of results instead of a result.
_COLLECTED = (FlowclientConnectionError, FileNotFoundError)


def gather_results(
    queries: Sequence[APIQuery],
    max_concurrent: int = 8,
    *,
    format: str = "pandas",
    poll_interval: float | None = 1,
    disable_progress: bool | None = None,
    on_error: str = "collect",
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
    on_error : str
        ``collect`` puts a failed query's exception in the place of its result, and warns; ``raise`` raises once all
        queries are done.

    Returns
    -------
    list
        For each query its result, or the exception that came instead; to be awaited for asynchronous queries.

    Raises
    ------
    FlowclientConnectionError
        With ``on_error="raise"``: which queries failed, and why.
    """
    check_format(format)
    if on_error not in _ON_ERROR:
        raise ValueError(f"on_error = {on_error!r}: must be one of {', '.join(_ON_ERROR)}.")
    if max_concurrent < 1:
        raise ValueError(f"max_concurrent must be at least 1, not {max_concurrent}.")
    asynchronous = [isinstance(query, ASyncAPIQuery) for query in queries]
    if any(asynchronous):
        if not all(asynchronous):
            raise TypeError(
                "Queries of blocking and of asynchronous connections cannot be gathered together."
            )
        return _gather_async(queries, max_concurrent, format, poll_interval, disable_progress, on_error)
    results = _gather(queries, max_concurrent, format, poll_interval, disable_progress)
    return _with_failures_told(queries, results, on_error)


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
    on_error: str,
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

        results = list(await asyncio.gather(*map(fetch, queries, refused)))
    return _with_failures_told(queries, results, on_error)


def _with_failures_told(queries: Sequence[APIQuery], results: list[Any], on_error: str) -> list[Any]:
    """Raise or warn of failures among results.

    A list of tables and exceptions looks like a list of tables.
    """
    failed = [place for place, result in enumerate(results) if isinstance(result, Exception)]
    if not failed:
        return results
    lines = [
        f"Query {place}, {queries[place]}: {str(results[place]).partition(chr(10))[0]}"
        for place in failed[:_NAMED]
    ]
    told = "\n".join([f"{len(failed)} of {len(results)} queries failed.", *lines])
    if on_error == "raise":
        raise FlowclientConnectionError(told) from results[failed[0]]
    warn_caller(f"{told}\nTheir exceptions are in the list; on_error='raise' would raise them.")
    return results
