"""Serve metrics of the loading for Prometheus.

They are days by state, paused schedules, and the newest load of each type of event.
"""

from __future__ import annotations

import threading
import time
from collections import Counter
from collections.abc import Iterable

import psycopg2
import structlog
from prometheus_client import REGISTRY, start_http_server
from prometheus_client.core import GaugeMetricFamily
from prometheus_client.registry import Collector

from flowetl.deployment import Deployment
from flowetl.errors import LoadError
from flowetl.paused import paused_sources
from flowetl.report import SHOWN_DAYS, calendar

_log = structlog.get_logger(__name__)

#: Seconds for which the states are told again, because finding them looks at the operator's folders.
KEPT_SECONDS = 60.0

_NEWEST = """
    SELECT DISTINCT ON (cdr_type) cdr_type, extract(epoch FROM finished)::float8,
           extract(epoch FROM finished - started)::float8, rows, rejects
    FROM etl.loads WHERE state = 'ingested' AND finished IS NOT NULL ORDER BY cdr_type, finished DESC
"""
_GAUGES = (
    ("flowetl_load_finished_seconds", "Time at which the newest load of a type of event ended"),
    ("flowetl_load_duration_seconds", "Duration of the newest load"),
    ("flowetl_load_rows", "Rows of the newest load"),
    ("flowetl_load_rejects", "Refused records of the newest load"),
)


class Loading(Collector):
    """Collect the states of days and the newest loads, each kept for a while."""

    def __init__(self, deployment: Deployment) -> None:
        self._deployment = deployment
        self._lock = threading.Lock()
        self._told: list[GaugeMetricFamily] = []
        self._until = 0.0

    def describe(self) -> Iterable[GaugeMetricFamily]:
        """Return nothing, so that registering asks no database."""
        return []

    def collect(self) -> Iterable[GaugeMetricFamily]:
        with self._lock:
            if time.monotonic() >= self._until:
                try:
                    self._told = [self._days(), self._paused(), *self._newest()]
                except (psycopg2.Error, OSError, LoadError) as error:
                    # Old states would look as if somebody had looked.
                    self._told = []
                    _log.warning("no metrics of the loading", error=type(error).__name__)
                self._until = time.monotonic() + KEPT_SECONDS
            return list(self._told)

    def _days(self) -> GaugeMetricFamily:
        found = GaugeMetricFamily(
            "flowetl_days", f"Days of the last {SHOWN_DAYS} by state", labels=["source", "state"]
        )
        counts = Counter((day["source"], day["state"]) for day in calendar(self._deployment))
        for labels, number in sorted(counts.items()):
            found.add_metric(labels, number)
        return found

    def _paused(self) -> GaugeMetricFamily:
        found = GaugeMetricFamily(
            "flowetl_schedule_paused", "1 for a source whose schedule is paused, else 0", labels=["source"]
        )
        names = [source.name for source in self._deployment.all_sources()]
        if (paused := paused_sources(names)) is not None:
            for name in names:
                found.add_metric([name], name in paused)
        return found

    def _newest(self) -> list[GaugeMetricFamily]:
        found = [GaugeMetricFamily(name, text, labels=["event_type"]) for name, text in _GAUGES]
        with self._deployment.connect() as connection, connection.cursor() as cursor:
            cursor.execute(_NEWEST)
            for cdr_type, *values in cursor.fetchall():
                for gauge, value in zip(found, values, strict=True):
                    gauge.add_metric([cdr_type], float(value or 0))
        return found


def serve_metrics(deployment: Deployment, bind: str, port: int | None) -> None:
    """Serve the metrics on a port, if there is one."""
    if port is None:
        return
    REGISTRY.register(Loading(deployment))
    start_http_server(port, addr=bind)
