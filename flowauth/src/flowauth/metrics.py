"""Count requests for Prometheus, on a port apart from the pages."""

from __future__ import annotations

from prometheus_client import CollectorRegistry, Counter, Histogram, start_http_server

_METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})


class Metrics:
    """Count requests and times by route.

    Routes are patterns, so that names and ids never become labels.
    """

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        self._requests = Counter(
            "flowauth_requests", "Requests answered", ["method", "route", "status"], registry=self.registry
        )
        self._seconds = Histogram(
            "flowauth_request_seconds", "Time to answer a request", ["route"], registry=self.registry
        )

    def observe(self, method: str, route: str | None, status: int, seconds: float) -> None:
        """Count one answered request."""
        named = route or "none"
        # A caller can invent methods, and labels must not grow with them.
        self._requests.labels(method if method in _METHODS else "other", named, str(status)).inc()
        self._seconds.labels(named).observe(seconds)

    def serve(self, address: str, port: int) -> None:
        """Serve the counters at ``http://address:port/metrics`` from a daemon thread."""
        start_http_server(port, address, self.registry)
