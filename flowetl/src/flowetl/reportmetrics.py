"""Serve metrics of reports for Prometheus, from the published indexes."""

from __future__ import annotations

import datetime as dt
import json
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from prometheus_client import REGISTRY, start_http_server
from prometheus_client.core import GaugeMetricFamily
from prometheus_client.registry import Collector


class Reports(Collector):
    """Collect failures and last good versions on each scrape."""

    def __init__(self, out: Path) -> None:
        self._out = out

    def collect(self) -> Iterable[GaugeMetricFamily]:
        labels = ["recipients", "report"]
        failed = GaugeMetricFamily(
            "flowkit_report_failed_periods", "Periods of a report whose last run failed", labels=labels
        )
        good = GaugeMetricFamily(
            "flowkit_report_published_seconds",
            "Time at which a report's last version was published",
            labels=labels,
        )
        for index in sorted(self._out.glob("*/*/index.json")):
            named = [index.parent.parent.name, index.parent.name]
            try:
                periods = json.loads(index.read_text())["periods"]
                failed.add_metric(named, sum(period["failure"] is not None for period in periods))
                if made := max(_made(periods), default=None):
                    good.add_metric(named, made.timestamp())
            except (OSError, ValueError, KeyError, TypeError):
                # Half a folder, as while it is copied, says nothing; the other reports still do.
                continue
        return [failed, good]


def _made(periods: list[dict[str, Any]]) -> Iterator[dt.datetime]:
    for period in periods:
        for version in period["versions"]:
            yield dt.datetime.fromisoformat(version["made"])


def serve_metrics(bind: str, port: int | None, out: Path) -> None:
    """Serve the metrics on a port, if there is one."""
    if port is None:
        return
    REGISTRY.register(Reports(out))
    start_http_server(port, addr=bind)
