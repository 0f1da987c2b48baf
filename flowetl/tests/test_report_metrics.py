"""What Prometheus is told of reports, through a real port."""

from __future__ import annotations

import json
import urllib.request
from pathlib import Path
from typing import Any

from prometheus_client import CollectorRegistry, start_http_server

from flowetl.reportmetrics import Reports


def indexed(out: Path, report: str, periods: list[dict[str, Any]]) -> None:
    folder = out / "cell" / report
    folder.mkdir(parents=True)
    (folder / "index.json").write_text(json.dumps({"report": report, "periods": periods}))


def test_failures_and_the_last_good_version_are_told(tmp_path: Path) -> None:
    failure = {"reason": "connection", "since": "2016-03-01T06:00:00+00:00"}
    good = [
        {"version": "v2", "made": "2016-03-01T06:00+00:00"},
        {"version": "v1", "made": "2016-02-28T06:00+00:00"},
    ]
    indexed(
        tmp_path,
        "flood",
        [
            {"versions": [], "failure": failure},
            {"versions": good, "failure": failure},
            {"versions": good[1:], "failure": None},
        ],
    )
    indexed(tmp_path, "new", [{"versions": [], "failure": None}])
    (tmp_path / "cell" / "half").mkdir()
    (tmp_path / "cell" / "half" / "index.json").write_text('{"periods": [')
    registry = CollectorRegistry()
    registry.register(Reports(tmp_path))
    server, thread = start_http_server(0, addr="127.0.0.1", registry=registry)
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{server.server_port}/metrics") as reply:
            told = [line for line in reply.read().decode().splitlines() if not line.startswith("#")]
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
    assert told == [
        'flowkit_report_failed_periods{recipients="cell",report="flood"} 2.0',
        'flowkit_report_failed_periods{recipients="cell",report="new"} 0.0',
        'flowkit_report_published_seconds{recipients="cell",report="flood"} 1.456812e+09',
    ]
