"""Ask Prometheus what it sees, and hold its alerts to made-up series."""

from __future__ import annotations

import json
import urllib.request
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from installation import Site

ALERTS = Path(__file__).with_name("alerts.yml")


def ask(site: Site, path: str) -> Any:
    (published,) = site.one("monitoring").ports["9090/tcp"]
    address = f"http://{published['HostIp']}:{published['HostPort']}/api/v1/{path}"
    with urllib.request.urlopen(address, timeout=10) as reply:
        return json.load(reply)["data"]


def test_every_process_with_metrics_is_watched(site: Site) -> None:
    def watched() -> dict[str, list[str]]:
        found: dict[str, list[str]] = {}
        for target in ask(site, "targets?state=active")["activeTargets"]:
            found.setdefault(target["labels"]["job"], []).append(target["health"])
        return found

    wanted = {
        service: ["up"] * len(site.containers(service))
        for service in ("flowapi", "flowmachine", "worker", "evict", "flowetl", "flowauth", "reports")
    }
    site.until(lambda: watched() == wanted, 180, lambda: f"watched: {watched()}")


def test_the_alerts_say_what_the_page_says(site: Site) -> None:
    told = site.compose(
        f"exec -T monitoring sh -c 'cat >/tmp/t.yml; promtool test rules /tmp/t.yml' <{ALERTS}"
    )
    assert "SUCCESS" in told


def test_a_country_that_gets_no_more_days_raises_an_alert(site: Site, loaded: object) -> None:
    """Check the newest days as far as Prometheus: the last of them is years ago."""

    def pending() -> set[str]:
        return {
            alert["labels"]["event_type"]
            for alert in ask(site, "alerts")["alerts"]
            if alert["labels"]["alertname"] == "DayMissing"
        }

    wanted = {"calls", "sms", "mds", "topups"}
    site.until(lambda: pending() == wanted, 180, lambda: f"alerts: {ask(site, 'alerts')}")
