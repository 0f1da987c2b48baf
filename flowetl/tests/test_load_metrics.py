"""What Prometheus is told of the loading, through a real port."""

from __future__ import annotations

import datetime as dt
import urllib.request

import pytest
from prometheus_client import CollectorRegistry, start_http_server

from flowetl import loadmetrics


def told(registry: CollectorRegistry) -> dict[str, float]:
    server, thread = start_http_server(0, addr="127.0.0.1", registry=registry)
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{server.server_port}/metrics") as reply:
            lines = [line for line in reply.read().decode().splitlines() if not line.startswith("#")]
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
    return {name: float(value) for name, value in (line.rsplit(" ", 1) for line in lines)}


def test_days_by_state_and_the_newest_load_are_told(operator, monkeypatch: pytest.MonkeyPatch) -> None:
    for path in operator.deployment.sources_folder.glob("*.yml"):
        if path.stem != "calls":
            path.unlink()
    described = operator.deployment.sources_folder / "calls.yml"
    described.write_text(f"{described.read_text()}end: {operator.day + dt.timedelta(1)}\n")
    monkeypatch.setattr(loadmetrics, "KEPT_SECONDS", 0.0)
    registry = CollectorRegistry()
    registry.register(loadmetrics.Loading(operator.deployment))
    assert told(registry) == {'flowetl_days{source="calls",state="missing"}': 2}

    operator.write("calls", operator.two_calls())
    operator.load()
    found = told(registry)
    assert found['flowetl_days{source="calls",state="loaded"}'] == 1
    assert found['flowetl_days{source="calls",state="missing"}'] == 1
    assert found['flowetl_load_rows{event_type="calls"}'] == 3
    assert found['flowetl_load_rejects{event_type="calls"}'] == 0
    assert (
        abs(found['flowetl_load_finished_seconds{event_type="calls"}'] - dt.datetime.now().timestamp()) < 600
    )

    # Without the database nothing is told, which an alert on absence finds.
    monkeypatch.setattr(type(operator.deployment), "connect", _down)
    assert told(registry) == {}


def _down(_deployment: object) -> None:
    raise loadmetrics.psycopg2.OperationalError("down")
