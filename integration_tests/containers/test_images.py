"""Build the images with the guide's own commands.

The layers come from the cache of ``make containers``. Debian's image does not, so that only
``make containers ARGS=--long`` runs this.
"""

from __future__ import annotations

import os
import re
import subprocess
from pathlib import Path

import docker
import pytest
from guide import blocks
from images import NAMES, TAG, Engine, authorities
from installation import Site
from layout import CHECKOUT

HEADING = "Bring the images behind the firewall"
ONLY_PROFILE = {"flowkit-monitoring"}

pytestmark = pytest.mark.skipif(
    os.environ.get("WITH_CONTAINERS") != "long", reason="installs from the internet: ARGS=--long"
)


@pytest.fixture
def place(engine: Engine, tmp_path: Path) -> Site:
    """Provide a copy of the checkout with the guide's settings, as an operator has it."""
    files = subprocess.run(["git", "ls-files", "-z"], cwd=CHECKOUT, check=True, capture_output=True).stdout
    archive = subprocess.run(
        ["tar", "--create", "--null", "--files-from=-"],
        cwd=CHECKOUT,
        input=files,
        check=True,
        capture_output=True,
    ).stdout
    subprocess.run(["tar", "--extract"], cwd=tmp_path, input=archive, check=True)
    site = Site(tmp_path, engine, "flowkit-guide", "guide", api="", auth="")
    site.set_up({"FLOWKIT_DEBIAN": os.environ["FLOWKIT_DEBIAN"]})
    return site


def block_with(words: str) -> str:
    (block,) = (each for each in blocks("production.md", HEADING) if words in each)
    return block


def test_the_guide_s_commands_make_debian_s_image(place: Site) -> None:
    client = docker.from_env()
    commands = block_with("base-image").replace("flowkit-debian:bookworm", "flowkit-debian:guide")
    try:
        place.shell(commands)
        assert (place.folder / ".env").read_text().splitlines()[-1] == "FLOWKIT_DEBIAN=flowkit-debian:guide"
        told = client.containers.run("flowkit-debian:guide", "cat /etc/os-release", remove=True)
        assert "VERSION_CODENAME=bookworm" in told.decode()
    finally:
        client.images.remove("flowkit-debian:guide")


@pytest.mark.timeout(3000)
def test_the_guide_s_commands_build_the_images(place: Site, engine: Engine) -> None:
    client = docker.from_env()
    (place.folder / "authority.pem").write_bytes(authorities())
    place.shell(block_with("AUTHORITY"))
    found = re.findall(r"^FLOWKIT_BUILD_AUTHORITY=(.*)$", (place.folder / ".env").read_text(), re.MULTILINE)
    assert len(found) == 1
    built = [name for name in NAMES if name not in ONLY_PROFILE]
    try:
        place.shell(block_with("compose build"), limit=3000)
        for name in built:
            assert (
                client.images.get(f"{name}:guide").attrs["Config"]["User"]
                == client.images.get(f"{name}:{TAG}").attrs["Config"]["User"]
            )
        version = "python -m flowauth --version"
        told = {
            client.containers.run(f"flowkit-flowauth:{tag}", version, remove=True) for tag in ("guide", TAG)
        }
        assert len(told) == 1
    finally:
        for name in built:
            if engine.has(f"{name}:guide"):
                client.images.remove(f"{name}:guide")
