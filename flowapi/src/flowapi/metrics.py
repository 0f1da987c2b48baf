"""Serve counters for Prometheus on a separate port, hidden from the public port."""

from __future__ import annotations

from prometheus_client import CollectorRegistry, Counter, Histogram, start_http_server

from flowapi.record import RequestRecord

HTTP_METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})


class Metrics:
    """Count requests, rows, bytes and times by route.

    Routes are patterns, so that ids never become labels.
    """

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        self._requests = Counter(
            "flowapi_requests", "Requests answered", ["method", "route", "status"], registry=self.registry
        )
        self._cut_off = Counter(
            "flowapi_replies_cut_off",
            "Replies that did not reach their end",
            ["route"],
            registry=self.registry,
        )
        self._rows = Counter("flowapi_rows", "Result rows sent", registry=self.registry)
        self._bytes = Counter("flowapi_reply_bytes", "Body bytes sent", registry=self.registry)
        self._seconds = Histogram(
            "flowapi_request_seconds", "Time from request to end of reply", ["route"], registry=self.registry
        )
        self._engine_seconds = Histogram(
            "flowapi_engine_seconds", "Time spent waiting for the engine", ["route"], registry=self.registry
        )

    def observe(self, record: RequestRecord, duration: float) -> None:
        """Count one finished request; ``duration`` in seconds."""
        route = record.route or "none"
        # A caller can invent methods, and labels must not grow with them.
        method = record.method if record.method in HTTP_METHODS else "other"
        self._requests.labels(method, route, str(record.status)).inc()
        self._bytes.inc(record.bytes)
        self._rows.inc(record.rows or 0)
        self._seconds.labels(route).observe(duration)
        if record.engine_seconds:
            self._engine_seconds.labels(route).observe(record.engine_seconds)
        if not record.complete:
            self._cut_off.labels(route).inc()

    def serve(self, address: str, port: int) -> None:
        """Serve the counters at ``http://address:port/metrics`` from a daemon thread."""
        start_http_server(port, address, self.registry)
