"""Fill the disks of containers under load, and count what users see.

Each volume has a disk of its own here, for which this test must be root. ``make containers ARGS=--long`` runs it.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from datetime import timedelta

import pandas as pd
import pytest
from cluster import free_port
from disks import fill_up, small_disks
from images import SMALL_STACK, TAG, Engine
from installation import Site
from layout import CHECKOUT
from mixed_load import DOCUMENTED, ask_while_broken, right_answers
from operating import DAYS

FOLDER = CHECKOUT / ".flowkit" / "small"
#: Megabytes of each volume's disk.
DISKS = {
    "database": 3000,
    "archive": 3000,
    "cache": 300,
    "columnar": 200,
    "rejects": 50,
    "scratch": 200,
    "accounts": 400,
    "flowauth": 20,
    "revoked": 20,
    "used": 20,
    "prefect": 100,
    "proxy": 20,
}
#: Words for it of the database and of the engine.
FULL = ("DiskFull", "No space left")
SERVICES = ("flowdb", "worker", "flowapi", "flowauth", "accounts", "proxy", "prefect", "flowetl")

pytestmark = pytest.mark.skipif(
    os.environ.get("WITH_CONTAINERS") != "long", reason="starts an installation of its own: ARGS=--long"
)


@pytest.fixture(scope="module")
def small(engine: Engine) -> Iterator[Site]:
    """Provide a running, loaded stack whose volumes are small disks."""
    shutil.rmtree(FOLDER, ignore_errors=True)
    port = free_port()
    url = f"https://localhost:{port}"
    site = Site(FOLDER / "site", engine, SMALL_STACK, TAG, api=url, auth=url)
    with small_disks(FOLDER / "disks", SMALL_STACK, DISKS) as override:
        site.set_up(
            {
                "COMPOSE_PROFILES": "proxy",
                "FLOWKIT_HOST": "localhost",
                "FLOWKIT_PORT": port,
                "FLOWKIT_FRONT_NETWORK": "198.18.213.48/28",
                "FLOWAPI_TRUSTED_PROXIES": "198.18.213.48/28",
            }
        )
        (site.folder / "docker-compose.override.yml").write_text(override)
        site.take_down()
        try:
            site.make_secrets()
            site.deliver()
            site.describe_sources(timedelta(hours=12))
            site.start()
            with site.trusted():
                site.load_geography()
                site.compose(
                    f"exec -T flowetl python -m flowetl backfill --source all --start {DAYS[0]} --end {DAYS[-1]}",
                    limit=900,
                )
                yield site
        finally:
            (FOLDER / "logs.txt").write_text(site.compose("logs --no-color"))
            site.take_down()


@pytest.fixture(scope="module")
def right(small: Site) -> list[pd.DataFrame]:
    """Return the right answers, asked while there was space."""
    return right_answers(small)


@pytest.mark.parametrize("service", SERVICES)
def test_users_only_wait_for_space(small: Site, right: list[pd.DataFrame], service: str) -> None:
    container = small.containers(service)[0]
    watched, _ = ask_while_broken(
        small, right, service, "full", lambda: fill_up(container, FOLDER / "disks"), (*DOCUMENTED, *FULL)
    )
    # A part of a query that finds no space fails with that cause, and is computed when it is asked for again.
    undocumented = {each.outcome for each in watched.exchanges if not each.documented}
    assert undocumented <= {"500"}
