"""Serve metrics for Prometheus: each process on FLOWMACHINE_METRICS_PORT."""

from __future__ import annotations

import shutil
import time
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import sqlalchemy as sa
from prometheus_client import REGISTRY, Counter, Gauge, Histogram, make_wsgi_app, start_http_server
from prometheus_client.core import GaugeMetricFamily
from prometheus_client.registry import Collector

from flowmachine.logs import debug_log
from flowmachine.tables import current_loads, jobs

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

_heartbeat = Gauge("flowmachine_heartbeat_seconds", "Time at which this process last worked or could have")

#: Seconds without a sign of work after which a process is not well.
LONGEST_SILENCE = 30.0

# On the clock that nobody sets, unlike the metric's.
_worked_at: float | None = None


def alive() -> None:
    """Tell that this process works; its health check asks for how long it has not."""
    global _worked_at
    _worked_at = time.monotonic()
    _heartbeat.set_to_current_time()


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
    """Collect jobs, stored bytes and newest days from the database on each scrape."""

    def __init__(self, engine: sa.Engine) -> None:
        self._engine = engine

    def collect(self) -> Iterable[GaugeMetricFamily]:
        waiting = GaugeMetricFamily("flowmachine_jobs", "Jobs by state", labels=["state"])
        stored = GaugeMetricFamily("flowmachine_cache_bytes", "Bytes of all stored results")
        newest = GaugeMetricFamily(
            "flowmachine_newest_day_seconds",
            "Time at which the newest loaded day of a type of event began",
            labels=["event_type"],
        )
        statement = sa.select(
            jobs.c.state, sa.func.count().label("jobs"), sa.func.sum(jobs.c.bytes).label("bytes")
        ).group_by(jobs.c.state)
        try:
            with self._engine.connect() as connection:
                rows = connection.execute(statement).all()
                days = connection.execute(_NEWEST_DAYS).all()
        except sa.exc.OperationalError:
            # Without a database there is no queue to count, but the other metrics are still useful.
            return []
        for row in rows:
            waiting.add_metric([row.state], row.jobs)
            if row.state == "completed":
                stored.add_metric([], float(row.bytes or 0))
        for day in days:
            newest.add_metric([day.cdr_type], float(day.began))
        return [waiting, stored, newest]


# A date becomes the midnight of the session's zone, which is the deployment's.
_NEWEST_DAYS = sa.select(
    current_loads.c.cdr_type,
    sa.extract("epoch", sa.cast(sa.func.max(current_loads.c.cdr_date), sa.DateTime(timezone=True))).label(
        "began"
    ),
).group_by(current_loads.c.cdr_type)


def serve(
    bind: str,
    port: int,
    engine: sa.Engine | None = None,
    folder: Path | None = None,
    longest_silence: float = LONGEST_SILENCE,
) -> None:
    """Serve metrics, and the process's health on ``/health``, unless the port is 0.

    The database's metrics are included if there is an engine to ask, those of a disk if a folder is given.
    A process that has not worked for longer than ``longest_silence`` seconds is not well.
    """
    if port == 0:
        return
    if folder is not None:
        disk = Gauge("flowmachine_disk_bytes", "Size of the disk that holds the folder of results")
        disk.set_function(lambda: shutil.disk_usage(folder).total)
        free = Gauge("flowmachine_disk_free_bytes", "Free bytes of the disk that holds the folder of results")
        free.set_function(lambda: shutil.disk_usage(folder).free)
    if engine is not None:
        REGISTRY.register(Queue(engine))
    try:
        server, _ = start_http_server(port, addr=bind)
    except OSError as error:
        debug_log().error("no metrics", submodule="metrics", port=port, error=error.strerror)
    else:
        server.set_app(_with_health(make_wsgi_app(), longest_silence))


def _with_health(metrics: Callable[..., Any], longest_silence: float) -> Callable[..., Any]:
    """Return an application that answers ``/health`` beside the metrics.

    The metrics ask the database, too, which must not make a process look ill.
    """

    def answer(environ: dict[str, Any], start_response: Callable[..., Any]) -> Any:
        if environ["PATH_INFO"] != "/health":
            return metrics(environ, start_response)
        silence = float("inf") if _worked_at is None else time.monotonic() - _worked_at
        status = "200 OK" if silence <= longest_silence else "503 Service Unavailable"
        start_response(status, [("Content-Type", "text/plain; charset=utf-8")])
        return [f"worked {silence:.0f} seconds ago\n".encode()]

    return answer
