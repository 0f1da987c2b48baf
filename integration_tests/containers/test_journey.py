"""Load at night, ask, check and stop, as on any day."""

from __future__ import annotations

import json
import time
import urllib.request
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

from docker.models.containers import Container
from operating import answer, residents

import flowclient

if TYPE_CHECKING:
    from installation import Site


def test_the_schedule_loads_and_an_analyst_gets_a_map(loaded: flowclient.Connection) -> None:
    found = answer(loaded)
    assert found["value"].min() > 15
    assert found["value"].sum() > 1_000
    regions = residents(loaded).get_result(format="geojson")
    features = regions["features"] if isinstance(regions, dict) else regions.to_dict("records")
    assert len(features) >= len(found)


def test_the_guide_s_checks_pass(site: Site, loaded: flowclient.Connection) -> None:
    site.shell(site.guide("production.md", "Check"))
    with urllib.request.urlopen(f"{site.api}/api/0/health/ready", timeout=10) as ready:
        parts = json.load(ready)["parts"]
    assert parts == dict.fromkeys(("engine", "database", "key", "workers", "folders", "loading"), "ok")


def test_every_service_stops_in_ten_seconds(site: Site, loaded: flowclient.Connection) -> None:
    residents(loaded, method="most-common", hours=(1, 23)).run()
    containers = site.containers()

    def stop(container: Container) -> float:
        begin = time.monotonic()
        container.stop(timeout=60)
        return time.monotonic() - begin

    with ThreadPoolExecutor(len(containers)) as pool:
        seconds = dict(zip((each.name for each in containers), pool.map(stop, containers), strict=True))
    for container in containers:
        container.reload()
    codes = {each.name: each.attrs["State"]["ExitCode"] for each in containers}
    # Other tests need the services, whatever is found here.
    site.start()
    assert {name: round(each, 1) for name, each in seconds.items() if each > 10} == {}
    # 137 would mean killed; a signal that ends a program by itself is 128 and its number.
    assert {name: code for name, code in codes.items() if code == 137} == {}
    assert len(answer(loaded, method="most-common", hours=(1, 23))) > 0
