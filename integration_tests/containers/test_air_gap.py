"""Carry the images as one file to a machine without network, and start them.

Packing and unpacking the images takes minutes, so only ``make containers ARGS=--long`` runs this.
"""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import urllib.request

import docker
import pytest
from cluster import free_port
from guide import blocks
from images import TAG, Engine
from installation import Site
from isolated import engine_without_network
from layout import CHECKOUT
from operating import answer

import flowclient

FOLDER = CHECKOUT / ".flowkit" / "isolated"
WEEK = [f"2016-01-0{day}" for day in range(1, 8)]

pytestmark = pytest.mark.skipif(
    os.environ.get("WITH_CONTAINERS") != "long", reason="packs all images: ARGS=--long"
)


@pytest.mark.timeout(3000)
def test_an_archive_of_images_is_all_that_a_machine_without_network_needs(engine: Engine) -> None:
    (block,) = (
        each for each in blocks("production.md", "Bring the images behind the firewall") if "load" in each
    )
    save, load = block.replace(":0.2.0", f":{TAG}").splitlines()
    shutil.rmtree(FOLDER, ignore_errors=True)
    FOLDER.mkdir(parents=True)
    subprocess.run(["bash", "-euo", "pipefail", "-c", save], cwd=FOLDER, check=True)
    url = f"https://localhost:{free_port()}"
    site = Site(FOLDER / "site", engine, "flowkit-isolated", TAG, api=url, auth=url)
    with engine_without_network(FOLDER / "engine"):
        assert docker.from_env().images.list() == []
        with pytest.raises(OSError, match="unreachable"):
            socket.create_connection(("198.51.100.1", 443), 5)
        subprocess.run(["bash", "-euo", "pipefail", "-c", load], cwd=FOLDER, check=True)
        (FOLDER / "flowkit-images.tar.gz").unlink()
        site.set_up(
            {
                "COMPOSE_PROFILES": "proxy,demo",
                "FLOWKIT_HOST": "localhost",
                "FLOWKIT_PORT": url.rpartition(":")[2],
            }
        )
        try:
            site.make_secrets()
            # The country is the profile's own.
            for folder in ("landing", "sources"):
                (site.folder / folder).mkdir()
            site.start()
            with site.trusted():
                connection = site.connect()
                site.until(
                    lambda: flowclient.get_available_dates(connection=connection).get("calls") == WEEK,
                    600,
                    lambda: site.compose("logs --tail 30 demo"),
                )
                assert answer(connection)["value"].min() > 15
            open_to_another_proxy(site)
        finally:
            (FOLDER / "logs.txt").write_text(site.compose("logs --no-color"))
            site.take_down()


def open_to_another_proxy(site: Site) -> None:
    """Publish the services' own ports as the guide says."""
    (override,) = blocks("production.md", "Your own proxy", language="yaml")
    (site.folder / "docker-compose.override.yml").write_text(override)
    site.compose("up --detach --no-deps flowapi flowauth")
    site.wait_until_well()
    for ready in ("http://127.0.0.1:9090/api/0/health/ready", "http://127.0.0.1:9091/health/ready"):
        with urllib.request.urlopen(ready, timeout=30) as reply:
            assert reply.status == 200
