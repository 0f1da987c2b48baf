"""Serve metrics for Prometheus: each process on FLOWMACHINE_METRICS_PORT."""

from __future__ import annotations

from collections.abc import Iterable

import sqlalchemy as sa
from prometheus_client import REGISTRY, Counter, Histogram, start_http_server
from prometheus_client.core import GaugeMetricFamily
from prometheus_client.registry import Collector

from flowmachine.logs import debug_log
from flowmachine.tables import jobs

_requests = Histogram(
    "flowmachine_request_seconds",
    "Time to answer a request",
    ["action", "status"],
    buckets=(0.01, 0.05, 0.2, 1, 5),
)
_hits = Counter(
    "flowmachine_submitted_total", "Queries submitted, by whether a stored result answered", ["stored"]
)
_seconds = Counter("flowmachine_compute_seconds_total", "Time spent computing", ["kind", "executor"])
_bytes = Counter("flowmachine_stored_bytes_total", "Bytes of results stored", ["kind", "executor"])
_parts = Counter("flowmachine_parts_total", "Parts of queries computed", ["kind", "executor"])
_failures = Counter("flowmachine_failures_total", "Parts of queries that failed", ["error"])


def answered(action: str, status: str, seconds: float) -> None:
    """Count an answered request."""
    _requests.labels(action, status).observe(seconds)


def submitted(*, stored: bool) -> None:
    """Count a submitted query; ``stored`` if nothing had to be computed."""
    _hits.labels("yes" if stored else "no").inc()


def computed(kind: str, executor: str, seconds: float, size: int) -> None:
    """Count a computed part of a query."""
    _parts.labels(kind, executor).inc()
    _seconds.labels(kind, executor).inc(seconds)
    _bytes.labels(kind, executor).inc(size)


def failed(error: str) -> None:
    """Count a part of a query that failed."""
    _failures.labels(error).inc()


class Queue(Collector):
    """Collect jobs and stored bytes from the job table on each scrape."""

    def __init__(self, engine: sa.Engine) -> None:
        self._engine = engine

    def collect(self) -> Iterable[GaugeMetricFamily]:
        waiting = GaugeMetricFamily("flowmachine_jobs", "Jobs by state", labels=["state"])
        stored = GaugeMetricFamily("flowmachine_cache_bytes", "Bytes of all stored results")
        statement = sa.select(
            jobs.c.state, sa.func.count().label("jobs"), sa.func.sum(jobs.c.bytes).label("bytes")
        ).group_by(jobs.c.state)
        try:
            with self._engine.connect() as connection:
                rows = connection.execute(statement).all()
        except sa.exc.OperationalError:
            # Without a database there is no queue to count, but the other metrics are still useful.
            return []
        for row in rows:
            waiting.add_metric([row.state], row.jobs)
            if row.state == "completed":
                stored.add_metric([], float(row.bytes or 0))
        return [waiting, stored]


def serve(bind: str, port: int, engine: sa.Engine | None = None) -> None:
    """Serve this process's metrics on a port, unless it is 0.

    The queue's metrics are included if there is an engine to ask.
    """
    if port == 0:
        return
    if engine is not None:
        REGISTRY.register(Queue(engine))
    try:
        start_http_server(port, addr=bind)
    except OSError as error:
        debug_log().error("no metrics", submodule="metrics", port=port, error=error.strerror)
