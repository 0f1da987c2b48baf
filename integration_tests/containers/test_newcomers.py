"""Follow the README on bare Debian machines, which containers stand for.

The packages come from the internet and take minutes, so only ``make containers ARGS=--long`` runs this.
"""

from __future__ import annotations

import json
import os
import re
import subprocess
from collections.abc import Iterator
from pathlib import Path

import docker
import pytest
from docker.models.containers import Container
from images import NEWCOMER, Engine, make_debian
from layout import CHECKOUT

RELEASES = {"bookworm": "12", "trixie": "13"}
#: Packages of Debian that the README's words mean.
PACKAGES = {"Python": "python3", "git": "git", "make": "make"}
#: What a newcomer's first look at the suite runs: files of several parts, with and without a database.
SOME = "flowsettings/tests flowmachine/tests/kinds/places integration_tests/test_restore.py"
HOME = "/home/newcomer"
#: Also what a firewall on the way makes of the internet.
AUTHORITIES = "/usr/local/share/ca-certificates"

pytestmark = pytest.mark.skipif(
    os.environ.get("WITH_CONTAINERS") != "long", reason="installs from the internet: ARGS=--long"
)


@pytest.fixture(params=RELEASES)
def machine(request: pytest.FixtureRequest, engine: Engine, tmp_path: Path) -> Iterator[Container]:
    """Provide a bare machine with a clone of this checkout."""
    release = request.param
    subprocess.run(["git", "clone", "--quiet", str(CHECKOUT), str(tmp_path / "flowkit")], check=True)
    # Removing what a machine installed takes minutes.
    running = docker.from_env(timeout=600).containers.run(
        make_debian(engine, release),
        "sleep infinity",
        name=f"{NEWCOMER}-{release}",
        labels={"com.docker.compose.project": NEWCOMER},
        detach=True,
        init=True,
        shm_size="1g",
        volumes={
            str(tmp_path / "flowkit"): {"bind": f"{HOME}/clone", "mode": "ro"},
            AUTHORITIES: {"bind": AUTHORITIES, "mode": "ro"},
        },
    )
    try:
        shell(running, "update-ca-certificates")
        yield running
    finally:
        running.remove(force=True, v=True)


def shell(machine: Container, commands: str) -> str:
    """Run commands as the machine's owner; return their output."""
    code, output = machine.exec_run(["bash", "-ec", commands], workdir="/")
    assert code == 0, f"{commands}\n{output.decode()[-5000:]}"
    return str(output.decode())


def words_of_the_readme() -> tuple[list[str], list[str]]:
    """Return the README's packages and the commands of its first table."""
    text = (CHECKOUT / "README.md").read_text()
    (versions, needed) = re.findall(r"^Both need only Debian (12 or 13), its (.*?)\.", text, re.MULTILINE)[0]
    assert versions == " or ".join(RELEASES.values())
    packages = [PACKAGES[word] for word in re.findall(r"\w+", needed) if word != "and"]
    return packages, re.findall(r"^\| `(make \w+)` \|", text, re.MULTILINE)


@pytest.mark.timeout(3600)
def test_a_newcomer_gets_the_demonstration_and_runs_tests(machine: Container) -> None:
    packages, (demo, test) = words_of_the_readme()
    shell(machine, f"apt-get update -q && apt-get install -qy --no-install-recommends {' '.join(packages)}")
    shell(machine, f"git config --global --add safe.directory '*' && git clone {HOME}/clone {HOME}/flowkit")
    shell(machine, f"cd {HOME}/flowkit && {demo}")
    summary = json.loads(shell(machine, f"cat {HOME}/flowkit/demo/out/summary.json"))
    assert summary["matches_truth"] is True
    made = shell(machine, f"ls {HOME}/flowkit/demo/out").split()
    assert {"notebook.html", "result.csv", "map.png", "summary.json"} <= set(made)
    told = shell(machine, f"cd {HOME}/flowkit && {test} ARGS='{SOME}'")
    assert re.search(r"\d+ passed", told.splitlines()[-1])
