"""What Prometheus is told of the auth app, through a real port."""

from __future__ import annotations

import re
import urllib.request

from cluster import free_port
from flask import Flask

from flowauth.testing import Visitor


def test_requests_are_counted_by_route_and_no_name_is_told(app: Flask, ada: Visitor) -> None:
    ada.get("/nonesuch/ada")
    ada.get("/health/live")
    port = free_port()
    app.extensions["flowauth metrics"].serve("127.0.0.1", port)
    with urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics") as reply:
        told = reply.read().decode()
    assert 'flowauth_requests_total{method="POST",route="/sign-in",status="303"} 1.0' in told
    assert 'flowauth_requests_total{method="GET",route="none",status="404"} 1.0' in told
    assert re.search(r'flowauth_request_seconds_count\{route="/sign-in"\} [12]\.0', told)
    assert "ada" not in told
    assert "health" not in told
